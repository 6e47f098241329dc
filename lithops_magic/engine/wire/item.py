"""The worker's wire format on the way out: one item as it stands in a request."""

from __future__ import annotations

import base64
import json
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import SerializationError
from lithops_magic.worker import packing
from lithops_magic.worker.culprit import locate


class ItemTooLarge(SerializationError):
    """An item does not fit in a request.

    Attributes
    ----------
    container : bytes
        The item as it was packed.
    """

    def __init__(self, container: bytes, size: int, room: int) -> None:
        super().__init__(
            f"The item takes {size:,} bytes in a request, AWS allows {room:,} beside the function: "
            "pass a name or an address instead and read the data inside the function."
        )
        self.container = container


@dataclass(frozen=True, slots=True)
class Prepared:
    """An item of an earlier process, as it stood in a request."""

    fragment: bytes = field(repr=False)

    def load(self, download: Callable[[Mapping[str, Any]], bytes] | None) -> Any:
        """Return the item.

        Raises
        ------
        LookupError
            It is in S3, and nothing can be brought from there.
        """
        fields: dict[str, Any] = json.loads(self.fragment)
        if "data" in fields:
            return packing.loads(base64.b64decode(fields["data"]))
        if download is None:
            raise LookupError(f"item {fields['id']} is in S3, where nobody looks for it")
        return packing.loads(download(fields))

    def __repr__(self) -> str:
        try:
            return repr(self.load(None))
        except Exception:  # what an item's own repr does is not known
            return "<an item of another process>"


def fragment(index: int, item: Any, room: int) -> bytes:
    """Pickle an item as it stands in a request.

    Raises
    ------
    ItemTooLarge
        It takes more than `room` bytes.
    SerializationError
        It cannot be pickled.
    """
    if isinstance(item, Prepared):
        return item.fragment
    try:
        data = packing.dumps(item)
    except Exception as error:
        text = f"The item cannot be pickled: {locate(item, 'item', error)}; send what the task can make it from"
        raise SerializationError(text) from error
    encoded = b'{"id":%d,"data":"%s"}' % (index, b2a_base64(data, newline=False))
    if len(encoded) > room:
        raise ItemTooLarge(data, len(encoded), room)
    return encoded


def spilled_fragment(index: int, item: Any, room: int, place: Place, *, again: bool = False) -> bytes:
    """Pickle an item as it stands in a request: itself, or a reference to S3, where it is put if it is too large.

    Raises
    ------
    SerializationError
        It cannot be pickled.
    AwsError
        S3 does not take it.
    """
    try:
        return fragment(index, item, room)
    except ItemTooLarge as large:
        reference = {"id": index, **place.upload(large.container, again=again)}
        return json.dumps(reference, separators=(",", ":")).encode()
