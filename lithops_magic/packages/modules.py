"""Finds where a module comes from: the standard library, an installed distribution, or the user's own files."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from lithops_magic.packages import shipped_parts
from lithops_magic.packages.moment import Moment, moment
from lithops_magic.packages.zipped import unzipped

# What every sandbox has, or what always travels by value.
_EVERYWHERE = {"__main__", "__mp_main__", "cloudpickle", "awslambdaric", "lithops_magic", *sys.stdlib_module_names}

_SUFFIXES = (".py", *EXTENSION_SUFFIXES)
_EXTENDS = re.compile(rb"\b(?:extend_path|declare_namespace)\b")
_STANDARD = sysconfig.get_path("stdlib") + os.sep


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest unit to ship for a module: a file, or the folder of a regular (not a namespace) package."""

    name: str
    path: Path
    """The file, or the package's folder."""
    root: Path
    """The folder on `sys.path` where it is found."""
    kind: Literal["installed", "local"]

    @property
    def is_package(self) -> bool:
        """Whether `path` is a folder."""
        return self.path.is_dir()

    @property
    def landmark(self) -> str:
        """The path under which an installed distribution lists it."""
        relative = self.path.relative_to(self.root).as_posix()
        return f"{relative}/__init__.py" if self.is_package else relative

    def place(self, file: Path) -> str:
        """Return where one of its files, or a file beside a module, goes in a folder of packages.

        That is the module's name, whatever its file is called: a project may map names to other folders.
        """
        name = self.name.replace(".", "/")
        if self.is_package:
            return f"{name}/{file.relative_to(self.path).as_posix()}"
        if file == self.path:
            return f"{name}.{self.path.name.partition('.')[2]}"
        return (Path(name).parent / file.relative_to(self.path.parent)).as_posix()


def find_unit(name: str) -> Unit | None:
    """Return the unit to ship for the module `name`; None for builtin modules and for names that are not modules."""
    top = name.partition(".")[0]
    if (own := shipped_parts.find(name)) is not None:
        return Unit(*own, "local")
    if top in _EVERYWHERE and not _hides_the_standard_library_s(top):
        return None
    for prefix in accumulate(name.split("."), "{}.{}".format):
        # From the outermost package inward: asking for a submodule first would import the packages around it.
        origin = _origin(prefix)
        if origin is None:
            return None
        if origin.name:
            unit = _unit(prefix, origin)
            return unit if unit is None or unit.kind == "installed" else _part_elsewhere(name, unit)
    return None


def _part_elsewhere(name: str, unit: Unit) -> Unit:
    """Return the unit of a submodule that its project maps to another folder; else `unit`, the package around it."""
    folders: Any = [str(unit.path)]
    found = unit
    for prefix in list(accumulate(name.split("."), "{}.{}".format))[unit.name.count(".") + 1 :]:
        package = sys.modules.get(prefix.rpartition(".")[0])
        spec = _spec_in(prefix, getattr(package, "__path__", folders))
        if spec is None or not spec.origin or not spec.has_location:
            return found
        if not Path(spec.origin).is_relative_to(found.path) and (part := _unit(prefix, Path(spec.origin))):
            found = part
        folders = spec.submodule_search_locations or []
    return found


def _spec_in(name: str, folders: Iterable[str]) -> ModuleSpec | None:
    """Find a submodule without importing the package around it, which `importlib.util.find_spec` does."""
    if (module := sys.modules.get(name)) is not None:
        return getattr(module, "__spec__", None)
    finders = (getattr(finder, "find_spec", None) for finder in sys.meta_path)
    return next((spec for find in finders if find and (spec := find(name, folders))), None)


def part_in_another_folder(name: str, unit: Unit) -> Unit | None:
    """Return the unit of a module that an old namespace package has in another folder of `sys.path`.

    Such a package, `unit`, is a regular one that extends its path to these folders when it is imported.
    """
    init = unit.path / "__init__.py"
    if not init.is_file() or not _extends_its_path(init, moment(init.stat())):
        return None
    others = [Path(folder) for folder in sys.path if Path(folder) != unit.root]
    for prefix in list(accumulate(name.split("."), "{}.{}".format))[unit.name.count(".") + 1 :]:
        for base in (other.joinpath(*prefix.split(".")) for other in others):
            files = (base / "__init__.py", *(base.with_name(base.name + suffix) for suffix in _SUFFIXES))
            part = next((_unit(prefix, file) for file in files if file.is_file()), None)
            if part is not None and part.kind == "installed":
                return part
    return None


