"""Reproducible zips: the same contents give the same bytes."""

from __future__ import annotations

import io
import itertools
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO

try:
    from isal.isal_zlib import compressobj, crc32

    _LEVEL, _MEMORY = 3, 2
    """isal's best level: five times as fast as zlib's 5, output a tenth larger; more memory makes libraries larger."""
except ImportError:  # not available for this processor
    from zlib import compressobj, crc32  # type: ignore[assignment]

    _LEVEL, _MEMORY = 5, zlib.DEF_MEM_LEVEL
    """A third faster than level 6, and hardly larger output."""

# The earliest time that a zip can hold: real times would give each build another digest, and thus another layer.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_FILE, _PROGRAM = 0o100644 << 16, 0o100755 << 16
CORES = os.cpu_count() or 1
_HEADER = 30
"""Bytes of a member's header before its name; they end with the lengths of the name and the extra field."""


Files = Iterable[tuple[str, Path | bytes]]
"""Names in the archive, each with contents or a path."""
Read = Callable[[Path], bytes]


def zip_bytes(files: Files) -> bytes:
    """Return a zip of `files`."""
    buffer = io.BytesIO()
    _write(buffer, files)
    return buffer.getvalue()


def zip_file(path: Path, files: Files, read: Read = Path.read_bytes, programs: str = "\0") -> int:
    """Write a zip of `files`, holding only a few in memory at once, and return the unzipped size in bytes.

    Parameters
    ----------
    read
        Returns the contents to store for a local file.
    programs
        Prefix of the names of files that are made executable; by default, no name has it.
    """
    with path.open("wb") as file:
        return _write(file, files, read, programs)


def join(path: Path, zips: Iterable[tuple[Path | bytes, str]]) -> None:
    """Merge zips into one, each below a folder, without recompressing anything.

    If two files have the same name, the first wins.
    """
    with path.open("wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for source, folder in zips:
            data = source if isinstance(source, bytes) else source.read_bytes()
            with zipfile.ZipFile(io.BytesIO(data)) as part:
                for member in part.infolist():
                    if f"{folder}{member.filename}" not in archive.NameToInfo:
                        _append(archive, file, _renamed(member, folder), _compressed(data, member))


def _renamed(member: zipfile.ZipInfo, folder: str) -> zipfile.ZipInfo:
    info = _info(f"{folder}{member.filename}", member.external_attr)
    info.CRC, info.file_size, info.compress_size = member.CRC, member.file_size, member.compress_size
    return info


def _compressed(data: bytes, member: zipfile.ZipInfo) -> bytes:
    # From the member's own header: its extra field may differ in length from the one in the central directory.
    name, extra = struct.unpack_from("<HH", data, member.header_offset + _HEADER - 4)
    start = member.header_offset + _HEADER + name + extra
    return data[start : start + member.compress_size]


def _write(file: IO[bytes], files: Files, read: Read = Path.read_bytes, programs: str = "\0") -> int:
    # In the same order on every machine.
    waiting, size = iter(sorted(files, key=lambda entry: entry[0])), 0
    # Compression releases the GIL, so threads use all cores.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, ThreadPoolExecutor(CORES) as pool:
        while some := list(itertools.islice(waiting, 64 * CORES)):
            for info, data in pool.map(partial(_member, read), some):
                if info.filename.startswith(programs):
                    info.external_attr = _PROGRAM
                _append(archive, file, info, data)
                size += info.file_size
    return size


def _member(read: Read, entry: tuple[str, Path | bytes]) -> tuple[zipfile.ZipInfo, bytes]:
    name, source = entry
    data = source if isinstance(source, bytes) else read(source)
    info = _info(name, _mode(source))
    info.CRC = crc32(data)
    info.file_size = len(data)
    deflate = compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, _MEMORY)
    compressed = deflate.compress(data) + deflate.flush()
    info.compress_size = len(compressed)
    return info, compressed


def _info(name: str, attributes: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    # Unix, also on Windows: otherwise unzipping ignores file modes, and the bytes differ by machine.
    info.create_system = 3
    info.external_attr = attributes
    return info


def _append(archive: zipfile.ZipFile, file: IO[bytes], info: zipfile.ZipInfo, compressed: bytes) -> None:
    """Do what `writestr` does, but with data that is compressed already."""
    info.header_offset = file.tell()
    file.write(info.FileHeader(zip64=False))
    file.write(compressed)
    archive.filelist.append(info)
    archive.NameToInfo[info.filename] = info
    archive.start_dir = file.tell()
    # Or closing would not write the central directory.
    archive._didModify = True  # type: ignore[attr-defined]


def _mode(source: Path | bytes) -> int:
    return _PROGRAM if isinstance(source, Path) and source.stat().st_mode & 0o100 else _FILE
