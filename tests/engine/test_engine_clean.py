"""A sandbox is clean for every job: whatever tasks do to it, a job's values are those of a loop in a fresh process."""

from __future__ import annotations

import importlib
import json
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lithops_magic.config import Settings
from lithops_magic.engine import MapResult, api
from thorough import WITH_FIXTURES, share
from waiting import eventually

pytestmark = pytest.mark.usefixtures("local_aws")

CHANGES = {
    "list": ("seen = []", "seen.append(x)", "list(seen)"),
    "counter": ("import collections; counts = collections.Counter()", "counts[x % 2] += 1", "sorted(counts.items())"),
    "global": ("total = 0", "global total; total += x", "total"),
    "default": ("def default(x, box=[]):\n    box.append(x); return list(box)", "got = default(x)", "got"),
    "attribute": ("def kept(): pass\nkept.calls = 0", "kept.calls += 1", "kept.calls"),
    "class": ("class Kept:\n    calls = 0", "Kept.calls += x", "Kept.calls"),
    "nonlocal": (
        "def make(n=0):\n    def add(x):\n        nonlocal n; n += x; return n\n    return add\nadd = make()",
        "got = add(x)",
        "got",
    ),
    "iterator": ("import itertools; numbers = itertools.count()", "got = next(numbers)", "got"),
    "bytes": ("data = bytearray(b'')", "data.append(x)", "list(data)"),
    "builtins": ("import builtins", "builtins.calls = getattr(builtins, 'calls', 0) + 1", "builtins.calls"),
    "library": ("import math", "math.calls = getattr(math, 'calls', 0) + 1", "math.calls"),
    "function of a library": ("import json", "got = json.dumps(1); json.dumps = lambda x: 'changed'", "got"),
    "modules": ("import sys", "got = 'made' in sys.modules; sys.modules['made'] = sys", "got"),
    "registry": ("import copyreg", "got = Ellipsis in copyreg.dispatch_table; copyreg.dispatch_table[...] = 1", "got"),
    "cache": ("import re", "got = re._cache.get('mine'); re._cache['mine'] = x", "got"),
    "seed": ("import random", "random.seed(x) if x % 2 else None", "random.random() if x % 2 else 0"),
    "decimal": ("import decimal", "decimal.getcontext().prec -= 1", "decimal.getcontext().prec"),
    "recursion": ("import sys", "sys.setrecursionlimit(sys.getrecursionlimit() + 1)", "sys.getrecursionlimit()"),
    "collection": ("import gc", "got = gc.isenabled(); gc.disable()", "got"),
    "signal": ("import signal", "got = str(signal.signal(signal.SIGUSR1, signal.SIG_IGN))", "got"),
    "warnings": (
        "import warnings",
        "got = 'ours' in str(warnings.filters); warnings.filterwarnings('ignore', 'ours')",
        "got",
    ),
    "logging": (
        "import logging",
        "root = logging.getLogger(); root.addHandler(logging.NullHandler()); root.setLevel(root.level + 1)",
        "[len(root.handlers), root.level]",
    ),
    "locale": (
        "import locale",
        "got = locale.setlocale(locale.LC_NUMERIC); locale.setlocale(locale.LC_NUMERIC, 'C.UTF-8')",
        "got",
    ),
    "loop": (
        "import asyncio",
        "got = asyncio.get_event_loop_policy()._local._set_called; asyncio.run(nothing())",
        "got",
    ),
    "excepthook": ("import threading", "got = hasattr(threading, 'mine'); threading.mine = x", "got"),
}
NOTHING = "async def nothing(): pass\n"

Change = str


def program(changes: list[Change]) -> str:
    """A function that makes these changes and returns what it sees of them."""
    body = ["def task(x):", "    results = []"]
    for change in changes:
        body += textwrap.indent(CHANGES[change][1], "    ").splitlines()
        body.append(f"    results.append({CHANGES[change][2]})")
    return NOTHING + "\n".join([*(CHANGES[change][0] for change in changes), *body, "    return results"])