@functools.lru_cache(maxsize=256)
def _extends_its_path(init: Path, _moment: Moment) -> bool:
    return _EXTENDS.search(init.read_bytes()) is not None


def _hides_the_standard_library_s(name: str) -> bool:
    """Whether a file of the user's own, such as `profile.py`, was imported instead of the standard library's."""
    file = getattr(sys.modules.get(name), "__file__", None) if name in sys.stdlib_module_names else None
    if file is None or file.startswith(_STANDARD):
        return False
    unit = _unit(name, Path(file))
    return unit is not None and unit.kind == "local"


def namespace_folders(name: str) -> list[str]:
    """Return the folders of a namespace package; none if it is not one."""
    if any(_origin(prefix) != _NAMESPACE for prefix in accumulate(name.split("."), "{}.{}".format)):
        return []
    module = sys.modules.get(name)
    spec = None if module else importlib.util.find_spec(name)
    return list(getattr(module, "__path__", (spec and spec.submodule_search_locations) or ()))


def find_file(name: str) -> Path | None:
    """Return the file of one of the user's own modules; None if there is none."""
    unit = find_unit(name)
    if unit is None:
        return None
    base = unit.path.joinpath(*name.split(".")[unit.name.count(".") + 1 :])
    candidates = [base / "__init__.py", base.with_name(f"{base.name}.py"), base]
    candidates += [base / "__init__.pyc", base.with_name(f"{base.name}.pyc")]
    candidates += [base.with_name(base.name + suffix) for suffix in EXTENSION_SUFFIXES]
    return next((path for path in candidates if path.is_file()), None)


def is_own(file: Path) -> bool:
    """Whether a file, which may no longer exist, is the user's own: neither Python's nor installed."""
    return not str(file).startswith(_STANDARD) and _site_folders().isdisjoint(file.resolve().parents)


def is_compiled(path: Path) -> bool:
    """Whether `path` is an extension module."""
    return path.name.endswith(tuple(EXTENSION_SUFFIXES))


def _unit(name: str, origin: Path) -> Unit | None:
    zipped, origin = origin, origin if origin.is_file() else unzipped(origin)
    if not origin.is_file():
        return None
    is_package = origin.stem == "__init__"
    path = origin.parent if is_package else origin
    root = path.parents[name.count(".")]
    # Files in a zip belong to no installed distribution.
    installed = origin is zipped and _holds_distributions(root)
    return Unit(name, path, root, "installed" if installed else "local")


_NAMESPACE = Path()


def _origin(name: str) -> Path | None:
    """Return a module's file; `_NAMESPACE` for a namespace package; None if there is no such module."""
    module = sys.modules.get(name)
    # A loaded module tells where it came from, even if `sys.path` has changed since.
    spec: ModuleSpec | None = getattr(module, "__spec__", None)
    if module is None:
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            return None
    if spec is None:
        file = getattr(module, "__file__", None)
        # Old installers declare namespace packages in .pth files, which create modules that have only a path.
        is_namespace = file is None and hasattr(module, "__path__")
        return Path(file) if file else _NAMESPACE if is_namespace else None
    if spec.origin is None and spec.submodule_search_locations is not None:
        return _NAMESPACE
    return Path(spec.origin) if spec.origin and spec.has_location else None


@functools.cache
def _site_folders() -> frozenset[Path]:
    return frozenset(Path(folder).resolve() for folder in (*site.getsitepackages(), site.getusersitepackages()))


def _holds_distributions(root: Path) -> bool:
    """Whether installers put distributions into this folder, such as `site-packages` or a `pip install --target`."""
    return root.resolve() in _site_folders() or next(_metadata_folders(root), None) is not None


def _metadata_folders(root: Path) -> Iterator[Path]:
    return root.glob("*.dist-info")
