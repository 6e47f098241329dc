"""What a task reads: a file like any other, ahead of time, and nothing of an object that is not the one listed."""

from __future__ import annotations

import bz2
import gzip
import io
import pickle
from typing import Any

import pandas as pd
import pytest
from botocore.exceptions import ClientError, ResponseStreamingError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lithops_magic.data import parts
from lithops_magic.data.inside import reading, store
from lithops_magic.data.inside.objects import S3Part


class Bucket:
    """What `get_object` of boto3's client does, with faults."""

    def __init__(self, data: bytes, *faults: Exception) -> None:
        self.data, self.faults, self.asked = data, list(faults), []

    def get_object(self, *, Range: str = "", IfMatch: str, **others: Any) -> dict[str, Any]:
        self.asked.append(Range)
        if self.faults:
            raise self.faults.pop(0)
        low, _, high = Range.removeprefix("bytes=").partition("-")
        return {"Body": io.BytesIO(self.data[int(low) : int(high) + 1] if Range else self.data)}


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "as the test wants"}}, "GetObject")


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("time.sleep", lambda _: None)

    def use(data: bytes, *faults: Exception) -> Bucket:
        bucket = Bucket(data, *faults)
        monkeypatch.setitem(store.connections, "b", lambda: bucket)
        return bucket

    return use


def objects(data: bytes, chunk: int | None, newline: bytes | None = b"\n", key: str = "k") -> list[S3Part]:
    spans = list(parts.ranges(len(data), chunk))
    made = [
        S3Part(number, len(spans), *span, len(data), newline, "b", key, '"etag"', ())
        for number, span in enumerate(spans, 1)
    ]
    return [pickle.loads(pickle.dumps(each)) for each in made]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(st.sampled_from([b"a", b"ab", b"a|", b"||", b"x" * 30])),
    st.sampled_from([b"\n", b"||", b"b", b"a|"]),
    st.integers(1, 9),
)
def test_lines_are_records_however_they_come(pieces: list[bytes], newline: bytes, buffer: int) -> None:
    whole = b"".join(pieces)
    *ended, last = whole.split(newline)
    expected = [line + newline for line in ended] + ([last] if last else [])
    chunks = [whole[low : low + buffer] for low in range(0, len(whole), buffer)]
    assert list(reading.Stream(iter(chunks), newline)) == expected
    assert reading.Stream(iter(chunks), newline).readlines() == expected
    assert reading.Stream(iter(chunks), newline).read() == whole
    by_pieces = reading.Stream(iter(chunks), newline)
    assert b"".join(iter(lambda: by_pieces.readline(3), b"")) == whole


def test_a_large_part_comes_in_few_requests_and_whole(serve: Any) -> None:
    line = b"0123456789abcde\n"
    data = line * (36 * 2**20 // len(line))
    bucket = serve(data)
    made = objects(data, 16 * 2**20 + 5)
    read = [each.read() for each in made]
    assert b"".join(read) == data
    assert all(each.endswith(b"\n") for each in read)
    assert len(bucket.asked) <= 6
    assert sum(len(line) for line in made[1].data_stream) == len(read[1])


@pytest.mark.parametrize(("size", "chunk"), [(0, 5), (1, 5), (1, None), (2, 1), (0, None)])
def test_the_smallest_objects_are_read(serve: Any, size: int, chunk: int | None) -> None:
    data = b"x" * size
    serve(data)
    assert b"".join(each.data_stream.read() for each in objects(data, chunk)) == data


def test_pandas_and_text_wrappers_read_a_part(serve: Any) -> None:
    data = b"a,b\n1,2\n3,4\n"
    serve(data)
    whole, first = objects(data, None)[0], objects(data, 4)[1]
    assert pd.read_csv(whole.data_stream).to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    assert list(io.TextIOWrapper(first.data_stream)) == ["1,2\n"]
    assert repr(whole) == "<s3://b/k: 12 bytes>"
    assert repr(first) == "<s3://b/k: part 2 of 3, 4 bytes>"


@pytest.mark.parametrize(("suffix", "module"), [(".gz", gzip), (".bz2", bz2)])
def test_compressed_bytes_have_no_lines_until_they_are_decompressed(serve: Any, suffix: str, module: Any) -> None:
    data = module.compress(b"one\ntwo\n")
    serve(data)
    made = objects(data, None, key=f"log{suffix}")[0]
    assert list(module.open(made.data_stream)) == [b"one\n", b"two\n"]
    for read in (lambda each: next(iter(each)), lambda each: each.readline(), lambda each: each.readlines()):
        with pytest.raises(io.UnsupportedOperation, match=f"log{suffix} is compressed: decompress the stream first"):
            read(objects(data, None, key=f"log{suffix}")[0].data_stream)


def test_what_breaks_off_is_asked_for_again(serve: Any) -> None:
    bucket = serve(b"one\ntwo\n", ResponseStreamingError(error="broken"), refused("SlowDown"), ConnectionResetError())
    assert objects(b"one\ntwo\n", None)[0].read() == b"one\ntwo\n"
    assert len(bucket.asked) == 4


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("PreconditionFailed", OSError, "s3://b/k changed after it was listed"),
        ("InvalidRange", OSError, "s3://b/k changed after it was listed"),
        ("AccessDenied", PermissionError, "may not read s3://b/k: `lithops-magic role create --bucket b` allows it"),
        ("NoSuchKey", FileNotFoundError, "s3://b/k was deleted after it was listed"),
        ("NoSuchBucket", FileNotFoundError, "there is no bucket b"),
        ("InvalidObjectState", OSError, "restore it"),
        ("KMS.DisabledException", OSError, "KMS.DisabledException"),
    ],
)
def test_what_does_not_pass_is_said_in_one_line(
    serve: Any, monkeypatch: pytest.MonkeyPatch, code: str, kind: type[Exception], said: str
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "as in a task")
    bucket = serve(b"data", refused(code))
    with pytest.raises(kind) as caught:
        objects(b"data", None)[0].read()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(bucket.asked) == 1


def test_an_object_that_was_empty_and_is_not_is_no_empty_one(serve: Any) -> None:
    serve(b"", refused("PreconditionFailed"))
    with pytest.raises(OSError, match="changed after it was listed"):
        objects(b"", None)[0].read()


def test_what_is_shorter_than_its_range_is_never_a_result(serve: Any) -> None:
    serve(b"short")
    with pytest.raises(OSError, match="5 of 9 bytes arrived"):
        objects(b"much long", None)[0].read()
