"""The `obj` of a task, an object or a part of one: `obj.key`, `obj.read()`, `obj.data_stream`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from . import reading, records, store


class Part:
    """An object's bytes: all of them, or the records that begin in a range.

    Attributes
    ----------
    part, total_parts : int
        The number of this part of its object, from 1, and the number of parts.
    start, stop : int
        The range; the last record may extend beyond it.
    size : int
        Bytes of the whole object; -1 if a web server does not say.
    key : str
        The object's key in S3, else its address or path.
    bucket : str or None
        Its bucket in S3.
    """

    bucket: str | None
    key: str

    # Subclasses pass all of their fields on; those after the sixth are theirs alone.
    def __init__(
        self, part: int, total_parts: int, start: int, stop: int, size: int, newline: bytes | None, *_: Any
    ) -> None:
        self.part, self.total_parts = part, total_parts
        self.start, self.stop, self.size = start, stop, size
        self._newline = newline

    @property
    def name(self) -> str:
        """The address of the object."""
        raise NotImplementedError

    @property
    def chunk_size(self) -> int:
        """Bytes of the range."""
        return self.stop - self.start

    @property
    def data_byte_range(self) -> tuple[int, int] | None:
        """First and last byte of the range, as Lithops has it; None for a whole object."""
        return None if self.total_parts == 1 else (self.start, self.stop - 1)

    @cached_property
    def data_stream(self) -> reading.Stream:
        """A binary file of these bytes, read ahead; its lines are the records."""
        refusal = ""
        if records.is_compressed(self.name):
            refusal = f"{self.name} is compressed: decompress the stream first, as gzip.open(obj.data_stream) does"
        return reading.Stream(self._chunks(), self._newline or b"\n", refusal)

    def read(self) -> bytes:
        """Return all these bytes, as often as it is called."""
        return b"".join(self._chunks())

    def _chunks(self) -> Iterator[bytes]:
        # Even an empty object is read, to notice if it has changed.
        if self.size <= 0:
            return iter([self._read(0, self.size)])
        if self._newline is None or self.total_parts == 1:
            return reading.ahead(self._read, self.start, self.stop, self.stop)
        at = records.scan_from(self._read, self.start, self._newline)
        end = min(self.size, self.stop + reading.TAIL)
        chunks = reading.ahead(self._read, at, end, self.size)
        return records.cut(chunks, at, self.start, self.stop, self._newline)

    def _read(self, low: int, high: int) -> bytes:
        raise NotImplementedError

    def _fields(self) -> tuple[Any, ...]:
        return self.part, self.total_parts, self.start, self.stop, self.size, self._newline

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._fields()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._fields() == self._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        if self.total_parts == 1:
            return f"<{self.name}: {f'{self.size:,} bytes' if self.size >= 0 else 'of unknown size'}>"
        return f"<{self.name}: part {self.part} of {self.total_parts}, {self.chunk_size:,} bytes>"


class S3Part(Part):
    """An object in S3, or a part of one.

    Attributes
    ----------
    bucket, key : str
        Where it is.
    etag : str
        Identifies this version of the object.
    """

    def __init__(self, *fields: Any) -> None:
        super().__init__(*fields)
        self.bucket, self.key, self.etag, self._options = fields[6:]

    @property
    def name(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def _read(self, low: int, high: int) -> bytes:
        return store.read_s3(str(self.bucket), self.key, low, high, self.size, self.etag, dict(self._options))

    def _fields(self) -> tuple[Any, ...]:
        return *super()._fields(), self.bucket, self.key, self.etag, self._options


class UrlPart(Part):
    """A web resource, or a part of it.

    Attributes
    ----------
    url : str
        The address, which is also its `key`.
    """

    def __init__(self, *fields: Any) -> None:
        super().__init__(*fields)
        self.url, self.etag = fields[6:]
        self.key, self.bucket = self.url, None

    @property
    def name(self) -> str:
        return str(self.url)

    def _read(self, low: int, high: int) -> bytes:
        return store.read_url(self.url, low, high, self.size, self.etag)

    def _fields(self) -> tuple[Any, ...]:
        return *super()._fields(), self.url, self.etag


class FilePart(Part):
    """A file of the notebook's machine, or a part of it; its bytes are sent with the item.

    Attributes
    ----------
    path : str
        The file's path there, which is also its `key`.
    """

    def __init__(self, *fields: Any) -> None:
        super().__init__(*fields)
        self.path, self._data = fields[6:]
        self.key, self.bucket = self.path, None

    @property
    def name(self) -> str:
        return str(self.path)

    def _chunks(self) -> Iterator[bytes]:
        return iter([self._data])

    def _fields(self) -> tuple[Any, ...]:
        return *super()._fields(), self.path, self._data
