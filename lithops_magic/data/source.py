"""`s3(…)`: objects or their parts as the items of a job."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from lithops_magic.data import addresses, listing, parts
from lithops_magic.data.inside import records, store
from lithops_magic.data.inside.objects import FilePart, Part, S3Part, UrlPart
from lithops_magic.errors import MisuseError

if TYPE_CHECKING:
    from lithops_magic.aws.session import Cloud
    from lithops_magic.config import Settings

PEEKED = 8
"""Pages listed in advance to know the number of tasks; with more keys, the job learns it as it goes."""


def s3(
    *address: str | os.PathLike[str],
    chunk: int | str | None = None,
    newline: str | bytes | None = "\n",
    obj_chunk_number: int | None = None,
    requester_pays: bool = False,
    version_id: str | None = None,
) -> Objects:
    r"""Return the objects at one or more addresses, or their parts, to map over.

    ``lithops_magic.map(f, lithops_magic.s3("bucket/logs/*.csv", chunk="64MB"))`` calls ``f(obj)`` for each. An `obj`
    has `bucket`, `key`, `part` (from 1), `total_parts` and `chunk_size`; ``obj.data_stream`` is a file of its bytes
    whose lines are the records, and ``obj.read()`` returns them all. If an object changes between listing and reading,
    its task fails.

    Parameters
    ----------
    address
        ``"bucket/key"``, ``"bucket/prefix/"`` for all keys with a prefix, ``"bucket/prefix/*.csv"`` (`*` stays
        within a segment, `**` does not), each also with ``s3://``; an http(s) address; a local path or pattern that
        begins with ``/``, ``./`` or ``~``, whose bytes are sent with the items.
    chunk
        Size of a part, such as ``"64MB"``: a part has the records that begin in its range, so each record is in
        exactly one. By default, objects are not split; compressed ones (.gz .bz2 .zst .xz) never are.
    newline
        Record separator; None splits anywhere.
    obj_chunk_number
        Split each object into this many parts, instead of `chunk`.
    requester_pays
        Pay for requests to a Requester Pays bucket.
    version_id
        Version to read, if the address is that of a single object.

    Raises
    ------
    MisuseError
        An argument is wrong. An address where there is nothing is reported when iterating.
    """
    if not address:
        raise MisuseError("s3: give an address, such as s3('bucket/prefix/*.csv')")
    where = [addresses.parse(each) for each in address]
    if version_id is not None and not (len(where) == 1 and where[0].is_object and isinstance(version_id, str)):
        raise MisuseError("s3: version_id is the version of one object: give its address, such as 'bucket/key'")
    return Objects(
        where,
        parts.chunk_size(chunk),
        parts.chunk_number(obj_chunk_number),
        parts.separator(newline),
        {"RequestPayer": "requester"} if requester_pays else {},
        version_id,
    )


class Objects:
    """The objects at some addresses, listed lazily and afresh at each iteration."""

    def __init__(
        self,
        where: list[addresses.Address],
        chunk: int | None,
        number: int | None,
        newline: bytes | None,
        options: dict[str, str],
        version: str | None = None,
        settings: Callable[[], Settings] | None = None,
    ) -> None:
        self._where, self._chunk, self._number, self._newline = where, chunk, number, newline
        self._options, self._version, self._settings = options, version, settings
        self._cloud: Cloud | None = None
        self._peeked: deque[listing.Page] = deque()
        self._pages: Iterator[listing.Page] | None = None

    def bound(self, settings: Callable[[], Settings]) -> Objects:
        """Return the same objects, as seen by the account of `settings`."""
        given = self._where, self._chunk, self._number, self._newline, self._options, self._version
        return Objects(*given, settings)

    def __iter__(self) -> Iterator[Part]:
        # What `len` has listed already is used once; another iteration lists afresh.
        pages, self._pages = self._pages or self._listed(), None
        peeked, self._peeked = self._peeked, deque()
        found = (part for page in chain(peeked, pages) for each in page.found for part in self._parts(each))
        # Errors in the address are raised before anything is deployed.
        first = next(found)
        return chain([first], found)

    def __len__(self) -> int:
        """Return the number of items.

        Raises
        ------
        TypeError
            There are too many keys to list them all first.
        """
        self._pages = self._pages or self._listed()
        try:
            while len(self._peeked) < PEEKED and (page := next(self._pages, None)) is not None:
                self._peeked.append(page)
        except BaseException:
            # So that the next iteration raises the error, too.
            self._pages = None
            self._peeked.clear()
            raise
        # A TypeError, as `len` raises for what has no length: callers then go on without a total.
        if len(self._peeked) == PEEKED:
            raise TypeError("the number of objects is not known before all are listed")
        return sum(self._count(each) for page in self._peeked for each in page.found)

    def __repr__(self) -> str:
        return f"s3({', '.join(repr(each.text) for each in self._where)})"

    def _listed(self) -> Iterator[listing.Page]:
        for address in self._where:
            cloud = self._connected() if address.kind == "s3" else None
            if cloud is not None:
                store.connections[address.bucket] = partial(cloud.client, "s3")
            yield from listing.pages(address, cloud, self._options, self._version)

    def _connected(self) -> Cloud:
        from lithops_magic import config
        from lithops_magic.aws.session import Cloud

        if self._cloud is None or not self._cloud.is_there():
            self._cloud = Cloud.connect(self._settings() if self._settings else config.load())
        return self._cloud

    def _cuts(self, found: listing.ListedObject) -> dict[str, int | None]:
        # These can be read only from the beginning, so that each part would read everything before it.
        if not found.ranges or found.size < 0 or records.is_compressed(found.key):
            return {"chunk": None, "number": None}
        return {"chunk": self._chunk, "number": self._number}

    def _count(self, found: listing.ListedObject) -> int:
        return parts.count(found.size, **self._cuts(found))

    def _parts(self, found: listing.ListedObject) -> Iterator[Part]:
        total = self._count(found)
        for number, (start, stop) in enumerate(parts.ranges(found.size, **self._cuts(found)), 1):
            fields = (number, total, start, stop, found.size, self._newline)
            yield self._part(found, fields)

    def _part(self, found: listing.ListedObject, fields: tuple[Any, ...]) -> Part:
        if found.address.kind == "s3":
            version = {"VersionId": self._version} if self._version else {}
            options = tuple({**self._options, **version}.items())
            return S3Part(*fields, found.address.bucket, found.key, found.etag, options)
        if found.address.kind == "url":
            return UrlPart(*fields, found.key, found.etag)
        return _of_file(found.key, fields)


def _of_file(path: str, fields: tuple[Any, ...]) -> FilePart:
    """Read a part of a file, as a task reads one of an object."""

    class Reader(Part):
        name = path

        def _read(self, low: int, high: int) -> bytes:
            with open(path, "rb") as file:  # noqa: PTH123
                file.seek(low)
                return file.read(high - low)

    try:
        return FilePart(*fields, path, Reader(*fields).read())
    except OSError as error:
        raise MisuseError(f"s3: {path} cannot be read: {error.strerror or error}") from None


def bound(items: Iterable[Any], settings: Settings) -> Iterable[Any]:
    """Return items; if they are objects, as the account of these settings sees them."""
    return items.bound(lambda: settings) if isinstance(items, Objects) else items


def octets(item: object) -> int:
    """Return how many bytes of data an item refers to; 0 if it is not one of ours."""
    if isinstance(item, tuple):
        return sum(max(0, each.chunk_size) for each in item if isinstance(each, Part))
    return max(0, item.chunk_size) if isinstance(item, Part) else 0
