"""Packages that a library uses if they are there: missed by a task, installed here, added by itself."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.engine.dispatch import supplements
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.engine.wire.reply import WorkerReply
from lithops_magic.errors import ImportFailed, PackageError, RemoteTraceback, facts
from lithops_magic.packages import Need, Request, Room, Target, missing_module, refusals
from lithops_magic.packages.distributions import Closure
from lithops_magic.packages.learned import remember
from lithops_magic.packages.need import need_of
from lithops_magic.packages.resolution import Resolution
from packages import installed_help as help
from packages.conftest import install

Run = Callable[..., MapResult]
supply = importlib.import_module("lithops_magic.packages.supply")
"""The module, which the package's function of the same name hides."""

FRONT = """
import importlib
import importlib.metadata
import importlib.util

try:
    import swift_engine
except ImportError:
    swift_engine = None

def direct():
    return importlib.import_module("swift_engine").NAME

def says_so():
    if swift_engine is None:
        raise ValueError("nothing to draw with: install swift-engine-extra")
    return swift_engine.NAME

def silent():
    return swift_engine.NAME

def unsupported():
    if swift_engine is None:
        raise ValueError("codec swift is not supported")
    return swift_engine.NAME

def called():
    run = getattr(swift_engine, "parts", None)
    return "swift" if swift_engine else run()

def unbound():
    try:
        from swift_engine import NAME
    except ImportError:
        pass
    return NAME

def refused():
    if importlib.util.find_spec("swift_engine") is None:
        raise NotImplementedError
    return "swift"

def by_distribution():
    try:
        return importlib.metadata.version("Swift_Engine.Extra")
    except importlib.metadata.PackageNotFoundError:
        raise OSError("cannot find the model swift_engine_extra") from None

def chained():
    try:
        import swift_engine.parts
    except ImportError as error:
        raise RuntimeError("no plot") from error
    return swift_engine.NAME

def hopeless():
    import surely_not_installed_anywhere_x

def hopeless_and_swallowed():
    try:
        import surely_not_installed_anywhere_x
    except ImportError:
        raise RuntimeError("Missing optional dependency 'surely_not_installed_anywhere_x'. Use pip.") from None
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A library with an optional part whose distribution has another name; nothing was learned yet."""
    root = tmp_path / "site"
    monkeypatch.syspath_prepend(root)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "cache"))
    help.wheel(root, "front_door", {"front_door/__init__.py": FRONT})
    help.wheel(
        root, "swift_engine_extra", {"swift_engine/__init__.py": "NAME = 'swift'\n", "swift_engine/parts.py": ""}
    )
    importlib.invalidate_caches()
    yield root
    for name in ("front_door", "swift_engine", "swift_engine.parts"):
        sys.modules.pop(name, None)


def notes(result: MapResult) -> list[str]:
    return [note for note in result.snapshot().notes if "asked for" in note]


@pytest.mark.parametrize(
    "way", ["direct", "says_so", "unsupported", "silent", "called", "unbound", "refused", "by_distribution", "chained"]
)
def test_what_is_missed_and_installed_here_is_added_and_the_tasks_run_again(site: Path, run: Run, way: str) -> None:
    def use(x: int) -> object:
        import front_door

        return getattr(front_door, way)()

    expected = "1" if way == "by_distribution" else "swift"
    result = run(use, range(5))
    assert result.values() == [expected] * 5, result.errors
    [note] = notes(result)
    assert "swift-engine-extra" in note
    again = run(use, range(2))
    assert again.values() == [expected] * 2
    assert notes(again) == []


def test_a_module_that_only_the_cell_asks_for_by_name(site: Path, run: Run) -> None:
    def use(x: str) -> str:
        import importlib

        return str(importlib.import_module(f"{x}_engine").NAME)

    assert run(use, ["swift"]).values() == ["swift"]
    again = run(use, ["swift"])
    assert (again.values(), notes(again)) == (["swift"], [])


@pytest.mark.parametrize("way", ["hopeless", "hopeless_and_swallowed"])
def test_what_is_not_installed_here_either_is_said_and_no_package_is_proposed(site: Path, run: Run, way: str) -> None:
    def use(x: int) -> object:
        import front_door

        return getattr(front_door, way)()

    [error] = run(use, [0]).errors.values()
    assert "surely_not_installed_anywhere_x" in str(error)
    assert "not installed where the notebook runs either" in str(error)
    assert "--packages" not in str(error)


def test_an_error_of_the_user_s_own_runs_nothing_twice(site: Path, run: Run, tmp_path: Path) -> None:
    def use(x: int) -> object:
        import front_door

        if front_door.swift_engine is None:
            raise ValueError("bad number")
        return "ran with more than was shipped"

    result = run(use, [0])
    assert "bad number" in str(result.errors[0])
    assert notes(result) == []


