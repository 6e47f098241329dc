"""Strips what only debuggers and linkers need from compiled libraries, on any machine and for any processor."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MAGIC = b"\x7fELF\x02\x01"
"""64 bits, little-endian: what Lambda's processors run."""
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_NO_BITS = 8
"""Type of a section that takes up no space in the file."""

_FOR_TOOLS = (".symtab", ".strtab", ".shstrtab", ".debug_", ".comment", ".note.", ".gnu.build.attributes")
"""Name prefixes of sections that are not read at run time."""


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    start: int
    end: int


def strip(data: bytes) -> bytes:
    """Cut off the end of a library that is never loaded.

    The loader uses only the program headers. Data is cut only beyond all segments, and only if everything there is
    known to be for tools: programs may read sections of their own, or data appended to the file.
    """
    if not data.startswith(_MAGIC):
        return data
    try:
        end = _loaded(data)
        return _without_sections(data[:end]) if _is_for_tools(data, end) else data
    except (struct.error, ValueError, IndexError):
        return data


def _loaded(data: bytes) -> int:
    """Return the end of the last loaded byte range."""
    header = _HEADER.unpack_from(data)
    # e_phoff and e_phnum; below, e_shoff (6), e_shnum (12) and e_shstrndx (13) of the System V ABI.
    start, count = header[5], header[10]
    segments = (_SEGMENT.unpack_from(data, start + number * _SEGMENT.size) for number in range(count))
    end: int = max(start + count * _SEGMENT.size, *(segment[2] + segment[5] for segment in segments))
    return end


def _is_for_tools(data: bytes, end: int) -> bool:
    header = _HEADER.unpack_from(data)
    table, table_end = header[6], header[6] + header[12] * _SECTION.size
    sections = [section for section in _sections(data) if section.end > end]
    whole = max([table_end, *(section.end for section in sections)]) == len(data)
    return table >= end and whole and all(section.name.startswith(_FOR_TOOLS) for section in sections)


def _sections(data: bytes) -> Iterator[_Section]:
    header = _HEADER.unpack_from(data)
    table, count, names = header[6], header[12], header[13]
    entries = [_SECTION.unpack_from(data, table + number * _SECTION.size) for number in range(count)]
    for name, kind, _, _, start, size, *_ in entries[1:]:
        if kind != _NO_BITS:
            first = entries[names][4] + name
            yield _Section(data[first : data.index(b"\0", first)].decode(), start, start + size)


def _without_sections(data: bytes) -> bytes:
    header = list(_HEADER.unpack_from(data))
    # No section headers, rather than an offset beyond the end of the file.
    header[6] = header[12] = header[13] = 0
    return _HEADER.pack(*header) + data[_HEADER.size :]
