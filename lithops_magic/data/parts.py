"""The ranges of an object's parts, and the parsing of sizes and separators."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lithops_magic.errors import MisuseError

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SIZE = re.compile(r"(\d+(?:_\d+)*|\d*\.\d+)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)


def ranges(size: int, chunk: int | None = None, number: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield the ranges of an object, in order; none is empty unless the object is.

    Parameters
    ----------
    size
        Bytes of the object.
    chunk
        Bytes per part; the last one may have fewer.
    number
        The number of parts instead, as equal as possible and at most one per byte.
    """
    if number is not None:
        count = max(1, min(number, size))
        # Integer arithmetic: ranges meet exactly, whatever the rounding.
        yield from ((size * each // count, size * (each + 1) // count) for each in range(count))
    elif chunk is None or size == 0:
        yield 0, size
    else:
        yield from ((start, min(start + chunk, size)) for start in range(0, size, chunk))


def count(size: int, chunk: int | None = None, number: int | None = None) -> int:
    """Return the number of ranges."""
    if number is not None:
        return max(1, min(number, size))
    return 1 if chunk is None or size == 0 else -(-size // chunk)


def chunk_size(value: object) -> int | None:
    """Parse the size of a part, such as ``"64MB"``, into bytes.

    Raises
    ------
    MisuseError
        It is not a size.
    """
    if value is None:
        return None
    size = _parsed(value)
    if size is None or size < 1:
        raise MisuseError(f"chunk must be a number of bytes or a size such as '64MB', at least one byte, not {value!r}")
    return size


def _parsed(value: object) -> int | None:
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip())
        if found is None:
            return None
        # Not always as a float, which cannot represent every large integer.
        size = (float if "." in found[1] else int)(found[1]) * _UNITS[found[2].lower()]
        return int(size) if size == int(size) else None
    try:
        return None if isinstance(value, bool | bytes) else value.__index__()  # type: ignore[attr-defined]
    except AttributeError:
        return None


def chunk_number(value: object) -> int | None:
    """Validate and return the number of parts of an object.

    Raises
    ------
    MisuseError
        It is not a positive number.
    """
    number = None if isinstance(value, str) else _parsed(value) if value is not None else 0
    if value is not None and (number is None or number < 1):
        raise MisuseError(f"obj_chunk_number must be a whole number of parts, at least 1, not {value!r}")
    return number or None


def separator(value: object) -> bytes | None:
    """Return the record separator as bytes; None to split an object anywhere.

    Raises
    ------
    MisuseError
        It is empty or of another type.
    """
    if value is None:
        return None
    found = value.encode() if isinstance(value, str) else bytes(value) if isinstance(value, bytes | bytearray) else b""
    if not found:
        raise MisuseError(f"newline must be what ends a record, such as '\\n', or None to cut anywhere, not {value!r}")
    return found
