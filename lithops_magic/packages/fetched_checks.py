"""Refuses what was fetched but would not run on Lambda, or is not what its publisher made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path

from packaging.utils import canonicalize_name

from lithops_magic.errors import NoBuild, PackageError
from lithops_magic.packages.compat import is_built_for, is_library
from lithops_magic.packages.distributions import is_pure
from lithops_magic.packages.metadata import edited_files, files_of, name_of, version_of
from lithops_magic.packages.platform import Target


def refuse_altered(folder: Path) -> None:
    """Refuse a wheel whose files do not match its own RECORD, because installers do not check.

    Raises
    ------
    PackageError
        A file does not match.
    """
    for distribution in _unpacked(folder):
        if file := next(edited_files(distribution, compiled=True), None):
            name = name_of(distribution)
            raise PackageError(
                f"{name} {version_of(distribution)} was altered or damaged: {file.name} is not the file that its "
                f"RECORD lists. `uv cache clean {name}` clears the download; if that does not help, do not use it."
            )


def refuse_unfit(folder: Path, pins: Mapping[str, str], target: Target) -> None:
    """Refuse the user's own wheels that do not run on the target, though their tags do not say so.

    `pip wheel` builds them for this very system.

    Raises
    ------
    PackageError
        There is such a wheel.
    """
    for distribution in _unpacked(folder):
        name = name_of(distribution)
        if " @ file:" not in pins.get(canonicalize_name(name), "") or target.here:
            continue
        for file in files_of(distribution):
            if is_library(file.path) and not is_built_for(file.path, target):
                image = ", or pass it to `lithops-magic image`" if target.image_is_newer else ""
                raise PackageError(
                    f"{file.name} in the wheel of {name} was not built for {target.describe()}: build the wheel in a "
                    f"manylinux container (cibuildwheel does){image}."
                )


def refuse_compiled(folder: Path, target: Target) -> None:
    """Refuse extension modules that were built on this machine and run only here."""
    for distribution in _unpacked(folder):
        if not is_pure(distribution):
            raise NoBuild(
                f"There is no wheel of {name_of(distribution)} {version_of(distribution)}, only source that has to "
                f"be compiled for {target.describe()}: build a wheel of it for Linux and pass it with "
                "--packages PATH.whl.",
                canonicalize_name(name_of(distribution)),
            )


def _unpacked(folder: Path) -> Iterator[Distribution]:
    return (Distribution.at(metadata) for metadata in sorted(folder.glob("*.dist-info")))
