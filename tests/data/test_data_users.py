"""Libraries that read and write data in S3 themselves, within tasks and beside them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest

import lithops_magic
from lithops_magic.config import Settings
from localaws import LocalAws
from users import library

# We warn of other versions in tasks than here.
pytestmark = [pytest.mark.users, pytest.mark.filterwarnings("ignore")]

BUCKET = "data-users"
SETTINGS = Settings(local=True, memory=512, timeout=60)
TEXT = "n,name\n1,a\n2,ü\n"


@pytest.fixture(scope="module")
def bucket(local_aws: LocalAws) -> Iterator[Any]:
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="in.csv", Body=TEXT.encode())
    yield s3
    for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ()):
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    s3.delete_bucket(Bucket=BUCKET)


def lmap(function: Callable[..., Any], *items: Any, **options: Any) -> lithops_magic.MapResult:
    return lithops_magic.map(function, *items, settings=SETTINGS, **options)


def frame(n: int) -> pd.DataFrame:
    return pd.DataFrame({"n": range(n), "name": ["ü"] * n, "at": pd.date_range("2026-01-01", periods=n, tz="UTC")})


def test_parquet_that_tasks_wrote_is_read_back(bucket: Any) -> None:
    library("pyarrow")

    def work(n: int) -> Any:
        import pandas as pd

        at = pd.date_range("2026-01-01", periods=n, tz="UTC")
        return pd.DataFrame({"n": range(n), "name": ["ü"] * n, "at": at})

    result = lmap(work, [3, 0, 5], to_s3=f"{BUCKET}/frames/{{index}}.parquet")
    for index, (n, kept) in enumerate(zip([3, 0, 5], result, strict=True)):
        body = bucket.get_object(Bucket=BUCKET, Key=f"frames/{index}.parquet")["Body"].read()
        assert len(pd.read_parquet(io.BytesIO(body))) == n
        for read in (kept.get(), pd.read_parquet(io.BytesIO(body))):
            pd.testing.assert_frame_equal(read, frame(n), check_dtype=n > 0)

    def total(n: int) -> int:
        import pandas as pd
        from pyarrow import fs

        found, path = fs.FileSystem.from_uri(f"s3://data-users/frames/{n}.parquet")
        with found.open_input_file(path) as file:
            return int(pd.read_parquet(file).n.sum())

    assert lmap(total, [0, 1, 2]).values() == [3, 0, 10]


def test_paths_in_s3_are_opened_by_pandas_and_fsspec(bucket: Any) -> None:
    library("s3fs")

    def work(n: int) -> Any:
        import fsspec
        import pandas as pd

        table = pd.read_csv("s3://data-users/in.csv")
        table.assign(n=table.n * n).to_csv(f"s3://data-users/out/{n}.csv", index=False)
        with fsspec.open("s3://data-users/in.csv", "rt", encoding="utf-8") as file:
            return table.n.sum() * n, file.read(), sorted(fsspec.filesystem("s3").ls("data-users/"))

    for n, (total, text, names) in enumerate(lmap(work, [0, 1, 2])):
        assert (total, text) == (3 * n, TEXT)
        assert "data-users/in.csv" in names
        body = bucket.get_object(Bucket=BUCKET, Key=f"out/{n}.csv")["Body"].read().decode()
        assert body == TEXT.replace("2,", f"{2 * n},").replace("1,", f"{n},")


def test_paths_in_s3_are_opened_by_what_is_no_python(bucket: Any) -> None:
    library("obstore")

    def work(n: int) -> Any:
        import obstore

        return bytes(obstore.get(obstore.store.from_url("s3://data-users"), "in.csv").bytes()).decode()

    assert lmap(work, [0]).values() == [TEXT]
