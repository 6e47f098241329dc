"""Whether the tests notice a wrong number: change the code in thousands of small ways, and run the tests each time.

mutmut's operators make the changes. Unlike mutmut, this imports and collects everything once: each change is made in a
fork of that process, by giving a function other code, and only the tests that call the function run, the quickest
first, until one fails. Properties and other decorated functions are changed, too.

    python benchmarks/mutation.py                       all modules
    python benchmarks/mutation.py settlement lanes      those whose path contains one of these words
    python benchmarks/mutation.py --every 5 --show      every fifth change, with the changes that no test notices
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import math
import mmap
import os
import pickle
import resource
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, cast

import libcst as cst
import pytest
from mutmut.mutation.file_mutation import create_mutations, deep_replace

ROOT = Path(__file__).parent.parent
MODULES = ("aws/prices.py", "engine/backend/limiter.py", "engine/dispatch/*.py", "engine/job/*.py")
"""Modules that compute (costs, sizes, limits, counts, clocks) or decide which task goes when."""
TESTS = (
    "tests/aws/test_aws_costs.py",
    "tests/engine/test_arithmetic.py",
    "tests/engine/test_dispatch_cache.py",
    "tests/engine/test_dispatch_items.py",
    "tests/engine/test_dispatch_packages.py",
    "tests/engine/test_dispatch_store.py",
    "tests/engine/test_dispatch_supplements.py",
    "tests/engine/test_dispatch_timeline.py",
    "tests/engine/test_dispatch_verdicts.py",
    "tests/engine/test_engine_causes.py",
    "tests/engine/test_engine_chunks.py",
    "tests/engine/test_engine_replies.py",
    "tests/engine/test_job_state.py",
)
"""Tests that need neither AWS nor waiting."""
PATIENCE, LEAST_PATIENCE = 1, 2.0
"""CPU limit of the tests: this multiple of their measured CPU time, plus these seconds."""
DEADLOCK = 120
"""Seconds after which tests that use no CPU are given up."""
DEVNULL = os.open(os.devnull, os.O_WRONLY)


@dataclass
class Change:
    """A function with different code."""

    module: str
    path: tuple[str, ...]
    """Names of the function and of the classes around it."""
    before: str
    after: str

    def apply(self) -> None:
        """Make the change in this process."""
        function = live(self.module, self.path)
        names: dict[str, Any] = {}
        code = compile(f"from __future__ import annotations\n{self.after}", "changed", "exec")
        exec(code, vars(sys.modules[self.module]), names)
        changed = names[self.path[-1]]
        function.__code__ = changed.__code__
        function.__defaults__, function.__kwdefaults__ = changed.__defaults__, changed.__kwdefaults__

    @property
    def diff(self) -> str:
        lines = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), n=0, lineterm="")
        return "\n".join(line for line in list(lines)[3:] if not line.startswith("@@"))


@dataclass
class Score:
    """The number of changes to a module, and those that no test notices."""

    changes: int = 0
    endless: int = 0
    """Number of noticed changes with which the tests ran until they were stopped."""
    unnoticed: list[Change] = field(default_factory=list)

    @property
    def noticed(self) -> int:
        return self.changes - len(self.unnoticed)


def live(module: str, path: tuple[str, ...]) -> FunctionType:
    """Return the function of that name in this process."""
    found: Any = importlib.import_module(module)
    for name in path:
        found = vars(found)[name]
    found = getattr(found, "fget", None) or getattr(found, "__func__", None) or found
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return cast(FunctionType, found)


class Undecorated(cst.CSTTransformer):
    """Removes decorators, because mutmut leaves decorated functions alone."""

    def leave_FunctionDef(self, _: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        return updated_node.with_changes(decorators=[])


def functions(body: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[cst.FunctionDef, tuple[str, ...]]]:
    for node in body:
        if isinstance(node, cst.FunctionDef):
            yield node, (*path, node.name.value)
        elif isinstance(node, cst.ClassDef):
            yield from functions(node.body.body, (*path, node.name.value))


def changes_of(file: Path) -> list[Change]:
    """Return all changes to a module."""
    module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    source = cst.parse_module(file.read_text()).visit(Undecorated()).code
    tree, mutations, *_ = create_mutations(str(file), source)
    paths = dict(functions(tree.body))
    changes = []
    for one in mutations:
        if (function := one.contained_by_top_level_function) in paths:
            after = deep_replace(function, one.original_node, one.mutated_node)
            code = [cst.Module([node]).code.strip() for node in (function, cast(cst.FunctionDef, after))]
            changes.append(Change(module, paths[function], *code))
    return changes


class Mutation:
    """A pytest plugin that, instead of running the tests once, runs them for each change."""

    def __init__(self, changes: list[Change], jobs: int, *, show: bool) -> None:
        self.changes = changes
        self.jobs = jobs
        self.show = show
        self.scores: dict[str, Score] = defaultdict(Score)
        self._seconds: dict[str, float] = {}
        self._noticed: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        """How many changes of a function each test noticed."""
        self._failed = mmap.mmap(-1, 4096)
        """Shared with all children: the last test that failed in one of them."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise SystemExit("Not all tests could be collected")
        items = {item.nodeid: item for item in session.items}
        first, *rest = items.values()
        # Session fixtures are set up once, before any fork.
        session.config.hook.pytest_runtest_protocol(item=first, nextitem=rest[0])
        seconds, called = self._measured(list(items.values()))
        by_time = sorted(items, key=seconds.__getitem__)
        if os.waitpid(fork(partial(run, [items[name] for name in by_time])), 0)[1]:
            raise SystemExit("The tests fail without any change in another order")
        children: dict[int, Change] = {}
        for number, change in enumerate(self.changes):
            function = live(change.module, change.path).__code__
            tests = sorted(called.get((change.module, function.co_qualname), ()), key=seconds.__getitem__)
            if not tests:
                self._count(change, 0)
                continue
            # What noticed other changes of a function is likely to notice this one.
            tests.sort(key=lambda name, noticed=self._noticed[change.path]: -noticed[name])
            limit = PATIENCE * sum(seconds[name] for name in tests) + LEAST_PATIENCE
            children[fork(partial(self._try, change, [items[name] for name in tests], limit))] = change
            while len(children) >= self.jobs:
                self._reap(children)
            print(f"\r{number + 1} of {len(self.changes)}", end="", file=sys.stderr, flush=True)
        while children:
            self._reap(children)
        print(file=sys.stderr)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and os.getpid() != MAIN:
            name = report.nodeid.encode()
            self._failed.seek(0)
            self._failed.write(len(name).to_bytes(4) + name)
            os._exit(1)

    def _try(self, change: Change, items: list[pytest.Item], seconds: float) -> None:
        # CPU time, because on a busy machine the same tests take longer.
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds)))
        change.apply()
        run(items)

    def _measured(self, items: list[pytest.Item]) -> tuple[dict[str, float], dict[tuple[str, str], set[str]]]:
        """Return how long each test takes, and which functions it calls; measured in a separate process."""
        readable, writable = os.pipe()

        def measure() -> None:
            seconds: dict[str, float] = {}
            called: dict[tuple[str, str], set[str]] = defaultdict(set)
            for item, following in zip(items, [*items[1:], None], strict=True):
                codes: set[CodeType] = set()

                def note(frame: FrameType, event: str, _: object, codes: set[CodeType] = codes) -> None:
                    if event == "call":
                        codes.add(frame.f_code)

                threading.setprofile(note)
                sys.setprofile(note)
                began = time.process_time()
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                seconds[item.nodeid] = time.process_time() - began
                sys.setprofile(None)
                threading.setprofile(None)  # type: ignore[arg-type]
                for code in codes:
                    if "lithops_magic" in code.co_filename:
                        called[_module(code.co_filename), code.co_qualname].add(item.nodeid)
            with os.fdopen(writable, "wb") as pipe:
                pickle.dump((seconds, dict(called)), pipe)

        child = fork(measure)
        os.close(writable)
        with os.fdopen(readable, "rb") as pipe:
            content = pipe.read()
        if os.waitpid(child, 0)[1] or not content:
            raise SystemExit("The tests fail without any change: run them by themselves first")
        return cast(Any, pickle.loads(content))

    def _reap(self, children: dict[int, Change]) -> None:
        child, status = os.wait()
        self._count(children.pop(child), status)

    def _count(self, change: Change, status: int) -> None:
        score = self.scores[change.module]
        score.changes += 1
        score.endless += os.WIFSIGNALED(status)
        if not status:
            score.unnoticed.append(change)
            if self.show:
                print(f"\n{change.module.rpartition('.')[2]}: {'.'.join(change.path)}\n{change.diff}", flush=True)
        elif os.WIFEXITED(status):
            size = int.from_bytes(self._failed[:4])
            self._noticed[change.path][self._failed[4 : 4 + size].decode()] += 1


