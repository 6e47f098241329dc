"""What runs is what the notebook has of the user's own modules, whatever has become of their files."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import cloudpickle  # type: ignore[import-untyped]
import pytest

from lithops_magic.config import Settings
from lithops_magic.engine import MapResult, api
from lithops_magic.engine.wire.pickled_function import pack
from lithops_magic.packages import Request, differing, drift, need_of

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


def test_a_module_that_is_imported_anew_travels_by_name_again(module: ModuleType) -> None:
    """Whatever was pickled between its removal and its next import, such as another test's function."""
    edit(module)
    assert len(pack(module.scale, (), Request()).notes) == 1
    del sys.modules["steps"]
    pack(abs, (), Request())
    anew = importlib.import_module("steps")
    assert anew.scale(1) == 7
    assert "steps" in pack(anew.scale, (), Request()).need.names
    set_global(anew)
    assert len(pack(anew.scale, (), Request()).notes) == 1


def test_what_the_user_has_pickled_by_value_stays_so(module: ModuleType) -> None:
    drift.release()  # what an earlier test had pickled so
    cloudpickle.register_pickle_by_value(module)
    try:
        for _ in range(2):
            pack(module.scale, (), Request())
            assert "steps" in cloudpickle.list_registry_pickle_by_value()
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_a_function_that_imports_the_module_itself_is_told(module: ModuleType) -> None:
    def inside(x: int) -> object:
        import steps

        return steps.scale(x)

    set_global(module)
    (note,) = lmap(inside).snapshot().notes
    assert "the function imports what the file says; import it outside of the function" in note


CONFIGURED = """
import dataclasses
from types import SimpleNamespace
RATE = 60 * 60
TABLE = dict(a=1)
NAMES = set(["a"])
SPACE = SimpleNamespace(x=1)
class Plain:
    step = 2
    def __init__(self, size=3):
        self.size = size
        self.kept = [1, 2]
@dataclasses.dataclass
class Data:
    width: int = 4
    height: float = dataclasses.field(default=1.5)
PLAIN = Plain(5)
DATA = Data(width=7)
def helper(x):
    step = RATE = 1
    return x
def total(x):
    return [x, RATE, TABLE, sorted(NAMES), SPACE.x, Plain.step, PLAIN.size, DATA.width, Data.width, helper(x)]
"""

CHANGES = {
    "a computed number": "RATE = 7",
    "a dict that a call makes": "TABLE['a'] = 5",
    "a set": "NAMES.add('b')",
    "a namespace": "SPACE.x = 8",
    "a class's attribute": "Plain.step = 9",
    "an instance's attribute": "PLAIN.size = 9",
    "a new attribute": "PLAIN.more = 1",
    "a dataclass's instance": "DATA.width = 9",
    "a dataclass's default": "Data.width = 9",
    "a function that is none any more": "import functools; helper = functools.partial(pow, 3)",
}


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "configured.py").write_text(CONFIGURED)
    importlib.invalidate_caches()
    yield importlib.import_module("configured")
    sys.modules.pop("configured", None)


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_was_changed_is_found(configured: ModuleType, change: str) -> None:
    own = need_of({"configured": ""}, Request()).own
    assert differing(own, ["configured"]) == []
    exec(CHANGES[change], vars(configured))
    assert differing(own, ["configured"]) == ["configured"]


def test_what_was_changed_is_what_tasks_have(configured: ModuleType) -> None:
    assert lmap(configured.total).snapshot().notes == ()
    for change in CHANGES.values():
        exec(change, vars(configured))
    result = lmap(configured.total)
    assert list(result) == [configured.total(x) for x in range(3)]
    assert len(result.snapshot().notes) == 1


def test_modules_that_nobody_has_changed_do_not_differ() -> None:
    # In a process of its own: what modules remember, such as what was said already, differs after other tests.
    program = (
        "import sys, lithops_magic.engine.api, lithops_magic.engine.attach\n"
        "from lithops_magic.packages import drift\n"
        "names = [name for name in sys.modules if name.startswith('lithops_magic.engine.')]\n"
        "print(len(names) > 50, [name for name in names if drift._differs(sys.modules[name])])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "True []\n"


def test_the_order_that_a_set_happens_to_have_is_no_change(tmp_path: Path) -> None:
    sets = """
WORDS = {"ant", "bee", "cat", "dog", "elk"} | {"fox", "gnu"}
DEEP = [{"kinds": frozenset(["ant", "bee", "cat", "dog"])}, ({"elk", "fox", "gnu", "hen"}, 1)]
class Zoo:
    names = {"ant", "bee", "cat", "dog", "elk", "fox"}
"""
    (tmp_path / "sets.py").write_text(sets)
    ask = "print(drift._differs(sys.modules['sets']))"
    program = (
        f"import sets, sys; from lithops_magic.packages import drift; {ask}; sets.DEEP[0]['kinds'] |= {{'hen'}}; {ask}"
    )
    for seed in range(4):
        env = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(tmp_path)}
        run = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
        assert run.stdout.split() == ["False", "True"]
