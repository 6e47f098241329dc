"""Makes `import lithops` import this package instead."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

NAME = "lithops"
_MODULES = (
    "config",
    "constants",
    "executors",
    "future",
    "multiprocessing",
    "multiprocessing.config",
    "multiprocessing.pool",
    "multiprocessing.process",
    "retries",
    "storage",
    "storage.cloud_proxy",
    "storage.storage",
    "storage.utils",
    "util",
    "util.joblib",
    "utils",
    "version",
    "wait",
)


def install() -> None:
    """Replace Lithops, whether it is installed or not."""
    package = __package__
    sys.modules[NAME] = import_module(package)
    for name in _MODULES:
        sys.modules[f"{NAME}.{name}"] = import_module(f"{package}.{name}")


@contextmanager
def installed() -> Iterator[None]:
    """Replace Lithops within a block."""
    # Lithops itself may be installed and loaded; it is restored afterwards.
    before = {name: sys.modules.pop(name) for name in [*sys.modules] if f"{name}.".startswith(f"{NAME}.")}
    install()
    try:
        yield
    finally:
        for name in [*sys.modules]:
            if f"{name}.".startswith(f"{NAME}."):
                del sys.modules[name]
        sys.modules.update(before)


def run(program: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a program as `python program.py` does, with this package in place of Lithops, and return its globals."""
    __tracebackhide__ = True
    # `dont_inherit`: this module's own `from __future__` imports must not apply to the program.
    code = compile(program.read_bytes(), str(program), "exec", dont_inherit=True)
    # A module of its own, so that functions of the program are pickled by value, as a script's are.
    main = ModuleType("__main__")
    vars(main).update(__file__=str(program), __builtins__=builtins)
    before = sys.modules["__main__"], sys.argv, list(sys.path)
    sys.modules["__main__"], sys.argv = main, [str(program), *arguments]
    sys.path.insert(0, str(program.resolve().parent))
    try:
        with installed():
            exec(code, vars(main))
    finally:
        sys.modules["__main__"], sys.argv, sys.path[:] = before
    return vars(main)