def _module(filename: str) -> str:
    return ".".join(Path(filename).relative_to(ROOT).with_suffix("").parts)


def run(items: list[pytest.Item]) -> None:
    """Run tests in a fork, after tearing down what the parent process had set up for its first one."""
    items[0].session._setupstate.teardown_exact(items[0])
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def fork(work: Any) -> int:
    """Do `work` in another process, without output; return its ID."""
    if child := os.fork():
        return child
    status = 1
    try:
        os.dup2(DEVNULL, 1)
        os.dup2(DEVNULL, 2)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(DEADLOCK)
        work()
        status = 0
    finally:
        os._exit(status)


def table(scores: dict[str, Score]) -> Iterator[str]:
    yield "| module | changes | noticed | share |"
    yield "| --- | ---: | ---: | ---: |"
    names = {name: f"`{name.removeprefix('lithops_magic.').replace('.', '/')}`" for name in sorted(scores)}
    rows = [(names[name], scores[name].changes, scores[name].noticed) for name in names]
    for name, changes, noticed in [*rows, ("**all**", *(sum(column) for column in list(zip(*rows, strict=True))[1:]))]:
        yield f"| {name} | {changes:,} | {noticed:,} | {noticed / changes:.0%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only modules whose path contains one of them")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth change of a module")
    parser.add_argument("--offset", type=int, default=0, metavar="K", help="begin each sample at change number K")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="changes tried at once")
    parser.add_argument("--show", action="store_true", help="print the changes that no test notices")
    asked = parser.parse_args()
    files = [file for pattern in MODULES for file in sorted((ROOT / "lithops_magic").glob(pattern))]
    if asked.words:
        files = [file for file in files if any(word in str(file.relative_to(ROOT)) for word in asked.words)]
    os.chdir(ROOT)
    # Instead of this folder, where `packages.py` has the name of a folder of tests.
    sys.path[0] = str(ROOT)
    os.environ["QUICK"] = "1"
    plugin = Mutation(
        [change for file in files for change in changes_of(file)[asked.offset :: asked.every]],
        asked.jobs,
        show=asked.show,
    )
    options = ["-n", "0", "-q", "-s", "-m", "fast", "-p", "no:cacheprovider", "-o", "timeout=0", "--hypothesis-seed=0"]
    pytest.main([*options, *TESTS], plugins=[plugin])
    print("\n".join(table(plugin.scores)))
    print(f"\n{sum(score.endless for score in plugin.scores.values())} of those noticed had tests run on for ever")


MAIN = os.getpid()
if __name__ == "__main__":
    main()
