"""Programs of installed distributions that only a string names."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lithops_magic.engine.dispatch import failures
from lithops_magic.engine.durable import recipe
from lithops_magic.engine.result.map_result import MapResult
from lithops_magic.errors import RemoteFrame, RemoteTraceback
from lithops_magic.packages import Need
from lithops_magic.packages.plugins import owners_of_searched
from lithops_magic.packages.programs import owners_of_called
from packages import installed_help as help

Run = Callable[..., MapResult]

SCRIPT = "#!/usr/bin/env python3\nimport deep_tool\nprint(deep_tool.NAME)\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution whose program is called otherwise, and that no code imports; nothing was learned yet."""
    root = tmp_path / "site"
    monkeypatch.syspath_prepend(root)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("LITHOPS_MAGIC_CACHE_DIR", str(tmp_path / "cache"))
    help.wheel(root, "deep_tool", {"deep_tool.py": "NAME = 'deep'\n", "bin/deptool": SCRIPT})
    (root / "bin/deptool").chmod(0o755)
    importlib.invalidate_caches()
    yield root
    sys.modules.pop("deep_tool", None)


def by_list() -> str:
    return subprocess.run(["deptool"], capture_output=True, text=True, check=True).stdout


def by_shell() -> str:
    return subprocess.check_output("echo deep | cat; deptool -x", shell=True, text=True)[5:]


def by_two_words() -> str:
    return subprocess.getoutput("deptool --version")


def if_there() -> str:
    return "deep\n" if shutil.which("deptool") else "there is no such program"


def in_a_loop() -> str:
    async def run() -> bytes:
        process = await asyncio.create_subprocess_exec("deptool", "-a", "-b", stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0]

    return asyncio.run(run()).decode()


@pytest.mark.parametrize("function", [by_list, by_shell, by_two_words, if_there, in_a_loop])
def test_a_program_in_a_string_is_seen(site: Path, function: Callable[[], str]) -> None:
    assert owners_of_called([function.__code__]) == {"deep-tool"}
    assert function().strip() == "deep"


def test_words_that_are_not_run_are_not_taken_for_programs(site: Path) -> None:
    def harmless(x: int) -> list[str]:
        text = "deptool"
        return [text, *subprocess.check_output(["echo", "a", "deptool"], text=True).split()]

    def other() -> str:
        return "deptool".upper()

    assert owners_of_called([other.__code__]) == set()
    assert "deptool" in harmless(1)


def test_a_recorded_job_keeps_what_its_function_names() -> None:
    need = Need(named=("deep-tool",))
    assert recipe._need(json.loads(json.dumps(recipe._plain_need(need))), b"").named == need.named


def test_it_is_shipped_where_it_is_named_and_added_where_it_is_put_together(site: Path, run: Run) -> None:
    def visibly(way: int) -> str:
        if way:
            return subprocess.check_output("deptool", shell=True, text=True)
        return "deep\n" if shutil.which("deptool") else "there is no such program"

    def invisibly(way: str) -> str:
        command = "".join(["dep", "tool"])
        if way == "list":
            return subprocess.check_output([command], text=True)
        return subprocess.check_output(f"{command} 1 2", shell=True, text=True)

    result = run(visibly, [0, 1])
    assert (result.values(), result.snapshot().notes) == (["deep\n"] * 2, ())
    result = run(invisibly, ["list", "shell", "list"])
    assert result.values() == ["deep\n"] * 3
    assert any("asked for deep-tool, installed here: added" in note for note in result.snapshot().notes)
    again = run(invisibly, ["shell"])
    assert (again.values(), again.snapshot().notes) == (["deep\n"], ())
    [error] = run(invisibly, ["list"], packages="none").errors.values()
    assert "deptool is a program of deep-tool, which is installed here: ship it with --packages deep-tool" in str(error)


