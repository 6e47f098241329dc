"""Which bytes are a part's: the records that begin in its range, from their first byte to the end of their separator.

A record begins where the object does and behind each separator; separators are those of `bytes.split`, found from the
left without overlap. Where a part begins and the one before it ends is worked out from the same bytes in the same way:
so no record is in two parts, and none is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

COMPRESSED = (".gz", ".bz2", ".zst", ".zstd", ".xz")
"""What ends the name of an object that can only be read from its beginning."""

_LOOK = 4096
"""Bytes looked at in one step backwards."""


def is_compressed(name: str) -> bool:
    """Whether an object's name says that it has to be read as a whole."""
    return name.lower().endswith(COMPRESSED)


def overlaps(newline: bytes) -> bool:
    """Whether two occurrences of a separator can overlap, as those of a blank line can in three line feeds."""
    return any(newline.startswith(newline[-size:]) for size in range(1, len(newline)))


def scan_from(read: Callable[[int, int], bytes], start: int, newline: bytes) -> int:
    """Return a position from which a search finds the separators that end at `start` or later as `split` does.

    Parameters
    ----------
    read
        Returns the object's bytes from one position up to another; called only for a separator that can overlap.
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
            # No occurrence lies across it: what is found from here on does not depend on what is before.
            if newline not in window[max(0, position - width - base) : position + width - base]:
                return position
        before = low
    return 0


def cut(chunks: Iterable[bytes], at: int, start: int, stop: int, newline: bytes) -> Iterator[bytes]:
    """Yield the bytes of the records that begin at `start` or later and before `stop`.

    Parameters
    ----------
    chunks
        The object's bytes from `at` on, in pieces of any size, up to its end; only as many are taken as are needed.
    at
        What `scan_from` returned for `start`.
    """
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
    """Return where the first separator ends that ends at `goal` or later, and True; else where to search on."""
    while (found := buffer.find(newline, position - base)) >= 0:
        position = base + found + len(newline)
        if position >= goal:
            return position, True
    # The first bytes of a separator may be the last ones that are here.
    return max(position, base + len(buffer) - len(newline) + 1), False
