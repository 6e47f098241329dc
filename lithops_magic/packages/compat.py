"""Whether compiled code installed here runs on a target unchanged."""

from __future__ import annotations

import platform
import re
import struct
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution
from pathlib import Path

from lithops_magic.packages.editable import contents_of
from lithops_magic.packages.metadata import COMPILED, text
from lithops_magic.packages.platform import Target

_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_TAG = re.compile(r"(manylinux(?:1|2010|2014)|manylinux_(\d+)_(\d+))_(x86_64|aarch64)")
_SYMBOL = re.compile(rb"GLIBC_(\d+)\.(\d+)")
_SYSTEM = re.compile(r"(?:ld-linux.*|lib(?:c|m|pthread|dl|rt|util|gcc_s|stdc\+\+|z|resolv)\.so\.\d+|libpython3.*)")
"""Libraries that every runtime has."""
_OF_NUMPY_1, _OF_NUMPY_2 = re.compile(rb"numpy\.core\._?multiarray"), b"numpy._core"
"""Modules that provide NumPy's C API: code that knows the second name runs with both NumPy 1 and 2."""

_MACHINES = {62: "x86_64", 183: "aarch64"}
"""Processors in the header of an ELF file (System V ABI, `e_machine`)."""


def is_this_platform(target: Target) -> bool:
    """Whether builds for this machine may run on the target."""
    return target.here or (
        sys.platform == "linux" and platform.machine() == target.machine and sys.version_info.minor == target.minor
    )


def fits(distribution: Distribution, target: Target) -> bool:
    """Whether its installed files come from a wheel that the target accepts, too."""
    # Without a list of its files, nothing could be copied.
    if not is_this_platform(target) or not contents_of(distribution):
        return False
    if target.here:
        return True
    tags = (text(distribution, "WHEEL") or "").splitlines()
    return any(accepts(target, line) for line in tags if line.startswith("Tag:"))


def accepts(target: Target, wheel: str) -> bool:
    """Whether the target's C library and processor are among those in the name of a compiled wheel (PEP 600)."""
    return any(_fits(match, target) for match in _TAG.finditer(wheel))


def _fits(match: re.Match[str], target: Target) -> bool:
    needed = _LEGACY.get(match[1]) or (int(match[2]), int(match[3]))
    return match[4] == target.machine and needed <= _version(target)


def runs(paths: Iterable[Path], target: Target) -> bool:
    """Whether libraries need nothing but one another and what the target's system has, in the version it has."""
    if target.here:
        return True
    files = [path for path in paths if is_library(path)]
    brought = {path.name for path in files}
    return is_this_platform(target) and all(_runs(path, brought, target) for path in files)


def runs_installed(distribution: Distribution, target: Target) -> bool:
    """Whether all compiled files of an installed distribution run on the target."""
    paths = [file.path for file in contents_of(distribution)]
    return bool(paths) and runs(paths, target)


def is_of_numpy_1(paths: Iterable[Path]) -> bool:
    """Whether any library was compiled for NumPy 1 only and crashes with NumPy 2."""
    for path in paths:
        if path.name.endswith(".so") and path.is_file():
            data = path.read_bytes()
            if _OF_NUMPY_1.search(data) and _OF_NUMPY_2 not in data:
                return True
    return False


def is_library(path: Path) -> bool:
    """Whether a file holds compiled code."""
    return path.name.endswith(COMPILED) or ".so." in path.name


def is_built_for(path: Path, target: Target) -> bool:
    """Whether a library is for the target's processor, and needs no newer C library than the target's."""
    try:
        data = path.read_bytes()
        if data[:4] != b"\x7fELF" or _MACHINES.get(struct.unpack_from("<H", data, 18)[0]) != target.machine:
            return False
    except (OSError, struct.error):
        return False
    symbols = (tuple(map(int, match.groups())) for match in _SYMBOL.finditer(data))
    return max(symbols, default=(0,)) <= _version(target)


def _runs(path: Path, brought: set[str], target: Target) -> bool:
    if not is_built_for(path, target):
        return False
    try:
        return all(name in brought or _SYSTEM.fullmatch(name) for name in _needed(path.read_bytes()))
    except (OSError, struct.error, ValueError):
        return False


def _needed(data: bytes) -> Iterator[str]:
    """Yield the libraries that a 64-bit ELF file depends on."""
    # Offsets and numbers of the System V ABI: e_phoff, e_phentsize and e_phnum of the header; segments of type PT_LOAD
    # (1) and PT_DYNAMIC (2); entries DT_NEEDED (1) and DT_STRTAB (5). A library without section headers, which
    # `elf.strip` cuts off, can be read this way, too.
    start, size, count = (struct.unpack_from(kind, data, at)[0] for kind, at in (("<Q", 32), ("<H", 54), ("<H", 56)))
    segments = [struct.unpack_from("<IIQQQQ", data, start + number * size) for number in range(count)]
    dynamic = next(((segment[2], segment[5]) for segment in segments if segment[0] == 2), (0, 0))
    entries = [struct.unpack_from("<qQ", data, dynamic[0] + 16 * number) for number in range(dynamic[1] // 16)]
    table = next((value for tag, value in entries if tag == 5), 0)
    loaded = next((s for s in segments if s[0] == 1 and s[3] <= table < s[3] + s[5]), None)
    for tag, value in entries if loaded else ():
        if tag == 1 and loaded:
            first = loaded[2] + table - loaded[3] + value
            yield data[first : data.index(b"\0", first)].decode()


def _version(target: Target) -> tuple[int, ...]:
    return tuple(map(int, target.glibc.split(".")))
