"""Objects as items of real jobs: what tasks read is what lies in S3, and what cannot be read is said in one line."""

from __future__ import annotations

import gzip
import http.server
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import lithops_magic
from lithops_magic.config import Settings
from lithops_magic.errors import MisuseError, TaskError
from localaws import LocalAws
from serving import serving

BUCKET = "data-tests"
SETTINGS = Settings(local=True, memory=256)
LOGS = {f"logs/{day:02}.csv": b"".join(b"%d,%d\r\n" % (day, hour) for hour in range(day)) for day in range(12)}
OTHERS = {
    "logs/readme.txt": b"no csv",
    "logs/deep/13.csv": b"13,0\r\n",
    "logs/": b"",
    "words.txt": "eins zwei§drei§vier fünf§".encode() * 500,
    "packed.csv.gz": gzip.compress(b"1\n2\n3\n"),
    "odd/a[1].csv": b"x\n",
}


@pytest.fixture(scope="module")
def bucket(local_aws: LocalAws) -> Iterator[Any]:
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    for key, data in {**LOGS, **OTHERS}.items():
        s3.put_object(Bucket=BUCKET, Key=key, Body=data)
    yield s3
    for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def lmap(function: Callable[..., Any], *items: Any, **options: Any) -> lithops_magic.MapResult:
    return lithops_magic.map(function, *items, settings=SETTINGS, **options)


def keys(*address: Any, **options: Any) -> list[str]:
    found = lithops_magic.s3(*address, **options).bound(lambda: SETTINGS)
    assert len(list(found)) == len(found)
    return [each.key for each in found]


def described(obj: Any) -> tuple[str, str, int, int, list[bytes], int]:
    return obj.bucket, obj.key, obj.part, obj.total_parts, list(obj.data_stream), obj.chunk_size


@pytest.mark.no_cover
def test_the_records_of_all_parts_are_those_of_the_objects(bucket: Any) -> None:
    found = lmap(described, lithops_magic.s3(f"{BUCKET}/logs/*.csv", chunk=7, newline="\r\n"))
    records: dict[str, list[bytes]] = {}
    for name, key, part, total, lines, size in found:
        assert (name, 1 <= part <= total, size <= 7) == (BUCKET, True, True)
        records.setdefault(key, []).extend(lines)
    assert {key: b"".join(lines) for key, lines in records.items()} == LOGS
    assert all(line.endswith(b"\r\n") for lines in records.values() for line in lines)


def test_letters_of_two_bytes_end_records_too(bucket: Any) -> None:
    def count(obj: Any) -> Counter[str]:
        return Counter(line.decode() for line in obj.data_stream)

    def sum_of(counters: list[Counter[str]]) -> Counter[str]:
        return sum(counters, Counter())

    result = lmap(count, lithops_magic.s3(f"s3://{BUCKET}/words.txt", chunk="1KB", newline="§"), reduce=sum_of)
    words = OTHERS["words.txt"].decode().split("§")[:-1]
    assert result.reduced == Counter(f"{word}§" for word in words)
    assert len(result) == -(-len(OTHERS["words.txt"]) // 1024)


def test_compressed_objects_are_whole(bucket: Any) -> None:
    def total(obj: Any) -> int:
        return sum(int(line) for line in gzip.open(obj.data_stream))

    assert lmap(total, lithops_magic.s3(f"{BUCKET}/packed.csv.gz", chunk=3)).values() == [6]


def test_addresses_mean_what_they_say(bucket: Any) -> None:
    csv = sorted(LOGS)
    assert keys(f"{BUCKET}/logs/*.csv") == csv
    assert keys(f"s3://{BUCKET}/logs/0?.csv") == csv[:10]
    assert keys(f"{BUCKET}/logs/**/*.csv") == [*csv, "logs/deep/13.csv"]
    assert keys(f"{BUCKET}/logs/[!0]*.csv") == csv[10:]
    assert keys(f"{BUCKET}/logs/") == [*csv, "logs/deep/13.csv", "logs/readme.txt"]
    assert keys(f"{BUCKET}/words.txt", f"{BUCKET}/logs/deep/") == ["words.txt", "logs/deep/13.csv"]
    assert keys(f"{BUCKET}/odd/a[[]1].csv") == ["odd/a[1].csv"]
    listed = [key for key in keys(BUCKET) if not key.startswith("changing/")]  # those are another test's
    assert sorted(listed) == sorted({*LOGS, *OTHERS} - {"logs/"})
    assert keys(f"{BUCKET}/words.txt", obj_chunk_number=3) == ["words.txt"] * 3


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("data-tests-none/x/", "there is no bucket 'data-tests-none'"),
        ("data-tests-none/x.csv", "there is no bucket 'data-tests-none'"),
        (f"{BUCKET}/logs/*.parquet", f"no object matches s3://{BUCKET}/logs/*.parquet"),
        (f"{BUCKET}/nothing/", f"no object begins with s3://{BUCKET}/nothing/"),
        (
            f"{BUCKET}/logs",
            f"there is no object s3://{BUCKET}/logs; there are objects below it: write '{BUCKET}/logs/'",
        ),
        (f"{BUCKET}/none.csv", f"there is no object s3://{BUCKET}/none.csv"),
        ("/nowhere/at/all.csv", "there is no file '/nowhere/at/all.csv' on this machine"),
        ("http://127.0.0.1:9/x", "http://127.0.0.1:9/x cannot be reached"),
    ],
)
def test_where_nothing_is_one_line_says_so_before_anything_is_sent(bucket: Any, address: str, said: str) -> None:
    with pytest.raises(MisuseError) as caught:
        lmap(described, lithops_magic.s3(address))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["", None, 7, "gs://bucket/key", "-?/key", "http://", "s3://", ["b/k"]])
