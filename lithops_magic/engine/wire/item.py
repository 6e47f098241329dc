"""The wire format for items: one item as encoded in a request."""

from __future__ import annotations

import base64
import json
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lithops_magic import packages, user_code
from lithops_magic.engine.wire.pickling_advice import advice_to_send
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import SerializationError
from lithops_magic.worker import packing
from lithops_magic.worker.culprit import find


class ItemTooLarge(SerializationError):
    """An item does not fit in a request.

    Attributes
    ----------
    container : bytes
        The packed item.
    """

    def __init__(self, container: bytes, size: int, room: int) -> None:
        super().__init__(
            f"The item takes {size:,} bytes in a request, but AWS allows {room:,} in addition to the function: "
            "pass a name or an address instead and read the data inside the function."
        )
        self.container = container


@dataclass(frozen=True, slots=True)
class Prepared:
    """An item as it was when taken, whatever happened to the object since."""

    fragment: bytes = field(default=b"", repr=False)
    """As encoded in a request of an earlier process; empty if there was none."""
    container: bytes = field(default=b"", repr=False)
    """As packed in this process."""
    reach: packages.Reach | None = field(default=None, repr=False)
    """What it needs where it is unpickled; None if nothing, or if unknown."""
    drawn: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    """The random generators in it, with their states."""

    def load(self, download: Callable[[Mapping[str, Any]], bytes] | None) -> Any:
        """Return the item.

        Raises
        ------
        LookupError
            It is in S3, and downloading is not possible.
        """
        if self.container:
            return packing.loads(self.container)
        fields: dict[str, Any] = json.loads(self.fragment)
        if "data" in fields:
            return packing.loads(base64.b64decode(fields["data"]))
        if download is None:
            raise LookupError(f"item {fields['id']} is in S3, which is not read here")
        return packing.loads(download(fields))

    def __repr__(self) -> str:
        try:
            item = self.load(None)
        except BaseException:  # an item's own methods may raise anything
            return "<an item of another process>"
        try:
            return repr(item)
        except BaseException:
            return f"<{type(item).__qualname__}>"


def prepare(item: Any) -> Prepared:
    """Pickle an item in its current state.

    Raises
    ------
    SerializationError
        It cannot be pickled.
    """
    if isinstance(item, Prepared):
        return item
    try:
        # Plain values refer to no modules: no need to look for packages.
        if type(item) in packing.PLAIN:
            return Prepared(container=packing.dumps(item))
        buffers = packing.Buffers()
        data, reach = packages.dumps(item, buffers.take)
        # A generator in the same state in two items would give both tasks the same numbers, which the user is told.
        drawn = tuple((id(each), hash(packing.dumps(each))) for each in reach.generators)
        return Prepared(container=packing.pack(data, buffers.views), reach=reach, drawn=drawn)
    except BaseException as error:  # an item's own methods may raise anything, and only this item should fail
        # Only a person's interrupt ends the job; one that an item's own methods raise is that item's error.
        if user_code.is_interrupt(error):
            raise
        # Searching its parts would raise the interrupt again, as if the key had been pressed twice.
        own = isinstance(error, KeyboardInterrupt)
        part, reason = (item, "KeyboardInterrupt") if own else find(item, "item", error)
        raise SerializationError(f"The item cannot be pickled: {reason}; {advice_to_send(item, part)}") from error


def fragment(index: int, item: Any, room: int) -> bytes:
    """Return an item as encoded in a request.

    Raises
    ------
    ItemTooLarge
        It takes more than `room` bytes.
    SerializationError
        It cannot be pickled.
    """
    prepared = prepare(item)
    if prepared.fragment:
        return prepared.fragment
    # Formatted and not through `json`: base64 needs no escaping, and every task passes here.
    encoded = b'{"id":%d,"data":"%s"}' % (index, b2a_base64(prepared.container, newline=False))
    if len(encoded) > room:
        raise ItemTooLarge(prepared.container, len(encoded), room)
    return encoded


def spilled_fragment(index: int, item: Any, room: int, place: Place, *, recheck: bool = False) -> bytes:
    """Return an item as encoded in a request: inline, or, if it is too large, as a reference after uploading it to S3.

    Raises
    ------
    SerializationError
        It cannot be pickled.
    AwsError
        S3 refuses the upload.
    """
    try:
        return fragment(index, item, room)
    except ItemTooLarge as large:
        reference = {"id": index, **place.upload(large.container, recheck=recheck)}
        return json.dumps(reference, separators=(",", ":")).encode()