def in_a_fresh_process(source: str, items: list[int]) -> Any:
    code = f"{source}\nimport json as j; dumps = j.JSONEncoder().encode\nprint(dumps([task(x) for x in {items}]))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def one_sandbox(function: Any, items: Any, **options: Any) -> MapResult:
    """Run a job on the one sandbox that all jobs here share."""
    given = {"chunksize": 1000, "workers": 1, "errors": "keep", **options}
    return api.map(function, items, settings=Settings(local=True, memory=449), **given)


def values_of(source: str, items: list[int]) -> Any:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(source, names)
    result = one_sandbox(names["task"], items)
    assert not result.errors, result.errors
    return json.loads(json.dumps(result.values()))


@given(
    st.lists(st.lists(st.sampled_from(sorted(CHANGES)), min_size=1, max_size=4, unique=True), min_size=2, max_size=2)
)
@settings(
    max_examples=share(6, 20),
    deadline=None,
    suppress_health_check=WITH_FIXTURES,
)
def test_a_job_sees_nothing_of_another_and_its_rerun_nothing_of_the_first(
    jobs: tuple[list[Change], list[Change]],
) -> None:
    programs = [program(changes) for changes in jobs]
    expected = [in_a_fresh_process(source, [1, 2, 3]) for source in programs]
    for source, values in [*zip(programs, expected, strict=True), (programs[0], expected[0])]:
        assert values_of(source, [1, 2, 3]) == values


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_each_change_is_gone_with_its_job(change: Change) -> None:
    source = program([change])
    expected = in_a_fresh_process(source, [3, 4])
    assert [values_of(source, [3, 4]) for _ in range(2)] == [expected, expected]


def first(function: Callable[[int], Any], **options: Any) -> Any:
    result = one_sandbox(function, [1], **options)
    return result[0]


def test_a_namespace_package_of_the_notebooks_is_gone_with_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parts_x" / "deep").mkdir(parents=True)
    (tmp_path / "parts_x" / "deep" / "clean.py").write_text("CALLS = []\ndef h(x):\n    CALLS.append(x); return CALLS")
    monkeypatch.syspath_prepend(tmp_path)
    clean = importlib.import_module("parts_x.deep.clean")
    for _ in range(2):
        assert first(clean.h) == [1]
        assert first(lambda x: x + 1) == 2
        assert first(lambda x: "parts_x.deep" in sys.modules) is False


