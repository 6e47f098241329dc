"""What runs is what the notebook has of the user's own modules, whatever has become of their files."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lithops_magic.config import Settings
from lithops_magic.engine import MapResult, api

pytestmark = pytest.mark.usefixtures("local_aws")

SOURCE = """
from functools import lru_cache
FACTOR = 5
def scale(x):
    return x * FACTOR
class Model:
    def run(self, x):
        return scale(x) + 1
@lru_cache
def cached(x):
    return scale(x)
"""


def lmap(function: Callable[[int], object]) -> MapResult:
    return api.map(function, range(3), settings=Settings(local=True, memory=256))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "steps.py").write_text(SOURCE)
    (tmp_path / "above.py").write_text("import steps\ndef top(x):\n    return steps.Model().run(x)\n")
    importlib.invalidate_caches()
    yield importlib.import_module("steps")
    for name in ("steps", "above"):
        sys.modules.pop(name, None)


def edit(module: ModuleType) -> None:
    Path(str(module.__file__)).write_text("# a new line\n" + SOURCE.replace("x * FACTOR", "x * 7"))


def patch(module: ModuleType) -> None:
    module.scale = lambda x: x * 50  # type: ignore[attr-defined]


def set_global(module: ModuleType) -> None:
    module.FACTOR = 6  # type: ignore[attr-defined]


def patch_method(module: ModuleType) -> None:
    module.Model.run = lambda self, x: -x


def add_global(module: ModuleType) -> None:
    module.OFFSET = 3  # type: ignore[attr-defined]
    module.scale = eval("lambda x: x + OFFSET", vars(module))  # type: ignore[attr-defined]


def delete(module: ModuleType) -> None:
    Path(str(module.__file__)).unlink()


@pytest.mark.parametrize("change", [edit, patch, set_global, patch_method, add_global, delete])
def test_tasks_run_what_the_notebook_has(module: ModuleType, change: Callable[[ModuleType], None]) -> None:
    above = importlib.import_module("above")
    change(module)
    run, scale = module.Model().run, module.scale
    for function in (run, scale, lambda x: module.Model().run(x), above.top, module.cached):
        result = lmap(function)
        assert list(result) == [function(x) for x in range(3)]
        if function is scale and change in (patch, add_global):
            continue  # it is not of the module
        (note,) = result.snapshot().notes
        assert "steps" in note
        assert "tasks run what the notebook has; importlib.reload(" in note


def test_what_does_not_differ_travels_by_name_and_nothing_is_said(module: ModuleType) -> None:
    file = Path(str(module.__file__))
    file.write_text("# only a comment\n\n" + SOURCE)
    result = lmap(module.Model().run)
    assert list(result) == [1, 6, 11]
    assert result.snapshot().notes == ()
    edit(module)
    importlib.reload(module)
    result = lmap(module.Model().run)
    assert list(result) == [1, 8, 15]
    assert result.snapshot().notes == ()


def test_a_function_that_imports_the_module_itself_is_told(module: ModuleType) -> None:
    def inside(x: int) -> object:
        import steps

        return steps.scale(x)

    set_global(module)
    (note,) = lmap(inside).snapshot().notes
    assert "the function imports what the file says; import it outside of the function" in note