def test_no_task_runs_twice_where_that_is_forbidden_and_the_next_job_has_what_was_missed(site: Path, run: Run) -> None:
    def use(x: int) -> object:
        import front_door

        return front_door.direct()

    first = run(use, [0], retries=0)
    assert "swift" in str(first.errors[0])
    assert run(use, [0], retries=0).values() == ["swift"]


def test_nothing_is_added_where_nothing_is_to_be_shipped(site: Path, run: Run) -> None:
    def use(x: int) -> object:
        import front_door

        return front_door.direct()

    [error] = run(use, [0], packages="none").errors.values()
    assert "installed here" in str(error)
    assert "--packages front-door" in str(error)


def test_what_cannot_be_shipped_is_forgotten_again(site: Path, run: Run) -> None:
    def use(x: int) -> object:
        import front_door

        return front_door.direct() if x else "fine"

    help.write(
        site,
        {
            "swift_engine_extra-1.dist-info/WHEEL": "Tag: cp311-cp311-win_amd64\n",
            "swift_engine_extra-1.dist-info/RECORD": "swift_engine/__init__.py,,\nswift_engine/core.so,,\n",
            "swift_engine/core.so": "for another system",
        },
    )
    importlib.invalidate_caches()
    [error] = run(use, [0, 1]).errors.values()
    assert "cannot be shipped" in str(error)
    assert run(use, [0]).values() == ["fine"]
    # Without looking for a build again.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supply, "resolve", None)
        second = run(use, [0, 1])
    [error] = second.errors.values()
    assert "swift-engine-extra, which tasks asked for, cannot be shipped: There is no build" in str(error)


def _breaks(site: Path, version: str) -> None:
    """Install the optional part for another system."""
    for old in site.glob("swift_engine_extra-*.dist-info"):
        shutil.rmtree(old)
    help.wheel(site, "swift_engine_extra", {"swift_engine/core.so": "for another system"}, version=version)
    (site / f"swift_engine_extra-{version}.dist-info/WHEEL").write_text("Tag: cp311-cp311-win_amd64\n")
    importlib.invalidate_caches()


@pytest.mark.parametrize("learned", [True, False])  # or named by the function
def test_what_cannot_be_shipped_is_tried_again_only_when_something_changes(
    site: Path, monkeypatch: pytest.MonkeyPatch, learned: bool
) -> None:
    tries: list[str] = []
    resolve = supply.resolve

    def counted(closure: Closure, *others: Any) -> Resolution:
        tries.append(", ".join(sorted(closure.parts)))
        return resolve(closure, *others)

    def refused(target: Target) -> bool:
        """Whether it cannot be shipped beside a package that can."""
        if learned:
            remember({"swift-engine-extra": "front_door"})
        need = need_of({"front_door": "imported"}, Request())
        need = need if learned else replace(need, named=("swift-engine-extra",))
        found = supply.supply(need, target, lambda _: None, Room())
        told = "swift-engine-extra, which tasks asked for, cannot be shipped: There is no build of swift-engine-extra"
        assert found.refused.startswith(told) or not found.refused
        assert [one.name for one in found.layers[0].packages][:1] == ["front_door"]
        return bool(found.refused)

    monkeypatch.setattr(supply, "resolve", counted)
    target, other = Target(11, "x86_64"), Target(12, "arm64")
    both = "front-door, swift-engine-extra"
    _breaks(site, "1")
    assert refused(target)
    assert both in tries
    tries.clear()
    assert refused(target)
    assert tries == []
    if not learned:
        return
    assert refused(other)
    assert both in tries
    tries.clear()
    _breaks(site, "2")
    assert refused(target)
    assert both in tries
    tries.clear()
    monkeypatch.setenv("PIP_FIND_LINKS", str(site.parent))
    assert refused(target)
    assert both in tries


def test_a_broken_connection_is_no_reason_to_remember(site: Path) -> None:
    refusals.remember(
        {"swift-engine-extra": PackageError("The package index cannot be reached")}, Target(11, "x86_64"), ""
    )
    assert refusals.anywhere() == set()


def test_of_several_that_fail_for_one_package_the_one_that_was_asked_for_is_named() -> None:
    why = "There is no build of eccodeslib"
    reasons = {"cfgrib": (why, "eccodeslib"), "eccodes": (f"{why} either", "eccodeslib"), "other": ("too new", "")}
    told = f"cfgrib, other, which tasks asked for, cannot be shipped: {why}; too new"
    assert refusals.explain(reasons) == told
    # Once in a notebook.
    assert [*refusals.untold([told, "a"]), *refusals.untold([told, "a"])] == [told, "a", "a"]