def test_modules_of_the_notebook_start_anew_with_each_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "counts_x.py"
    module.write_text(
        "import functools\ntotal = 0\n"
        "@functools.lru_cache\ndef cached(x):\n    global total\n    total += 1\n    return total\n"
        "def box(x, seen=[]):\n    seen.append(cached(x))\n    return list(seen)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    counts = importlib.import_module("counts_x")
    for _ in range(2):
        assert one_sandbox(counts.box, [5, 5, 6]).values() == [[1], [1, 1], [1, 1, 2]]
    module.write_text("def box(x): return 'new'\n")
    importlib.reload(counts)
    assert first(counts.box) == "new"
    # What tasks do to the files of one job is not there for the next.
    (tmp_path / "plain_x.py").write_text("def box(x): return 'plain'\n")
    plain = importlib.import_module("plain_x")
    assert first(lambda x: (plain.box(x), Path(plain.__file__ or "").write_text("def box(x): return 'spoilt'"))[0])
    assert first(plain.box) == "plain"


def test_a_task_leaves_the_next_one_its_environment_folder_path_and_output() -> None:
    def task(x: int) -> list[Any]:
        seen = [os.environ.get("LEFT"), os.environ.get("LANG") is None, Path.cwd().name, "/left" in sys.path]
        print("task", x, flush=True)
        if x % 2:
            os.environ["LEFT"] = "here"
            del os.environ["LANG"]
            sys.path.insert(0, "/left")
        else:
            os.environ = {}  # type: ignore[assignment] # noqa: B003
            sys.path = ["/left"]
        os.chdir("/tmp")
        os.umask(0)
        sys.stdout, sys.stderr = open(os.devnull, "w"), None  # type: ignore[assignment] # noqa: PTH123, SIM115
        os.close(1)
        return seen

    result = one_sandbox(task, range(4))
    assert result.values() == [result[0]] * 4
    assert result[0][0] is None
    assert [result.logs(i) for i in range(4)] == [f"task {i}\n" for i in range(4)]


def test_tmp_is_empty_for_each_job() -> None:
    def task(x: int) -> list[str]:
        Path("/tmp/folder/below").mkdir(parents=True, exist_ok=True)
        Path("/tmp/folder/below/file").touch()
        Path("/tmp/file").touch()
        Path("/tmp/folder/below").chmod(0o500)
        return sorted(path.name for path in Path("/tmp").iterdir() if not path.name.startswith("lithops-magic-"))

    def look(x: int) -> list[str]:
        return sorted(path.name for path in Path("/tmp").iterdir() if not path.name.startswith("lithops-magic-"))

    assert first(task) == ["file", "folder"]
    assert "file" not in first(look)


def spoilers() -> dict[str, Callable[[int], int]]:
    """What tasks do to their sandbox; not of this module, so that each travels by itself."""

    def emptied(x: int) -> int:
        for path in Path("/tmp").iterdir():
            subprocess.run(["rm", "-rf", str(path)], check=False)
        return x

    def half(x: int) -> int:
        for path in [*Path("/tmp").rglob("*")]:
            if path.is_file():
                path.write_bytes(path.read_bytes()[:10])
        return x

    def patched(x: int) -> int:
        os.chdir = os.umask = None  # type: ignore[assignment]
        return x

    def in_the_way(x: int) -> int:
        Path("/tmp/lithops-magic-functions").touch()
        before = Path("/tmp/lithops-magic-before")
        if not before.exists():  # a job with variables puts a file there
            before.mkdir()
        return x

    return {function.__name__: function for function in (emptied, half, patched, in_the_way)}


@pytest.mark.parametrize("name", ["emptied", "half", "in_the_way", "patched"])
def test_no_job_can_spoil_a_sandbox_for_the_next(name: str) -> None:
    large = random.Random(1).randbytes(300_000)  # travels through S3
    for _ in range(2):
        one_sandbox(lambda x: len(large), [1])
        assert len(one_sandbox(spoilers()[name], [1, 2], retries=0).errors) == (2 if name == "patched" else 0)
        # Without retries: what ends a sandbox may not take a request with it.
        assert one_sandbox(lambda x: x + len(large), [1, 2], retries=0).values() == [300_001, 300_002]


@pytest.mark.parametrize("company", ["nothing", "a thread", "a process"])
def test_a_job_starts_work_when_the_one_before_is_gone_and_inherits_no_pipe_of_it(company: str) -> None:
    code = "while True: open('/tmp/scribbled', 'w').write('x')"

    def busy(x: int) -> int:
        globals()["ballast"] = bytearray(64 << 20)  # it takes a while to die
        if company == "a thread":
            threading.Thread(target=exec, args=(code,), daemon=True).start()
        elif company == "a process":
            subprocess.Popen([sys.executable, "-c", code])
        return os.getpid()

    def look(x: int) -> tuple[list[str], bool, int]:
        time.sleep(0.02)  # whatever still ran would scribble now
        processes = [path.name for path in Path("/proc").iterdir()]
        links = {str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()}
        return processes, Path("/tmp/scribbled").exists(), sum(link.startswith("pipe:") for link in links)

    for _ in range(3):
        before, (processes, scribbled, pipes) = first(busy), first(look)
        assert str(before) not in processes
        assert not scribbled
        assert pipes == 3  # requests, replies and output


def test_an_error_of_the_worker_itself_is_one_line_and_ends_the_sandbox() -> None:
    def sandbox(x: int) -> object:
        return vars(sys.modules["lithops_magic_worker.handler"])["_SANDBOX"]

    before = first(sandbox)
    error = one_sandbox(spoilers()["patched"], [1], retries=0).errors[0]
    assert "the worker itself failed: TypeError: 'NoneType' object is not callable (environment.py, line " in str(error)
    assert "\n" not in str(error)
    assert eventually(lambda: first(sandbox) != before)


def test_threads_and_processes_that_libraries_keep_are_no_news() -> None:
    def task(x: int) -> int:
        pool = ThreadPoolExecutor(2)
        subprocess.run(["true"], check=True)
        os.environ["KEPT"] = str(pool)
        sys.kept = pool  # type: ignore[attr-defined]
        return sum(pool.map(abs, [x, x]))

    result = one_sandbox(task, [1, 2])
    assert result.values() == [2, 4]
    assert not result.snapshot().notes


def test_what_a_process_prints_when_its_job_is_over_is_in_no_log() -> None:
    def leave(x: int) -> int:
        subprocess.Popen(["sh", "-c", "while true; do echo left; sleep 0.01; done"])
        subprocess.Popen(["sh", "-c", "setsid sh -c 'while true; do echo daemon >&2; sleep 0.01; done' &"])
        threading.Thread(target=chatter, daemon=True).start()
        return os.getpid()

    def chatter() -> None:
        while True:
            print("thread")
            time.sleep(0.01)

    def look(x: int) -> list[str]:
        time.sleep(0.1)
        names = (path.read_text() for path in Path("/proc").glob("[0-9]*/cmdline"))
        return [name for name in names if "echo" in name]

    left = one_sandbox(leave, [1, 2, 3], chunksize=1)
    assert not left.errors
    (note,) = [note for note in left.snapshot().notes if "left this running" in note]
    assert all(name in note for name in ("thread Thread-1 (chatter)", "process sh"))
    assert not first(look, chunksize=1)
    result = one_sandbox(look, range(3))
    assert result.values() == [[], [], []]
    assert [result.logs(i) for i in range(3)] == ["", "", ""]


VARIABLES = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7"}


def test_a_jobs_variables_are_there_before_libraries_python_and_the_c_library_start() -> None:
    def seen(_: int) -> tuple[Any, ...]:
        import numpy
        from threadpoolctl import threadpool_info

        numpy.ones(3)
        threads = {pool["num_threads"] for pool in threadpool_info()}
        return threads == {1}, time.strftime("%H", time.localtime(0)), hash("a"), callable(exit)

    script = "import time; print((True, time.strftime('%H', time.localtime(0)), hash('a'), True))"
    fresh = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=VARIABLES)
    # The sandbox has these libraries from the job before.
    api.map(seen, [1], packages="threadpoolctl", workers=1)
    (inside,) = api.map(seen, [1], packages="threadpoolctl", env=VARIABLES, workers=1)
    assert str(inside) == fresh.stdout.strip()
    (after,) = api.map(seen, [1], packages="threadpoolctl", workers=1)
    assert after[1] == "00"


def test_a_jobs_variables_are_the_tasks_and_not_the_workers() -> None:
    def seen(data: bytes) -> tuple[Any, ...]:
        print("printed")
        return os.environ["AWS_ACCESS_KEY_ID"], os.environ["PYTHONPATH"], data

    large = os.urandom(7_000_000)
    result = api.map(seen, [large, b"", large], env={"AWS_ACCESS_KEY_ID": "mine", "PYTHONPATH": "/mine"})
    assert list(result) == [("mine", "/mine", data) for data in (large, b"", large)]
    assert result.logs(1) == "printed\n"


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_that_dies_under_variables_costs_its_task_only(processes: int) -> None:
    settings = Settings(worker_processes=processes)
    result = api.map(
        lambda x: os._exit(3) if x == 2 else x, range(4), env={"A": "1"}, retries=0, errors="keep", settings=settings
    )
    assert result.succeeded() == {0: 0, 1: 1, 3: 3}
    assert "exited with status 3" in str(result.errors[2])
