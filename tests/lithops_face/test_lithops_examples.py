"""Lithops' own examples, unedited, with us in the place of Lithops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lithops_magic.lithops import stand_in
from lithops_magic.lithops.storage import Storage
from localaws import LocalAws

EXAMPLES = Path(__file__).parent / "examples"
CONFIG = {"lithops": {"backend": "localhost", "retries": 3}, "aws_lambda": {"runtime_memory": 256}}
BUCKETS = ("lithops-sample-data", "storage")
PRINTED = {
    "call_async": ["10"],
    "call_async_class": ["[10, 15]"],
    "cloudobject": ["[b'Cloudobject test 1: Hello World', b'Cloudobject test 2: Hello World']"],
    "context_manager": ["[8, 9, 10, 11]"],
    "function_chaining": ["[15, 16, 17]"],
    "map_internal": ["[7, 8, 9, 10, 11]"],
    "multiple_args_call_async": ["9", "15", "75", "45"],
    "multiple_args_map": ["[3, 7, 11]", "[30, 120, 260]", "[10, 11, 12]", "[4, 6, 8]"],
    "retry": ["Final results: {100, 101, 102, 103}"],
    "storage": ["Hello World!", "<CloudObject at aws_s3://lithops-sample-data/cloudobject2.txt>"],
    "storage_arg": ["{'some': 40, 'words': 20, 'lines': 20}"],
    "storage_os": ["Hello from function number 3!"],
    "multiprocessing/pool_initializer": ["[('important global arg', 123456), ('important global arg', 123456)"],
    "multiprocessing/pool_args": ["1 2 3\nA B C\nhello\n"],
    "multiprocessing/process": ["hello "],
}


@pytest.fixture(scope="module", autouse=True)
def _data(local_aws: LocalAws) -> Iterator[None]:
    storage = Storage(CONFIG)
    for bucket in BUCKETS:
        storage.create_bucket(bucket)
    storage.put_object(BUCKETS[0], "obj1.txt", "some words some lines\n" * 20)
    yield
    for bucket in BUCKETS:
        storage.delete_objects(bucket, storage.list_keys(bucket))


@pytest.mark.parametrize("name", PRINTED)
def test_examples_of_lithops_run_unedited(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITHOPS_CONFIG", json.dumps(CONFIG))
    stand_in.run(EXAMPLES / f"{name}.py", [])
    printed = capsys.readouterr().out
    for text in PRINTED[name]:
        assert text in printed


def test_joblib_by_lithops_name() -> None:
    joblib = pytest.importorskip("joblib")
    with stand_in.installed():
        from lithops.util.joblib import register_lithops

        register_lithops()
    with joblib.parallel_config(backend="lithops", memory=256):
        assert joblib.Parallel()(joblib.delayed(abs)(number) for number in (-1, -2)) == [1, 2]