def test_what_is_no_address_is_said_in_one_line(address: Any) -> None:
    with pytest.raises(MisuseError) as caught:
        lithops_magic.s3(address)
    assert "\n" not in str(caught.value)


def test_an_object_that_changes_before_it_is_read_fails_its_task_only(bucket: Any) -> None:
    bucket.put_object(Bucket=BUCKET, Key="changing/a", Body=b"old\n")
    bucket.put_object(Bucket=BUCKET, Key="changing/b", Body=b"same\n")
    items = list(lithops_magic.s3(f"{BUCKET}/changing/").bound(lambda: SETTINGS))
    bucket.put_object(Bucket=BUCKET, Key="changing/a", Body=b"new\n")
    result = lmap(lambda obj: obj.read(), items, errors="keep")
    assert result[1] == b"same\n"
    with pytest.raises(TaskError, match="s3://data-tests/changing/a changed after it was listed"):
        result[0]
    assert "lithops_magic" not in result.errors[0].task.where


def test_many_keys_are_listed_only_as_far_as_they_are_needed(bucket: Any, local_aws: LocalAws) -> None:
    before = local_aws.requests().get("s3:ListObjectsV2", 0)
    pages = lithops_magic.s3(f"{BUCKET}/logs/").bound(lambda: SETTINGS)
    assert next(iter(pages)).key == "logs/00.csv"
    assert local_aws.requests()["s3:ListObjectsV2"] == before + 1


def test_several_iterables_and_other_iterators_take_objects_along(bucket: Any) -> None:
    def pair(obj: Any, number: int) -> tuple[str, int]:
        return obj.key, number + len(obj.read())

    result = lmap(pair, lithops_magic.s3(f"{BUCKET}/logs/0[12].csv"), [10, 20])
    assert result.values() == [("logs/01.csv", 15), ("logs/02.csv", 30)]
    assert result.snapshot().read == 15


def test_files_of_this_machine_travel_in_parts(tmp_path: Path, local_aws: LocalAws) -> None:
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\nthree")
    (tmp_path / "b.txt").write_bytes(b"")
    found = lmap(lambda obj: (obj.path, obj.part, list(obj.data_stream)), lithops_magic.s3(tmp_path, chunk=5))
    assert found.values() == [
        (f"{tmp_path}/a.txt", 1, [b"one\n", b"two\n"]),
        (f"{tmp_path}/a.txt", 2, [b"three"]),
        (f"{tmp_path}/a.txt", 3, []),
        (f"{tmp_path}/b.txt", 1, []),
    ]


@pytest.fixture
def web() -> Iterator[str]:
    data = b"".join(b"line %d\n" % number for number in range(1000))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET(body=False)

        def do_GET(self, body: bool = True) -> None:
            low, _, high = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            plain = self.path == "/plain"
            part = data if plain or not high else data[int(low) : int(high) + 1]
            self.send_response(206 if high and not plain else 200)
            if not plain:
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("ETag", '"one"')
            if high and not plain:
                self.send_header("Content-Range", f"bytes {low}-{high}/{len(data)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            if body:
                self.wfile.write(part)

        def log_message(self, *_: Any) -> None:
            pass

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


def test_what_is_on_the_web_is_read_in_ranges_where_the_server_has_them(web: str, local_aws: LocalAws) -> None:
    expected = [b"line %d\n" % number for number in range(1000)]
    items = lithops_magic.s3(f"{web}/ranges", f"{web}/plain", chunk=3000)
    found = lmap(lambda obj: (obj.url, list(obj.data_stream)), items).values()
    assert [line for url, lines in found for line in lines if url.endswith("ranges")] == expected
    assert [lines for url, lines in found if url.endswith("plain")] == [expected]
    assert len(found) == 4


def test_a_version_of_an_object_is_read(bucket: Any) -> None:
    bucket.create_bucket(Bucket="data-versions")
    bucket.put_bucket_versioning(Bucket="data-versions", VersioningConfiguration={"Status": "Enabled"})
    ids = [bucket.put_object(Bucket="data-versions", Key="k", Body=b"%d\n" % n * 5)["VersionId"] for n in range(3)]
    versions = [lithops_magic.s3("data-versions/k", chunk=4, version_id=version) for version in ids]
    parts = [list(one.bound(lambda: SETTINGS)) for one in versions]
    read = iter(lmap(lambda obj: obj.read(), [obj for each in parts for obj in each]))
    for number, each in enumerate(parts):
        assert b"".join(next(read) for _ in each) == b"%d\n" % number * 5
    assert lmap(lambda obj: obj.read(), lithops_magic.s3("data-versions/k"))[0] == b"2\n" * 5
    with pytest.raises(MisuseError, match="s3: there is no version 'none' of s3://data-versions/k"):
        list(lithops_magic.s3("data-versions/k", version_id="none").bound(lambda: SETTINGS))
    for address in ("data-versions/", "data-versions/*", "./file"):
        with pytest.raises(MisuseError, match="version_id is the version of one object"):
            lithops_magic.s3(address, version_id=ids[0])
