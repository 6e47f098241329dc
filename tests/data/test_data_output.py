"""Values that stay in S3, and values that are reduced by what they belong to."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lithops_magic
from lithops_magic import data
from lithops_magic.config import Settings
from lithops_magic.data.inside import output, store
from lithops_magic.errors import MisuseError, TaskError
from localaws import LocalAws

SETTINGS = Settings(local=True, memory=256)
FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


@pytest.fixture(scope="module")
def bucket(local_aws: LocalAws) -> Iterator[Any]:
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket="data-output")
    yield s3
    for entry in s3.list_objects_v2(Bucket="data-output").get("Contents", ()):
        s3.delete_object(Bucket="data-output", Key=entry["Key"])
    s3.delete_bucket(Bucket="data-output")


def lmap(function: Callable[..., Any], *items: Any, **options: Any) -> lithops_magic.MapResult:
    return lithops_magic.map(function, *items, settings=SETTINGS, **options)


@given(st.one_of(st.binary(), st.integers(), st.text(), st.lists(st.none()), st.tuples(st.floats(allow_nan=False))))
def test_what_has_no_format_comes_back_as_it_was(value: Any) -> None:
    for key in ("out/7", "out/7.pickle", "out.d/x.bin"):
        assert output.loads(*output.dumps(value, key)) == value


def test_each_suffix_is_its_format() -> None:
    for key in ("f.csv", "f.pkl"):
        pd.testing.assert_frame_equal(output.loads(*output.dumps(FRAME, key)), FRAME)
    assert output.dumps(FRAME, "f.csv")[0] == b"a,b\n1,x\n2,y\n"
    assert output.dumps(FRAME.set_index("b"), "f.csv")[0] == b"b,a\nx,1\ny,2\n"
    assert output.loads(*output.dumps({"a": [1, None]}, "f.json")) == {"a": [1, None]}
    assert output.loads(*output.dumps("grün", "f.txt")) == "grün"
    assert (output.loads(*output.dumps(np.eye(3), "F.NPY")) == np.eye(3)).all()
    # A pickle of the user's own stays what they returned.
    assert output.loads(*output.dumps(pickle.dumps(1), "f.bin")) == pickle.dumps(1)
    with pytest.raises(TypeError, match="a value of type dict cannot be written as parquet: return a DataFrame"):
        output.dumps({}, "x/f.parquet")


@pytest.mark.parametrize("bad", ["bucket/x.csv", "bucket/{i}.csv", "{index}/x", "/tmp/{index}", "bucket/{index", 7, ""])
def test_what_is_no_address_for_many_values_is_said_in_one_line(bad: Any) -> None:
    with pytest.raises(MisuseError, match="to_s3 must be an address with the task's number, such as") as caught:
        lithops_magic.MapOptions(to_s3=bad)
    assert "\n" not in str(caught.value)


def test_values_stay_where_their_tasks_wrote_them(bucket: Any) -> None:
    def work(number: int) -> Any:
        return None if number == 2 else {"square": number**2}

    result = lmap(work, range(4), to_s3="s3://data-output/squares/{index:03}.json", chunksize=2)
    assert [each.key for each in result if each] == ["squares/000.json", "squares/001.json", "squares/003.json"]
    assert result[2] is None
    assert [each.get() for each in result if each] == [{"square": 0}, {"square": 1}, {"square": 9}]
    assert bucket.get_object(Bucket="data-output", Key="squares/003.json")["Body"].read() == b'{"square": 9}'
    bucket.put_object(Bucket="data-output", Key="squares/000.json", Body=b"{}")
    with pytest.raises(OSError, match=r"squares/000\.json is not what the task wrote there"):
        result[0].get()


def test_another_process_reads_what_stayed_there_and_writes_nothing_when_it_looks_into_a_task(bucket: Any) -> None:
    result = lmap(lambda number: [number], [5, 6], to_s3="data-output/attached/{index}.json")
    store.connections.clear()
    data.connect("data-output/attached/{index}.json", SETTINGS)
    assert [each.get() for each in result.values()] == [[5], [6]]
    kept = output.Storing(lambda number: number, "data-output", "attached/{index}.json")
    assert kept(7) == 7
    assert result[0].get() == [5]
    # A function that a journal has is wrapped already, and is wrapped once.
    again = data.storing(kept, "data-output/attached/{index}.json", SETTINGS)
    assert not isinstance(again.__wrapped__, output.Storing)


def test_coroutines_errors_and_a_second_try_are_as_usual(bucket: Any) -> None:
    async def work(number: int, other: int) -> bytes:
        await asyncio.sleep(0)
        if number == 1 and not other:
            raise ValueError("not yet")
        return bytes([number + 65])

    result = lmap(work, [0, 1, 2], [0, 0, 0], to_s3="data-output/again/{index}", errors="keep")
    assert [*result.errors] == [1]
    assert result[2].read() == b"C"
    with pytest.raises(TaskError, match="not yet"):
        result[1]
    # The second try writes under the number that the task had.
    result.retry().wait()
    names = [each["Key"] for each in bucket.list_objects_v2(Bucket="data-output", Prefix="again/")["Contents"]]
    assert names == ["again/0", "again/2"]
    with pytest.raises(TaskError, match="there is no bucket data-nowhere"):
        lmap(lambda number: number, [1], to_s3="data-nowhere/{index}")


def test_what_reduces_reads_what_stayed_in_s3(bucket: Any) -> None:
    def added(references: list[Any]) -> int:
        return sum(sum(each.get()) for each in references)

    result = lmap(lambda number: [number] * 3, [3, 4], to_s3="data-output/lists/{index}.json", reduce=added)
    assert result.reduced == 21
    assert [each.kind for each in result] == ["json", "json"]


def test_a_format_that_cannot_be_shipped_is_said_before_anything_is_sent(
    local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MisuseError, match=r"to_s3: 'b/\{index\}\.parquet' needs pyarrow here: pip install pyarrow"):
        lmap(abs, [1], to_s3="b/{index}.parquet")


def test_values_are_reduced_by_the_object_they_are_of(bucket: Any) -> None:
    for key, lines in (("by/a", 5), ("by/b", 0), ("by/c", 2)):
        bucket.put_object(Bucket="data-output", Key=key, Body=b"line\n" * lines)
    items = lithops_magic.s3("data-output/by/", chunk=6)
    result = lmap(lambda obj: len(obj.data_stream.readlines()), items, reduce=sum, reduce_by="key")
    assert result.reduced == {"by/a": 5, "by/b": 0, "by/c": 2}
    assert len(result) == 5 + 1 + 2


def test_values_are_reduced_by_what_dictionaries_have(local_aws: LocalAws) -> None:
    rows = [{"kind": kind, "n": number} for number, kind in enumerate("abcab")]
    assert lmap(lambda row: row["n"], rows, reduce=max, reduce_by="kind").reduced == {"a": 3, "b": 4, "c": 2}
    with pytest.raises(MisuseError, match="has no 'colour' that can name a group"):
        _ = lmap(lambda row: row["n"], rows, reduce=max, reduce_by="colour").reduced


def test_what_does_not_go_together_is_said(local_aws: LocalAws) -> None:
    with pytest.raises(MisuseError, match="reduce_by needs a function to reduce with"):
        lmap(abs, [1], reduce_by="key")
    with pytest.raises(MisuseError, match="leave out cache or to_s3"):
        lithops_magic.MapOptions(cache=True, to_s3="bucket/{index}")
    with pytest.raises(MisuseError, match="reduce_by must be the name of an attribute"):
        lithops_magic.MapOptions(reduce_by=3)


def test_who_may_not_write_is_told_how_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import ClientError

    class Denied:
        def put_object(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")

    monkeypatch.setitem(store.connections, "mine", Denied)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "as in a task")
    with pytest.raises(PermissionError, match="role create --writable-bucket mine` allows it"):
        output.Storing(str, "mine", "x/{index}")._stored("1", 0)
