"""Lists what is at an address, lazily and page by page."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lithops_magic.aws.explain import aws_errors
from lithops_magic.data.addresses import Address
from lithops_magic.data.inside import refusals
from lithops_magic.errors import AwsError, MisuseError
from lithops_magic.globs import matcher

if TYPE_CHECKING:
    from lithops_magic.aws.session import Cloud


@dataclass(frozen=True, slots=True)
class ListedObject:
    """A listed object, address or file."""

    address: Address
    key: str
    """The key in S3, else the address or path."""
    size: int
    """-1 if a web server does not say."""
    etag: str = ""
    ranges: bool = True
    """Whether ranges of it can be requested."""


@dataclass(frozen=True, slots=True)
class Page:
    """The result of one request."""

    found: tuple[ListedObject, ...]
    last: bool
    """Whether this is the last page."""


def pages(address: Address, cloud: Cloud | None, options: dict[str, str], version: str | None = None) -> Iterator[Page]:
    """Yield what is at an address; `cloud` is where S3 is, `version` that of a single object.

    Raises
    ------
    MisuseError
        There is nothing at the address.
    AwsError
        Access is denied.
    """
    if address.kind == "url":
        yield Page((_on_the_web(address),), True)
    elif address.kind == "path":
        yield Page(tuple(_files(address)), True)
    elif address.is_folder or address.is_pattern:
        assert cloud is not None
        yield from _listed(address, cloud, options)
    else:
        assert cloud is not None
        yield Page((_single(address, cloud, options, version),), True)


def _listed(address: Address, cloud: Cloud, options: dict[str, str]) -> Iterator[Page]:
    wanted = matcher(address.key) if address.is_pattern else None
    client: Any = cloud.client("s3")
    none, token = True, None
    while True:
        more: dict[str, str] = {"ContinuationToken": token} if token else {}
        with _said_clearly(address, "list", options):
            answer = client.list_objects_v2(Bucket=address.bucket, Prefix=address.prefix, **more, **options)
        token = answer.get("NextContinuationToken")
        found = tuple(
            ListedObject(address, entry["Key"], entry["Size"], entry["ETag"])
            for entry in answer.get("Contents", ())
            # The S3 console's placeholder for a folder is not data.
            if not (entry["Key"].endswith("/") and entry["Size"] == 0)
            and (wanted is None or wanted.fullmatch(entry["Key"]))
        )
        none = none and not found
        if none and not token:
            what = "matches" if wanted else "begins with" if address.key else "is in"
            raise MisuseError(f"s3: no object {what} {address}")
        yield Page(found, not token)
        if not token:
            return


def _single(address: Address, cloud: Cloud, options: dict[str, str], version: str | None) -> ListedObject:
    client: Any = cloud.client("s3")
    wanted = {"VersionId": version} if version else {}
    try:
        with _said_clearly(address, "read", options):
            head = client.head_object(Bucket=address.bucket, Key=address.key, **wanted, **options)
    except AwsError as error:
        if version and error.code in ("404", "400", "NoSuchVersion"):
            raise MisuseError(f"s3: there is no version {version!r} of {address}") from None
        if error.code not in ("404", "NoSuchKey", "NotFound"):
            raise
    else:
        return ListedObject(address, address.key, head["ContentLength"], head["ETag"])
    below = False
    with _said_clearly(address, "list", options), suppress(client.exceptions.NoSuchKey):
        answer = client.list_objects_v2(Bucket=address.bucket, Prefix=f"{address.key}/", MaxKeys=1, **options)
        below = bool(answer.get("Contents"))
    hint = f"; there are objects below it: write {address.text + '/'!r}" if below else ""
    raise MisuseError(f"s3: there is no object {address}{hint}")


@contextmanager
def _said_clearly(address: Address, verb: str, options: dict[str, str]) -> Iterator[None]:
    """Turn S3's refusals into one line with the address."""
    from botocore.exceptions import ClientError

    with aws_errors():
        try:
            yield
        except ClientError as error:
            code, refused = refusals.code_of(error), refusals.refusal(error, str(address), address.bucket, verb)
            if refused is None:
                raise
            if code == "NoSuchBucket":
                raise MisuseError(f"s3: there is no bucket {address.bucket!r}") from None
            paid = "; where requesters pay, write s3(…, requester_pays=True)" if code in refusals.DENIED else ""
            raise AwsError(f"s3: {refused}{'' if options else paid}.", code=code) from None


def _on_the_web(address: Address) -> ListedObject:
    import urllib.error
    import urllib.request

    # Identity, because ranges of a compressed transfer are not those of the file.
    headers = {"User-Agent": "lithops-magic", "Accept-Encoding": "identity"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(address.text, headers=headers, method="HEAD"), timeout=30
        ) as answer:
            told = answer.headers.get("Content-Length", "")
            size = int(told) if told.isdigit() else -1
            ranges = size >= 0 and answer.headers.get("Accept-Ranges", "").lower() == "bytes"
            etag = answer.headers.get("ETag", "")
    except urllib.error.HTTPError as error:
        raise MisuseError(f"s3: {address.text}: the server answers {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise MisuseError(f"s3: {address.text} cannot be reached: {reason}") from None
    return ListedObject(address, address.text, size, etag, ranges)


def _files(address: Address) -> Iterator[ListedObject]:
    path = Path(address.key)
    if path.is_dir():
        paths = sorted(each for each in path.iterdir() if each.is_file())
    elif path.is_file():
        paths = [path]
    else:
        paths = [Path(each) for each in sorted(glob.glob(address.key, recursive=True)) if Path(each).is_file()]  # noqa: PTH207
    if not paths:
        raise MisuseError(f"s3: there is no file {address.text!r} on this machine")
    for each in paths:
        try:
            status = os.stat(each)  # noqa: PTH116
        except OSError as error:
            raise MisuseError(f"s3: {each} cannot be read: {error.strerror}") from None
        yield ListedObject(address, str(each), status.st_size)