def test_what_can_be_shipped_is_added_beside_what_cannot(site: Path, run: Run) -> None:
    def use(x: int) -> object:
        import importlib

        for name in ("ahead", "between", "last"):
            try:
                return importlib.import_module(f"{name}_engine").NAME
            except ImportError:
                continue
        raise ImportError("install ahead-engine, between-engine or last-engine")

    for name in ("ahead_engine", "between_engine", "last_engine"):
        help.wheel(site, name, {f"{name}/__init__.py": f"NAME = {name!r}\n"})
    for name in ("ahead_engine", "last_engine"):
        help.write(
            site,
            {
                f"{name}-1.dist-info/WHEEL": "Tag: cp311-cp311-win_amd64\n",
                f"{name}-1.dist-info/RECORD": f"{name}/__init__.py,,\n{name}/core.so,,\n",
                f"{name}/core.so": "for another system",
            },
        )
    importlib.invalidate_caches()
    result = run(use, [0, 1])
    assert result.values() == ["between_engine"] * 2, result.errors
    refused, added = sorted(notes(result))
    assert refused.startswith("ahead-engine, last-engine, which tasks asked for, cannot be shipped")
    assert "asked for between-engine, installed here: added" in added
    again = run(use, [0])
    assert again.values() == ["between_engine"]
    assert not any("added" in note for note in notes(again))


def test_what_is_there_in_another_version_is_not_added(site: Path) -> None:
    for name, added in (("swift_engine", {"swift-engine-extra": "it"}), ("swift_engine.parts", {})):
        error = ImportFailed("no")
        facts(error).traceback = RemoteTraceback("ModuleNotFoundError", f"No module named '{name}'")
        assert supplements.Supplements(Need()).new(error, (("it", name),)) == added


def test_a_missing_module_is_explained(site: Path, project: Callable[..., Path]) -> None:
    project({"beside_the_notebook.py": ""})
    assert "beside_the_notebook.py is your own" in missing_module.explain("beside_the_notebook")
    folder = project({"only_data/table.csv": ""}) / "only_data"
    assert missing_module.explain("only_data").endswith(f"no modules, only files: ship them with --files {folder}")
    assert missing_module.explain("swift_engine").endswith("--packages swift-engine-extra")
    # The package around it was found: shipped in another version, or the notebook has no such module either.
    for name in ("swift_engine.parts", "numpy.callback"):
        assert missing_module.explain(name).endswith(f"there has no {name}")
    assert "--packages setuptools" in missing_module.explain("pkg_resources") or "either" in missing_module.explain(
        "pkg_resources"
    )
    assert missing_module.explain("boto4") == "it is not installed where the notebook runs either"


def test_what_the_cell_did_without_is_noted_and_shipped_from_the_next_run_on(site: Path, run: Run) -> None:
    def use(x: int) -> str:
        import importlib.util

        # A name that is there as it stands would be shipped at once.
        return "swift" if importlib.util.find_spec("_".join(("swift", "engine"))) else "slow"

    first = run(use, [0])
    assert first.values() == ["slow"]
    assert any("found no swift-engine-extra" in note for note in first.snapshot().notes)
    again = run(use, [0])
    assert (again.values(), [*again.snapshot().notes]) == (["swift"], [])


@pytest.mark.parametrize(
    ("extra", "loaded", "told"),
    [
        ("fast", ["front_door", "swift_engine"], True),
        ("fast", ["swift_engine"], True),
        ("fast", [], True),  # as where only the function's body imports the library
        ("fast", ["front_door"], False),
        ("dev", ["front_door", "swift_engine"], False),
    ],
)
def test_an_optional_part_that_a_library_uses_here_and_not_there_is_noted(
    site: Path, monkeypatch: pytest.MonkeyPatch, extra: str, loaded: list[str], told: bool
) -> None:
    required = f"swift-engine-extra; extra == '{extra}'"
    help.wheel(site, "front_door", {"front_door/__init__.py": FRONT}, requires=required)
    importlib.invalidate_caches()
    for name in ("front_door", "swift_engine"):
        monkeypatch.setitem(sys.modules, name, importlib.import_module(name))
        if name not in loaded:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(supplements, "_said", set())
    asked = (("front_door", "swift_engine"), ("front_door", "surely_not_installed_anywhere_x"))
    worker = WorkerReply("s", True, {}, not_found=asked)
    found = list(supplements.Supplements(need_of({}, Request())).done_without(worker))
    assert [("without swift-engine-extra, which front-door uses here" in note) for note in found] == [True] * told
    assert not list(supplements.Supplements(need_of({}, Request())).done_without(worker))