def test_what_cannot_be_shipped_for_a_word_in_a_string_is_left_out_and_noted(site: Path, run: Run) -> None:
    record = "deep_tool.py,,\ndeep_tool.so,,\nbin/deptool,,\n"
    wheel = "Tag: cp311-cp311-win_amd64\n"
    info = {"deep_tool-1.dist-info/WHEEL": wheel, "deep_tool-1.dist-info/RECORD": record}
    help.write(site, {**info, "deep_tool.so": "for another system"})

    def falls_back(_: int) -> str:
        try:
            return subprocess.check_output(["deptool"], text=True)
        except FileNotFoundError:
            return "nothing"

    result = run(falls_back)
    assert result.values() == ["nothing"]
    assert any(
        note.startswith("deep-tool, which tasks asked for, cannot be shipped") for note in result.snapshot().notes
    )


MANAGED = {"zig": "acme.managed", "zag": "acme.managed", "zog": "acme.other"}


def searches_a_group() -> object:
    import pkg_resources  # type: ignore[import-untyped]

    return pkg_resources.iter_entry_points("acme.managed")


def searches_with_stevedore() -> object:
    from stevedore import driver  # type: ignore[import-not-found]

    return driver.DriverManager("acme.managed", "zig")


def searches_a_distribution() -> object:
    import pkg_resources

    return pkg_resources.load_entry_point("acme_zog", "acme.other", "zog")


def searches_nothing() -> str:
    return "acme.managed".replace("acme.other", "acme_zog")


@pytest.mark.parametrize(
    ("function", "found"),
    [
        (searches_a_group, {"acme-zig", "acme-zag"}),
        (searches_with_stevedore, {"acme-zig", "acme-zag"}),
        (searches_a_distribution, {"acme-zog"}),
        (searches_nothing, set()),
    ],
)
def test_plugins_that_old_managers_search_are_seen(site: Path, function: Callable[[], object], found: set[str]) -> None:
    for name, group in MANAGED.items():
        points = f"[{group}]\n{name} = acme_{name}:run\n"
        help.wheel(site, f"acme_{name}", {f"acme_{name}.py": "", f"acme_{name}-1.dist-info/entry_points.txt": points})
    assert owners_of_searched([function.__code__]) == found


def explained(kind: str, message: str, file: str = "/var/lang/lib/python3.11/subprocess.py") -> str:
    frame = RemoteFrame(file, 1, "f", "")
    return failures.of_exception(RemoteTraceback(kind, message, (frame,)), 1024)[1]


@pytest.mark.parametrize(
    ("kind", "message", "said"),
    [
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'deptool'", "--packages deep-tool)"),
        ("FileNotFoundError", "[Errno 2] No such file or directory: '/opt/bin/deptool'", "--packages deep-tool)"),
        ("CalledProcessError", "Command 'deptool x' returned non-zero exit status 127.", "--packages deep-tool)"),
        (
            "CalledProcessError",
            "Command '['sh', '-c', 'true && deptool x']' returned non-zero exit status 127.",
            "--packages deep-tool)",
        ),
        ("CalledProcessError", "Command 'deptool x' returned non-zero exit status 1.", ""),
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'no-such-program'", ""),
        ("FileNotFoundError", "[Errno 2] No such file or directory: 'sort'", "the program sort is on this machine"),
    ],
)
def test_a_program_that_lacks_is_explained(site: Path, kind: str, message: str, said: str) -> None:
    found = explained(kind, message)
    assert said in found
    assert bool(found) is bool(said)


def test_a_path_of_this_environment_and_a_file_of_the_users_own(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(site))
    found = explained("FileNotFoundError", f"[Errno 2] No such file or directory: '{site / 'bin/deptool'}'")
    assert found.endswith("ship it with --packages deep-tool and call it by its name, deptool)")
    Path("deptool").write_text("")
    assert "--files ./deptool" in explained("FileNotFoundError", "[Errno 2] No such file or directory: './deptool'")
