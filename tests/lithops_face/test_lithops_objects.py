"""Functions that take an `obj`: objects in S3, files and addresses, cut into parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lithops_magic.lithops as lithops
from executor_help import notebook
from lithops_magic.errors import MisuseError
from lithops_magic.lithops.storage import Storage
from localaws import LocalAws

BUCKET = "lithops-sample-words"
TEXTS = {
    "in/one.txt": "".join(f"line {number} of one\n" for number in range(40)),
    "in/two.txt": "two\nwords",
    "in/0": "",
}
NAMES = notebook("""
    from collections import Counter

    def count(obj):
        return Counter(obj.data_stream.read().decode().split())
    def lines(obj, prefix, id):
        return id, obj.key, obj.part, [prefix + line.decode() for line in obj.data_stream]
    def where(obj, storage):
        return obj.bucket, len(storage.get_object(obj.bucket, obj.key))
    def flaky(obj, id, storage):
        marks = [key for key in storage.list_keys(obj.bucket, "marks/") if key.endswith(f"/{id}")]
        if not marks:
            storage.put_object(obj.bucket, f"marks/{id}", "")
            raise ValueError(id)
        return id, obj.key, obj.part, len(obj.read())
    def total(results):
        return sum(results, Counter())
""")


@pytest.fixture(scope="module")
def fexec(local_aws: LocalAws) -> Iterator[lithops.FunctionExecutor]:
    storage = Storage(backend="localhost")
    storage.create_bucket(BUCKET)
    for key, text in TEXTS.items():
        storage.put_object(BUCKET, key, text)
    yield lithops.LocalhostExecutor(runtime_memory=256, runtime_timeout=20)
    storage.delete_objects(BUCKET, storage.list_keys(BUCKET))


def words(*keys: str) -> Counter[str]:
    return Counter(word for key in keys for word in TEXTS[key].split())


def test_words_of_a_bucket_are_counted(fexec: lithops.FunctionExecutor) -> None:
    futures = fexec.map_reduce(NAMES["count"], f"s3://{BUCKET}", NAMES["total"], obj_chunk_size=100)
    assert fexec.get_result(futures) == words(*TEXTS)
    keys = [f"{BUCKET}/in/two.txt", f"{BUCKET}/in/one.txt"]
    futures = fexec.map_reduce(NAMES["count"], keys, NAMES["total"], obj_chunk_number=3, obj_reduce_by_key=True)
    assert fexec.get_result(futures) == [words("in/two.txt"), words("in/one.txt")]


def test_what_is_retried_is_the_same_part(fexec: lithops.FunctionExecutor) -> None:
    retrying = lithops.RetryingFunctionExecutor(fexec)
    futures = retrying.map(NAMES["flaky"], f"{BUCKET}/in/*.txt", retries=1, obj_chunk_number=2)
    found = retrying.get_result(futures)
    assert [(number, key, part) for number, key, part, _ in found] == [
        (0, "in/one.txt", 1),
        (1, "in/one.txt", 2),
        (2, "in/two.txt", 1),
        (3, "in/two.txt", 2),
    ]
    assert sum(size for *_, size in found) == sum(len(TEXTS[key]) for key in ("in/one.txt", "in/two.txt"))
    assert [each.failure_count for each in futures] == [1] * 4
    assert futures[0].input == (BUCKET, "in/one.txt")


def test_what_else_a_call_is_given(fexec: lithops.FunctionExecutor) -> None:
    found = fexec.get_result(fexec.map(NAMES["lines"], [f"{BUCKET}/in/*.txt"], extra_args=("> ",), obj_chunk_size=300))
    assert [number for number, *_ in found] == list(range(len(found)))
    assert len(found) > 2
    assert [line for _, _, _, lines in found for line in lines] == [
        f"> {line}" for key in ("in/one.txt", "in/two.txt") for line in TEXTS[key].splitlines(keepends=True)
    ]
    element = {"obj": f"{BUCKET}/in/two.txt", "prefix": "-"}
    assert fexec.get_result(fexec.map(NAMES["lines"], [element])) == [(0, "in/two.txt", 1, ["-two\n", "-words"])]
    made = fexec.storage.put_cloudobject("text", BUCKET, "made")
    assert fexec.call_async(NAMES["where"], made).result() == (BUCKET, 4)


def test_files_of_this_machine(fexec: lithops.FunctionExecutor, tmp_path: Path) -> None:
    (tmp_path / "file.txt").write_text("a b a")
    assert fexec.get_result(fexec.map(NAMES["count"], [str(tmp_path / "file.txt")])) == [Counter("aab")]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ([5], "mapped over addresses"),
        ([{"x": 1}], "mapped over addresses"),
        (["cos://bucket/key"], "neither in S3 nor on the web"),
        ([f"{BUCKET}/nowhere"], "nowhere"),
    ],
)
def test_what_is_no_address_is_said(fexec: lithops.FunctionExecutor, data: Any, said: str) -> None:
    with pytest.raises(MisuseError, match=said):
        fexec.map(NAMES["count"], data)


def test_one_call_has_one_object(fexec: lithops.FunctionExecutor) -> None:
    with pytest.raises(MisuseError, match="use map"):
        fexec.call_async(NAMES["count"], BUCKET)
