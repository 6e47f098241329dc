"""A placeholder for the package that started the job, so that modules importing it work in a sandbox too."""

from __future__ import annotations

import builtins
import sys
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any

from . import values

PACKAGE = "lithops_magic"
_IPYTHON = [f"IPython{name}" for name in ("", ".display", ".core", ".core.display", ".core.display_functions")]
"""The parts of IPython usable in a task: only displaying."""


class _StubType(type):
    """The metaclass of all placeholders: they can be imported, used as base classes, and in annotations."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _stub(f"{cls.__qualname__}.{name}")

    def __call__(cls, *args: Any, **options: Any) -> Any:
        # At import, a module may create settings or decorate; but a task must not mistake a placeholder for a result.
        if cls.__dict__.get("_is_stub") and not _is_importing():
            raise RuntimeError(
                f"{PACKAGE}.{cls.__qualname__} was called in a task, and a sandbox has no {PACKAGE}: a task cannot "
                "start a job. Return what is to be done next, and map that from the notebook"
            )
        if len(args) == 1 and callable(args[0]) and not options:
            return args[0]  # as a decorator it changes nothing
        return super().__call__(*args, **options)

    def __or__(cls, other: Any) -> Any:
        return cls

    __ror__ = __or__

    def __getitem__(cls, item: Any) -> Any:
        return cls


def _stub(name: str) -> Any:
    def __init__(self: Any, *args: Any, **options: Any) -> None:
        pass

    def __getattr__(self: Any, attribute: str) -> Any:
        return getattr(type(self), attribute)

    def __call__(self: Any, *args: Any, **options: Any) -> Any:
        return args[0] if len(args) == 1 and callable(args[0]) and not options else self

    members = {"__init__": __init__, "__getattr__": __getattr__, "__call__": __call__, "_is_stub": True}
    # Derived from Exception, so that `except` clauses and `raise` accept it.
    return _StubType(name, (Exception,), {**members, "__module__": PACKAGE, "__qualname__": name})


def _is_importing() -> bool:
    """Whether a module is currently being imported."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if getattr(frame.f_globals.get("__spec__"), "_initializing", False):
            return True
        frame = frame.f_back
    return False


class _Finder:
    """Finds the package and all of its modules, if no other finder does."""

    @staticmethod
    def find_spec(name: str, *_: Any) -> ModuleSpec | None:
        if name.partition(".")[0] != PACKAGE and name not in _IPYTHON:
            return None
        return ModuleSpec(name, _Finder, is_package=True)  # type: ignore[arg-type]

    @staticmethod
    def create_module(_: ModuleSpec) -> ModuleType | None:
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        if module.__name__ in _IPYTHON:
            vars(module).update(get_ipython=lambda: None, version_info=(9, 0), __getattr__=values.rich)
            if module.__name__ != "IPython":
                vars(module).update(display=values.display, clear_output=values.display)
            return
        known: dict[str, Any] = {}
        prefix = module.__name__.partition(".")[2]

        def __getattr__(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            if name not in known:
                known[name] = _stub(f"{prefix}.{name}" if prefix else name)
            return known[name]

        vars(module)["__getattr__"] = __getattr__


def install() -> None:
    """Make the placeholder importable where the package is not installed."""
    sys.modules.setdefault(values.__name__, values)
    vars(builtins)["display"] = values.display
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)
