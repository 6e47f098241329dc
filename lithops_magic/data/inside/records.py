"""The bytes of a part: the records that begin in its range, from their first byte to the end of their separator.

A record begins at the start of the object and after each separator; separators are those of `bytes.split`, found from
the left without overlap. A part's start and its predecessor's end are computed from the same bytes in the same way, so
no record is in two parts, and none is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

COMPRESSED = (".gz", ".bz2", ".zst", ".zstd", ".xz")
"""Suffixes of objects that can only be read from the beginning."""

_LOOK = 4096
"""Bytes examined per step backward."""


def is_compressed(name: str) -> bool:
    """Whether, by its name, an object has to be read as a whole."""
    return name.lower().endswith(COMPRESSED)


def overlaps(newline: bytes) -> bool:
    """Whether two occurrences of a separator can overlap, like those of two line feeds within three."""
    return any(newline.startswith(newline[-size:]) for size in range(1, len(newline)))


def scan_from(read: Callable[[int, int], bytes], start: int, newline: bytes) -> int:
    """Return a position from which a search finds the same separators at or after `start` as `split` does.

    Parameters
    ----------
    read
        Returns the object's bytes between two positions; called only for a separator that can overlap.
    """
    before = start - len(newline)
    if before <= 0 or not overlaps(newline):
        return max(0, before)
    width = len(newline) - 1
    while before > 0:
        low = max(0, before - _LOOK)
        base = max(0, low - width)
        window = read(base, before + width)
        for position in range(before, low, -1):
            # No occurrence crosses this point: what follows does not depend on what comes before.
            if newline not in window[max(0, position - width - base) : position + width - base]:
                return position
        before = low
    return 0


def cut(chunks: Iterable[bytes], at: int, start: int, stop: int, newline: bytes) -> Iterator[bytes]:
    """Yield the bytes of the records that begin at `start` or later and before `stop`.

    Parameters
    ----------
    chunks
        The object's bytes from `at` to its end, in chunks of any size; only as many are consumed as needed.
    at
        What `scan_from` returned for `start`.
    """
    # If separators cannot overlap, only the one that ends at `stop` or later matters: no need to look at those within
    # the range.
    jump = 0 if overlaps(newline) else stop - len(newline)
    buffer, base, position = b"", at, at
    begun = start == 0
    if begun:
        position = max(0, jump)
    for chunk in chunks:
        buffer = buffer + chunk if buffer else chunk
        if not begun:
            position, begun = _end_of_separator(buffer, base, position, start, newline)
            buffer, base = buffer[position - base :], position
            if not begun:
                continue
            # No record begins in this range: the one before it extends beyond.
            if position >= stop:
                return
            position = max(position, jump)
        position, ended = _end_of_separator(buffer, base, position, stop, newline)
        if ready := buffer[: position - base]:
            yield ready
        base += len(ready)
        buffer = buffer[len(ready) :]
        if ended:
            return
    if begun and buffer:
        yield buffer


def _end_of_separator(buffer: bytes, base: int, position: int, goal: int, newline: bytes) -> tuple[int, bool]:
    """Return the end of the first separator ending at or after `goal`, and True; else where to continue, and False."""
    while (found := buffer.find(newline, position - base)) >= 0:
        position = base + found + len(newline)
        if position >= goal:
            return position, True
    # The buffer may end within a separator.
    return max(position, base + len(buffer) - len(newline) + 1), False
