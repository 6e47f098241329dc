"""Listing: page by page, nothing before it is wanted, and what S3 refuses in one line."""

from __future__ import annotations

import fnmatch
from itertools import islice
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from lithops_magic import globs
from lithops_magic.data import addresses, listing
from lithops_magic.data.source import PEEKED, Objects, s3
from lithops_magic.errors import AwsError, MisuseError


class Cloud:
    """An account with a bucket of so many keys, or one that refuses."""

    def __init__(self, keys: int = 0, refusal: str = "") -> None:
        self.keys, self.refusal, self.calls = keys, refusal, 0

    def client(self, _: str) -> Any:
        return self

    def is_there(self) -> bool:
        return True

    def list_objects_v2(self, *, ContinuationToken: str = "0", **_: Any) -> dict[str, Any]:
        self._answer("ListObjectsV2")
        first = int(ContinuationToken)
        found = [{"Key": f"k/{n:07}", "Size": 10, "ETag": '"e"'} for n in range(first, min(first + 1000, self.keys))]
        more = {"NextContinuationToken": str(first + 1000)} if first + 1000 < self.keys else {}
        return {"Contents": found, **more}

    def head_object(self, **_: Any) -> Any:
        self._answer("HeadObject")
        return {"ContentLength": 3, "ETag": '"e"'}

    def _answer(self, operation: str) -> None:
        self.calls += 1
        if self.refusal:
            raise ClientError({"Error": {"Code": self.refusal, "Message": "Access Denied"}}, operation)


def of(cloud: Cloud, address: str, **options: Any) -> Objects:
    objects = s3(address, **options)
    objects._cloud = cloud  # type: ignore[assignment]
    return objects


def test_a_million_keys_are_listed_as_they_are_wanted() -> None:
    cloud = Cloud(1_000_000)
    objects = of(cloud, "bucket/k/*", chunk=4)
    with pytest.raises(TypeError, match="not known before all are listed"):
        len(objects)
    assert cloud.calls == PEEKED
    items = iter(objects)
    assert [each.part for each in islice(items, 4)] == [1, 2, 3, 1]
    assert cloud.calls == PEEKED
    assert next(islice(items, 3 * 1000 * PEEKED, None)).key == f"k/{1000 * PEEKED + 1:07}"
    assert cloud.calls == PEEKED + 1


def test_what_is_counted_is_not_listed_twice() -> None:
    cloud = Cloud(2500)
    objects = of(cloud, "bucket/k/", obj_chunk_number=2)
    assert len(objects) == 5000
    assert sum(1 for _ in objects) == 5000
    assert cloud.calls == 3
    # Another job sees what is there then.
    cloud.keys = 1
    assert len(list(objects)) == 2


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("bucket/k/*", "s3://bucket/k/* may not be listed: you need s3:ListBucket"),
        ("bucket/key", "s3://bucket/key may not be read: you need s3:GetObject"),
    ],
)
def test_who_may_not_see_it_is_told_what_that_takes(address: str, said: str) -> None:
    with pytest.raises(AwsError) as caught:
        iter(of(Cloud(refusal="AccessDenied"), address))
    assert said in str(caught.value)
    assert "lithops-magic policy user --bucket bucket" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_such_bucket_is_said_in_one_line() -> None:
    with pytest.raises(MisuseError, match="s3: there is no bucket 'bucket'"):
        iter(of(Cloud(refusal="NoSuchBucket"), "bucket/k/"))


@given(st.text("ab/*?", max_size=8), st.text("ab/", max_size=8))
def test_within_a_segment_patterns_are_those_of_a_shell(pattern: str, key: str) -> None:
    parts, segments = pattern.split("/"), key.split("/")
    if "**" not in pattern:
        expected = len(parts) == len(segments) and all(map(fnmatch.fnmatchcase, segments, parts))
        assert bool(globs.matcher(pattern).fullmatch(key)) is expected


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**", "a/b/c", True),
        ("a/**/z", "a/bz", False),
        ("a[0-9].csv", "a7.csv", True),
        ("a[!0-9].csv", "a7.csv", False),
        ("a[]].csv", "a].csv", True),
        ("a[.csv", "a[.csv", True),
        ("a+(b).csv", "a+(b).csv", True),
        ("a?b", "a/b", False),
        ("a[!x]b", "a/b", False),
        ("*.csv", "a.csv", True),
        ("*.csv", "a/b.csv", False),
        ("**", "a/b/c", True),
        ("[!a]", "b", True),
        ("[ab]", "c", False),
        ("a+b(1)", "a+b(1)", True),
    ],
)
def test_patterns_of_keys(pattern: str, key: str, matches: bool) -> None:
    assert bool(globs.matcher(pattern).fullmatch(key)) is matches


def test_addresses_of_every_kind() -> None:
    kinds = [
        addresses.parse(each).kind for each in ("b/k", "s3://b", "HTTPS://host/x", "./x", "~/x", "file:///x", "C:\\x")
    ]
    assert kinds == ["s3", "s3", "url", "path", "path", "path", "path"]
    assert addresses.parse("s3a://bucket/a/b").key == "a/b"
    assert listing.Page((), True).last