HOST = """
import importlib.metadata

def groups():
    return importlib.metadata.entry_points()

class Manager:
    def load_all(self, group):
        return {
            point.name: point.load()
            for distribution in list(importlib.metadata.distributions())
            for point in distribution.entry_points
            if point.group == group
        }

def by_argument(name):
    [point] = importlib.metadata.entry_points(group="acme.codecs", name=name)
    return point.load()()

def by_select(name):
    found = {point.name: point for point in groups().select(group="acme.codecs")}
    if name not in found:
        raise LookupError(f"codec {name} unknown")
    return found[name].load()()

PREFIX = "acme"

def joined(name):
    [point] = importlib.metadata.entry_points().select(group=PREFIX + ".codecs", name=name)
    return point.load()()

def by_table(name):
    found = {}
    for distribution in importlib.metadata.distributions():
        for point in distribution.entry_points:
            found.setdefault(point.group, {})[point.name] = point
    return found[f"{PREFIX}.codecs"][name].load()()

def all_points():
    return importlib.metadata.entry_points()

class Around:
    def __init__(self, namespace):
        self.points = all_points().select(group=namespace)

def around(name):
    return {point.name: point for point in Around(".".join(("acme", "codecs"))).points}[name].load()()

def by_search(name):
    return Manager().load_all("acme.codecs")[name]()

def unnamed(name):
    for point in importlib.metadata.entry_points(group="acme.codecs"):
        return point.load()()
    raise RuntimeError("no codec plugin is available")
"""


@pytest.fixture
def codecs(site: Path) -> Iterator[Path]:
    """A library whose codecs are plugins of other distributions."""
    help.wheel(site, "acme_host", {"acme_host.py": HOST})
    for name in ("zig", "zag"):
        points = f"[acme.codecs]\n{name} = acme_{name}_parts:run\n[console_scripts]\n{name} = acme_{name}_parts:run\n"
        files = {f"acme_{name}_parts.py": f"def run():\n    return '{name}'\n"}
        help.wheel(site, f"acme_{name}", {**files, f"acme_{name}-1.dist-info/entry_points.txt": points})
    importlib.invalidate_caches()
    yield site
    for name in ("acme_host", "acme_zig_parts", "acme_zag_parts"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("way", ["by_argument", "by_select", "by_search", "unnamed", "joined", "by_table", "around"])
def test_plugins_that_only_entry_points_name_are_added(codecs: Path, run: Run, way: str) -> None:
    def use(name: str) -> str:
        import acme_host

        return str(getattr(acme_host, way)(name))

    result = run(use, ["zag"])
    [note] = notes(result)
    if way in ("by_argument", "unnamed", "joined", "by_table"):  # which error names none
        assert "acme-zag and acme-zig" in note
    else:
        assert ("acme-zag" in note, "acme-zig" in note) == (True, False)
        assert result.values() == ["zag"]
    assert result.values()[0] in ("zig", "zag")
    # What was added is not missing any longer.
    assert not any("ran without acme-zag" in note for note in result.snapshot().notes)
    again = run(use, ["zag"])
    assert (again.values(), notes(again)) == (result.values(), [])


def test_plugins_that_the_cell_did_without_are_noted_and_shipped_from_the_next_run_on(codecs: Path, run: Run) -> None:
    def use(_: int) -> list[str]:
        from importlib.metadata import entry_points

        return sorted(point.name for point in entry_points(group="acme.codecs"))

    first = run(use, [0])
    assert first.values() == [[]]
    assert any("found no acme-zag and acme-zig" in note for note in first.snapshot().notes)
    again = run(use, [0])
    assert (again.values(), [*again.snapshot().notes]) == ([["zag", "zig"]], [])


@pytest.mark.parametrize("is_installed", [False, True])
def test_a_parser_that_beautiful_soup_asks_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package_cache: Path, run: Run, is_installed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "layers"))
    monkeypatch.setenv("UV_CACHE_DIR", str(package_cache / "uv"))
    monkeypatch.syspath_prepend(tmp_path / "site")
    install(tmp_path / "site", "beautifulsoup4", *(["lxml"] if is_installed else []))
    importlib.invalidate_caches()
    if not is_installed and missing_module.distribution_of("lxml"):
        pytest.skip("this environment has lxml")

    def title(text: str) -> str:
        import bs4

        return str(bs4.BeautifulSoup(text, "lxml").title.string)

    result = run(title, ["<title>one</title>", "<title>two"])
    if is_installed:
        assert result.values() == ["one", "two"], result.errors
        [note] = notes(result)
        assert "lxml" in note
    else:
        errors = list(map(str, result.errors.values()))
        assert len(errors) == 2
        assert all("lxml is not installed where the notebook runs either" in error for error in errors)
        assert notes(result) == []
