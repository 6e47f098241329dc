"""The worker's way to packages in S3, as a plain function."""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.packages.archive import zip_bytes
from lithops_magic.worker import archive
from localaws import LocalAws

BUCKET = "archives-of-the-worker"


@pytest.fixture(autouse=True)
def sandbox(local_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda's environment, and a `/tmp` of its own."""
    monkeypatch.setenv("AWS_REGION", local_aws.region)
    monkeypatch.setenv("AWS_DEFAULT_REGION", local_aws.region)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", local_aws.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", local_aws.secret_access_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", local_aws.endpoint_url)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def stored(
    local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """An archive in S3, as the function's environment tells the worker of it."""
    tool = tmp_path_factory.mktemp("tool") / "tool"
    tool.touch(0o755)
    packages = {"archived_x.py": b"value = 7\n", "tool": tool, "more.pth": b"more\n", "more/in_pth_x.py": b""}
    data = zip_bytes((f"python/{name}", content) for name, content in packages.items())  # type: ignore[misc]
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="packages.zip", Body=data)
    digest = hashlib.sha256(data).hexdigest()
    entry = {"bucket": BUCKET, "key": "packages.zip", "owner": local_aws.account_id, "sha256": digest}
    monkeypatch.setattr(archive, "ARCHIVES", [entry])
    return entry


def test_packages_are_fetched_and_unpacked_once(stored: dict[str, Any], tmp_path: Path, local_aws: LocalAws) -> None:
    folder = tmp_path / f"lithops-magic-{stored['sha256'][:16]}"
    # A sandbox may have been killed at any moment.
    (tmp_path / f"{folder.name}.partial").mkdir()
    (tmp_path / f"{folder.name}.zip").write_bytes(b"half")
    assert archive.install_archives() == ""
    assert importlib.import_module("archived_x").value == 7
    assert importlib.util.find_spec("in_pth_x") is not None
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, f"{folder.name}.seen"}
    assert (folder / "python" / "tool").stat().st_mode & 0o777 == 0o755
    assert sys.path[1] == str(folder / "python")
    before = local_aws.requests()
    assert archive.install_archives() == ""
    assert local_aws.requests() == before
    del sys.modules["archived_x"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"key": "missing.zip"}, f"The function cannot read the packages in s3://{BUCKET}/missing.zip (NoSuchKey)."),
        (
            {"sha256": "0" * 64},
            f"s3://{BUCKET}/packages.zip are not the ones stored there, so they were not used.",
        ),
    ],
)
def test_what_would_fail_again_is_said_in_one_line(
    stored: dict[str, Any], change: dict[str, str], told: str, tmp_path: Path
) -> None:
    stored.update(change)
    assert told in archive.install_archives()
    assert list(tmp_path.iterdir()) == []
    assert [stored] == archive.ARCHIVES


def test_what_the_function_may_not_read(stored: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert "(SignatureDoesNotMatch): give the execution role s3:GetObject" in archive.install_archives()


def test_a_full_disk(stored: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(path: str, folder: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)

    monkeypatch.setattr(archive, "_unpack", full)
    (tmp_path / f"lithops-magic-{stored['sha256'][:16]}.partial").mkdir()
    assert archive.install_archives() == (
        "The packages do not fit into the function's /tmp: give it more with --tmp (ephemeral_storage)."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["emptied", "deleted", "changed", "added", "a file"])
def test_what_a_task_did_to_the_packages_is_undone(
    stored: dict[str, Any], tmp_path: Path, local_aws: LocalAws, damage: str
) -> None:
    assert archive.install_archives() == ""
    folder = tmp_path / f"lithops-magic-{stored['sha256'][:16]}"
    module = folder / "python" / "archived_x.py"
    if damage == "emptied":
        module.write_bytes(b"")
    elif damage == "changed":
        module.write_bytes(b"value = 8\n")
    elif damage == "added":
        (folder / "python" / "other.py").touch()
    else:
        shutil.rmtree(folder)
        if damage == "a file":
            folder.touch()
    before = local_aws.requests()
    assert archive.install_archives() == ""
    assert local_aws.requests() != before
    assert module.read_bytes() == b"value = 7\n"
    assert not (folder / "python" / "other.py").exists()
    assert sys.path.count(str(folder / "python")) == 1


def test_what_another_attempt_may_cure_is_raised(stored: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(archive, "TRIES", 1)
    with pytest.raises(ConnectionError, match=r"The packages could not be fetched: S3 cannot be reached .* VPC"):
        archive.install_archives()
