"""Addresses of data: objects in S3, on the web, or files of this machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from lithops_magic.errors import MisuseError

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+._-]+)://")
_S3 = ("s3", "s3a", "s3n", "aws_s3")
# Wider than today's rules for names, which older buckets need not follow.
_BUCKET = re.compile(r"[a-zA-Z0-9._-]{1,255}")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_MAGIC = re.compile(r"[*?\[]")
_WANTED = "write 'bucket/prefix/*.csv', 's3://bucket/key', 'https://…' or the path of a file that begins with / or ./"


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address."""

    kind: Literal["s3", "url", "path"]
    text: str
    """As the user wrote it."""
    bucket: str = ""
    key: str = ""
    """In S3: a key, a prefix (empty or ending with a slash), or a pattern. Of a file: its path."""

    @property
    def is_pattern(self) -> bool:
        """Whether it means all keys that match a pattern."""
        return _MAGIC.search(self.key) is not None

    @property
    def is_folder(self) -> bool:
        """Whether it means all keys with a prefix."""
        return not self.key or self.key.endswith("/")

    @property
    def is_object(self) -> bool:
        """Whether it means a single object in S3."""
        return self.kind == "s3" and not self.is_pattern and not self.is_folder

    @property
    def prefix(self) -> str:
        """The common prefix of all of its keys."""
        found = _MAGIC.search(self.key)
        return self.key[: found.start()] if found else self.key

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.kind == "s3" else self.text


def parse(value: object) -> Address:
    """Parse an address.

    Raises
    ------
    MisuseError
        It is not the address of anything that can be read.
    """
    if isinstance(value, os.PathLike):
        return Address("path", os.fspath(value), key=os.fspath(value))
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise MisuseError(f"s3: {value!r} is not an address: {_WANTED}")
    scheme = _SCHEME.match(text)
    # Without a scheme, it is in S3 unless it clearly is a path.
    if scheme is None:
        if text.startswith(("/", "./", "../", "~")) or _WINDOWS.match(text):
            return Address("path", text, key=os.path.expanduser(text))  # noqa: PTH111 - a pattern is no path
        return _of_bucket(text, text)
    name = scheme[1].lower()
    if name in ("http", "https"):
        if not urlsplit(text).hostname:
            raise MisuseError(f"s3: {text!r} has no server name")
        return Address("url", text)
    if name == "file":
        return Address("path", text, key=unquote(urlsplit(text).path))
    if name not in _S3:
        raise MisuseError(f"s3: {text!r} is neither in S3 nor on the web: {_WANTED}")
    return _of_bucket(text[scheme.end() :], text)


def _of_bucket(rest: str, text: str) -> Address:
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise MisuseError(f"s3: {text!r}: {bucket!r} is not a bucket name; {_WANTED}")
    return Address("s3", text, bucket, key)
