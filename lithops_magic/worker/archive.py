"""Fetches packages that are too large for layers from S3 and unpacks them, once per sandbox.

They are checked before each job: a task may have emptied `/tmp`.
"""

# ruff: noqa: PTH101, PTH104, PTH107, PTH112, PTH118, PTH123 - importing pathlib would slow every cold start

from __future__ import annotations

import errno
import importlib
import json
import os
import site
import sys
from typing import Any

from .environment import PREFIX
from .store import CONNECT_TIMEOUT, DENIED, READ_TIMEOUT, TRIES, UNREACHABLE

VARIABLE = "LITHOPS_MAGIC_ARCHIVES"
"""Only those who can change the function's code can change this: its digests are as trustworthy as the code."""

_CHUNK = 2**20
ARCHIVES: list[dict[str, Any]] = json.loads(os.environ.get(VARIABLE, "[]"))


def install_archives() -> str:
    """Make the packages of all archives importable; return why that failed, or an empty string."""
    for archive in ARCHIVES:
        try:
            folder = _unpacked(archive)
        except ArchiveError as problem:
            return str(problem)
        packages = os.path.join(folder, "python")
        if packages not in sys.path:
            # After the worker's own folder, before layers and the runtime.
            sys.path.insert(1, packages)
            # Processes .pth files, as the runtime does for layers.
            site.addsitedir(packages)
        importlib.invalidate_caches()
    return ""


class ArchiveError(Exception):
    """A permanent failure: a retry would fail in the same way."""


def _unpacked(archive: dict[str, Any]) -> str:
    """Return the folder with an archive's contents, verified to be as they were unpacked."""
    import tempfile

    folder = os.path.join(tempfile.gettempdir(), f"{PREFIX}{archive['sha256'][:16]}")
    if _is_intact(folder):
        return folder
    # A task has changed it, or the sandbox was killed while unpacking.
    for leftover in (folder, f"{folder}.partial"):
        _remove(leftover)
    try:
        _fetch(archive, f"{folder}.zip")
        _unpack(f"{folder}.zip", folder)
    except OSError as error:
        for leftover in (folder, f"{folder}.partial", f"{folder}.zip"):
            _remove(leftover)
        if error.errno != errno.ENOSPC:
            raise
        raise ArchiveError(
            "The packages do not fit into the function's /tmp: give it more with --tmp (ephemeral_storage)."
        ) from error
    return folder


def _is_intact(folder: str) -> bool:
    try:
        with open(f"{folder}.seen") as file:
            return file.read() == _fingerprint(folder)
    except OSError:
        return False


def _fingerprint(folder: str) -> str:
    """Summarize a folder's files without reading them, ignoring bytecode that Python writes there."""
    count = size = newest = 0
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    count, size, newest = count + 1, size + status.st_size, max(newest, status.st_mtime_ns)
                elif entry.name != "__pycache__":
                    folders.append(entry.path)
    return f"{count} {size} {newest}"


def _remove(path: str) -> None:
    import shutil

    if os.path.isdir(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def _fetch(archive: dict[str, Any], path: str) -> None:
    """Download to `path`, and verify that it is what the notebook stored."""
    import hashlib

    digest = hashlib.sha256()
    loaded = set(sys.modules)
    body = _get(archive)
    with open(path, "wb") as file:
        while chunk := body.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != archive["sha256"]:
        os.remove(path)
        raise ArchiveError(f"The packages in {_address(archive)} are not the ones stored there, so they were not used.")
    # Modules of the runtime that boto3 imported must not hide the versions in the archive.
    for name in set(sys.modules) - loaded:
        if name.partition(".")[0] not in sys.stdlib_module_names:
            del sys.modules[name]


def _get(archive: dict[str, Any]) -> Any:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )
    location = {"Bucket": archive["bucket"], "Key": archive["key"], "ExpectedBucketOwner": archive["owner"]}
    try:
        return boto3.session.Session().client("s3", config=config).get_object(**location)["Body"]
    except ClientError as error:
        code = error.response["Error"]["Code"]
        remedy = "" if code.startswith("NoSuch") else f": {DENIED}"
        raise ArchiveError(f"The function cannot read the packages in {_address(archive)} ({code}){remedy}.") from error
    except BotoCoreError as error:
        raise ConnectionError(f"The packages could not be fetched: {UNREACHABLE} ({error})") from error


def extract(path: Any, folder: str) -> None:
    """Unpack a zip, and leave programs executable, which `extractall` does not."""
    import zipfile

    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            file = archive.extract(member, folder)
            if member.external_attr >> 16 & 0o100:
                os.chmod(file, 0o755)


def _unpack(path: str, folder: str) -> None:
    partial = f"{folder}.partial"
    extract(path, partial)
    os.remove(path)
    with open(f"{folder}.seen", "w") as note:
        note.write(_fingerprint(partial))
    os.rename(partial, folder)


def _address(archive: dict[str, Any]) -> str:
    return f"s3://{archive['bucket']}/{archive['key']}"
