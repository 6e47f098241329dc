"""`Storage`, cloud objects, and files that are objects: here and in tasks."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lithops_magic.lithops as lithops
from executor_help import notebook
from lithops_magic.errors import ConfigError, MisuseError
from lithops_magic.lithops.storage import Storage
from lithops_magic.lithops.storage.cloud_proxy import CloudFileProxy, CloudStorage, cloud_open
from lithops_magic.lithops.storage.utils import CloudObject, StorageConfigMismatchError, StorageNoSuchKeyError
from localaws import LocalAws

BUCKET = "users-own-bucket"
CONFIG = {"lithops": {"backend": "localhost", "storage": "localhost"}}


@pytest.fixture(scope="module")
def storage(local_aws: LocalAws) -> Iterator[Storage]:
    made = Storage(CONFIG)
    made.create_bucket(BUCKET)
    yield made
    made.delete_objects(BUCKET, made.list_keys(BUCKET))


@pytest.mark.parametrize(
    ("body", "data"),
    [
        ("tëxt", "tëxt".encode()),
        (b"bytes", b"bytes"),
        (bytearray(b"array"), b"array"),
        (memoryview(b"view"), b"view"),
        (b"", b""),
        (io.BytesIO(b"file"), b"file"),
        (io.StringIO("text file"), b"text file"),
    ],
)
def test_an_object_is_text_bytes_or_a_file(storage: Storage, body: Any, data: bytes) -> None:
    storage.put_object(BUCKET, "kinds/one", body)
    assert storage.get_object(BUCKET, "kinds/one") == data
    assert storage.get_object(BUCKET, "kinds/one", stream=True).read() == data
    assert int(storage.head_object(BUCKET, "kinds/one")["content-length"]) == len(data)


def test_a_part_of_an_object(storage: Storage) -> None:
    storage.put_object(BUCKET, "part", b"0123456789")
    assert storage.get_object(BUCKET, "part", extra_get_args={"Range": "bytes=2-4"}) == b"234"


def test_what_is_no_body_and_what_is_not_there(storage: Storage) -> None:
    with pytest.raises(MisuseError, match="text, bytes or a file"):
        storage.put_object(BUCKET, "wrong", 5)
    for ask in (storage.get_object, storage.head_object, storage.download_file):
        with pytest.raises(StorageNoSuchKeyError, match=f"No such key /{BUCKET}/nowhere found"):
            ask(BUCKET, "nowhere")
    with pytest.raises(StorageNoSuchKeyError):
        storage.head_bucket("no-such-bucket-at-all")
    with pytest.raises(StorageNoSuchKeyError):
        storage.list_keys("no-such-bucket-at-all")
    error = pickle.loads(pickle.dumps(StorageNoSuchKeyError("b", "k")))
    assert (error.bucket, error.key) == ("b", "k")


def test_listing_and_deleting(storage: Storage) -> None:
    names = [f"list/{number:04}.csv" for number in range(3)] + ["list/deep/x.csv", "list/y.txt"]
    for name in names:
        storage.put_object(BUCKET, name, name)
    assert storage.list_keys(BUCKET, "list/") == sorted(names)
    sizes = {each["Key"]: each["Size"] for each in storage.list_objects(BUCKET, "list/", "list/*.csv")}
    assert sizes == {name: len(name) for name in names[:3]}
    assert len(storage.list_objects(BUCKET, match_pattern="/list/**/*.csv")) == 4
    storage.delete_object(BUCKET, names[0])
    storage.delete_objects(BUCKET, [*names[1:], *(f"list/none-{number}" for number in range(1001))])
    assert storage.list_keys(BUCKET, "list/") == []


def test_a_text_is_no_list_of_keys(storage: Storage) -> None:
    for key in ("t", "text"):
        storage.put_object(BUCKET, key, "x")
    with pytest.raises(MisuseError, match="delete_object deletes one, such as 'text'"):
        storage.delete_objects(BUCKET, "text")
    assert storage.list_keys(BUCKET, "t") == ["t", "text"]
    storage.delete_objects(BUCKET, ("t", "text"))
    alone = storage.put_cloudobject("alone")
    storage.delete_cloudobjects(alone)
    with pytest.raises(StorageNoSuchKeyError):
        storage.get_cloudobject(alone)


def test_files_in_parts(storage: Storage, tmp_path: Path) -> None:
    data = os.urandom(9 * 2**20)
    (tmp_path / "large.bin").write_bytes(data)
    assert storage.upload_file(str(tmp_path / "large.bin"), BUCKET)
    assert storage.download_file(BUCKET, "large.bin", str(tmp_path / "deeper" / "again.bin"))
    assert (tmp_path / "deeper" / "again.bin").read_bytes() == data
    assert storage.get_client().head_object(Bucket=BUCKET, Key="large.bin")["ETag"].endswith('-2"')


def test_large_transfers_are_shown(storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[int] = []

    class Bar:
        def __init__(self, **options: Any) -> None:
            assert (options["total"], options["desc"]) == (3, "abc")

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, count: int) -> None:
            moved.append(count)

    monkeypatch.setattr("lithops_magic.lithops.storage.transfer.LARGE", 3)
    monkeypatch.setattr("lithops_magic.lithops.progress.bar", Bar)
    (tmp_path / "abc").write_bytes(b"abc")
    storage.upload_file(tmp_path / "abc", BUCKET)
    assert sum(moved) == 3


def test_cloud_objects(storage: Storage) -> None:
    one, other = storage.put_cloudobject("one"), storage.put_cloudobject(b"other", BUCKET, "cloud/other")
    assert (other.bucket, other.key, str(other)) == (
        BUCKET,
        "cloud/other",
        f"<CloudObject at aws_s3://{BUCKET}/cloud/other>",
    )
    assert (storage.get_cloudobject(one), storage.get_cloudobject(other, stream=True).read()) == (b"one", b"other")
    assert one.bucket == storage.bucket
    storage.delete_cloudobjects([one, other])
    for gone in (one, other):
        with pytest.raises(StorageNoSuchKeyError):
            storage.get_cloudobject(gone)
    with pytest.raises(StorageConfigMismatchError, match="this storage is aws_s3"):
        storage.get_cloudobject(CloudObject("ibm_cos", "b", "k"))
    with pytest.raises(MisuseError, match="what put_cloudobject returns, not str"):
        storage.get_cloudobject("key")  # type: ignore[arg-type]


def test_a_storage_travels(storage: Storage) -> None:
    again = pickle.loads(pickle.dumps(storage))
    assert again.get_cloudobject(storage.put_cloudobject("text")) == b"text"
    assert again.get_storage_config() == storage.get_storage_config()
    assert b"aws_secret" not in pickle.dumps(storage)


def test_a_bucket_that_is_configured_is_the_default(storage: Storage) -> None:
    mine = Storage({**CONFIG, "aws_s3": {"storage_bucket": BUCKET}})
    assert mine.bucket == BUCKET
    assert mine.put_cloudobject("x").bucket == BUCKET
    assert Storage(storage_config=mine.get_storage_config()).bucket == BUCKET


def test_storages_of_other_clouds_are_refused_in_a_sentence() -> None:
    for wrong in ({"backend": "ibm_cos"}, {"config": {"lithops": {"storage": "minio"}}}):
        with pytest.raises(ConfigError, match=r"is not Amazon S3.*use Lithops itself"):
            Storage(**wrong)  # type: ignore[arg-type]


# Files


@pytest.fixture(scope="module")
def cloud(storage: Storage) -> CloudStorage:
    return CloudStorage(CONFIG)


def test_files_that_are_objects(cloud: CloudStorage) -> None:
    os_ = CloudFileProxy(cloud)
    with os_.open("proxy/foo.txt", "w") as file:
        file.write("Hello world!\n")
    with os_.open("/proxy/deep/bytes", "wb") as file:
        file.write(b"\x00\xff")
    with os_.open("proxy/foo.txt", "a") as file:
        file.write("more")
    with os_.open("proxy/foo.txt") as file:
        assert (file.read(6), file.read()) == ("Hello ", "world!\nmore")
    assert os_.open("proxy/deep/bytes", "rb").read() == b"\x00\xff"
    assert os_.listdir("proxy") == ["deep", "foo.txt"]
    assert list(os_.walk("proxy")) == [("proxy", ["deep"], ["foo.txt"]), ("proxy/deep", [], ["bytes"])]
    assert [top for top, _, _ in os_.walk("proxy", topdown=False)] == ["proxy/deep", "proxy"]
    assert (os_.path.isfile("proxy/foo.txt"), os_.path.isfile("proxy"), os_.path.isdir("proxy")) == (True, False, True)
    assert (os_.path.exists("proxy/foo"), os_.path.getsize("proxy/deep/bytes")) == (False, 2)
    assert (os_.path.dirname("proxy/foo.txt"), os_.sep) == ("proxy", os.sep)
    os_.remove("proxy/foo.txt")
    with pytest.raises(FileNotFoundError):
        os_.open("proxy/foo.txt")
    with pytest.raises(FileExistsError):
        os_.open("proxy/deep/bytes", "x")
    with pytest.raises(ValueError, match="use r, w, a or x"):
        os_.open("proxy/foo.txt", "r+")


def test_a_file_whose_writing_fails_is_not_stored(cloud: CloudStorage) -> None:
    with pytest.raises(ZeroDivisionError), cloud_open("failed.txt", "w", cloud) as file:
        file.write(f"half{1 / 0}")
    with pytest.raises(FileNotFoundError):
        cloud_open("failed.txt", "r", cloud)


@given(st.text(max_size=50))
def test_text_is_read_as_it_was_written(text: str) -> None:
    kept: dict[str, bytes] = {}

    class Memory(CloudStorage):
        def put_data(self, path: str, data: Any) -> None:
            kept[path] = data.encode()

        def get_data(self, path: str) -> bytes:
            return kept[path]

    if not text.isascii():
        text = text.encode("utf-8", "ignore").decode()
    memory = Memory(CONFIG)
    with cloud_open("x", "w", memory) as file:
        file.write(text)
    assert cloud_open("x", "r", memory).read() == io.StringIO(text).read()


# In tasks

NAMES = notebook("""
    import lithops_magic.lithops as lithops
    from lithops_magic.lithops.storage import Storage
    from lithops_magic.lithops.storage.utils import StorageNoSuchKeyError

    def put(text, storage):
        return storage.put_cloudobject(text)

    def get(storage, obj_id):
        return storage.get_cloudobject(obj_id).decode()

    def own(text):
        made = Storage()
        try:
            made.get_object(made.bucket, "nowhere")
        except StorageNoSuchKeyError as error:
            return made.put_cloudobject(text), str(error)

    def write(name):
        with cloud("tasks/" + name, "w") as file:
            file.write("from " + name)
        return lithops.utils.is_lithops_worker()
""")


def test_tasks_are_given_the_storage_and_make_their_own(storage: Storage) -> None:
    with lithops.LocalhostExecutor(runtime_memory=256, runtime_timeout=20) as executor:
        found = executor.get_result(executor.map(NAMES["put"], ["a", "b"]))
        assert [storage.get_cloudobject(each) for each in found] == [b"a", b"b"]
        assert executor.get_result(executor.map(NAMES["get"], found)) == ["a", "b"]
        mine, said = executor.call_async(NAMES["own"], "c").result()
        assert storage.get_cloudobject(mine) == b"c"
        assert "No such key" in said
        NAMES["cloud"] = CloudFileProxy(CloudStorage(CONFIG)).open
        assert executor.get_result(executor.map(NAMES["write"], ["x"])) == [True]
        assert CloudFileProxy(CloudStorage(CONFIG)).open("tasks/x").read() == "from x"
    with pytest.raises(StorageNoSuchKeyError):
        storage.get_cloudobject(found[0])
    executor.clean(cs=[mine])
    with pytest.raises(StorageNoSuchKeyError):
        storage.get_cloudobject(mine)
