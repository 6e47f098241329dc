"""What becomes of tasks that miss a package, of versions that differ, and of items that need what others do not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lithops_magic.engine.dispatch import settlement, supplements
from lithops_magic.engine.dispatch.item_needs import ItemNeeds
from lithops_magic.engine.dispatch.supplements import Supplements
from lithops_magic.engine.dispatch.versions import Versions
from lithops_magic.engine.job.task import Task
from lithops_magic.engine.wire.item import Prepared
from lithops_magic.engine.wire.reply import WorkerReply
from lithops_magic.errors import DeployError, ImportFailed, PackageError, RemoteFrame, RemoteTraceback, facts
from lithops_magic.packages import Need, Reach, Request
from lithops_magic.packages.refusals import REFUSED
from virtual_lambda import Sent, VirtualLambda, prepared, ran, works

HERE = {"swift": "swift-engine", "brisk": "brisk-engine", "brisk.parts": "brisk-engine"}
"""The distributions of this machine, by their modules."""


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("distribution_of", "provider_of"):
        monkeypatch.setattr(supplements, name, lambda name: HERE.get(name, ""))
    monkeypatch.setattr(supplements, "_said", set())


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, str]]]:
    """What is remembered and forgotten, in that order."""
    found: list[tuple[str, dict[str, str]]] = []
    for module, name in ((settlement, "remember"), (settlement, "forget"), (supplements, "remember")):
        monkeypatch.setattr(module, name, lambda what, name=name: found.append((name, dict(what))))
    return found


class Growing(VirtualLambda):
    """Functions that have what was found to be missing when they were deployed."""

    grows = True

    @property
    def version(self) -> int:
        return len(self.connects)


def misses(*names: str, until: int = 2, tasks: range = range(99), message: str = "") -> Any:
    """Tasks miss modules until the function was deployed that often."""
    text = message or f"No module named {names[0]!r}"
    error = {"type": "ModuleNotFoundError", "message": text, "frames": [], "cause": None}

    def behave(service: VirtualLambda, sent: Sent) -> tuple[float, Any]:
        seconds, reply = works(sent)
        if len(service.connects) < until:
            for outcome in reply["outcomes"]:
                if outcome["id"] in tasks:
                    missing = [["front", name] for name in names]
                    outcome |= {"status": "error", "error": error, "value": "", "missing": missing}
        return seconds, reply

    return behave


def service_of(behave: Any, **endpoint: Any) -> Growing:
    service = Growing(workers=2, **endpoint)
    service.behaviour = lambda sent: behave(service, sent)
    return service


ADDED = "tasks asked for {}, installed here: added, and what failed is rerun"


def test_what_tasks_miss_and_this_machine_has_is_added_once_and_they_are_rerun(
    learned: list[tuple[str, dict[str, str]]],
) -> None:
    service = service_of(misses("swift"))
    run = ran(service, range(4), chunksize=1)
    assert run.values == [0, 1, 2, 3]
    # The first two miss it; it is there before the others are sent.
    assert sorted(service.tasks) == [[0], [0], [1], [1], [2], [3]]
    assert len(service.connects) == 2
    assert learned == [("remember", {"swift-engine": "front"})]
    assert run.job.snapshot().notes == (ADDED.format("swift-engine"),)
    assert run.job.snapshot().retried == 2
    assert [run.job.stats(i).attempts for i in range(4)] == [2, 2, 1, 1]


def test_what_is_added_in_vain_is_added_once_and_the_tasks_fail(learned: list[tuple[str, dict[str, str]]]) -> None:
    service = service_of(misses("swift", until=99))
    run = ran(service, range(2), chunksize=1)
    assert sorted(service.tasks) == [[0], [0], [1], [1]]
    assert isinstance(run.job.failed[0], ImportFailed)
    assert run.errors[0].startswith("Task 0 (0): ModuleNotFoundError: No module named 'swift'")
    assert len(service.connects) == 2


def test_one_after_the_other_is_added(learned: list[tuple[str, dict[str, str]]]) -> None:
    def behave(service: VirtualLambda, sent: Sent) -> tuple[float, Any]:
        name = ("swift", "brisk")[min(1, len(service.connects) - 1)]
        answer: tuple[float, Any] = misses(name, until=3)(service, sent)
        return answer

    run = ran(service_of(behave), range(1))
    assert run.values == [0]
    assert learned == [("remember", {"swift-engine": "front"}), ("remember", {"brisk-engine": "front"})]
    assert run.job.snapshot().notes == (ADDED.format("swift-engine"), ADDED.format("brisk-engine"))


def test_all_that_an_error_may_mean_is_added_together(learned: list[tuple[str, dict[str, str]]]) -> None:
    run = ran(service_of(misses("swift", "brisk", message="install an engine")), range(1))
    assert run.values == [0]
    assert run.job.snapshot().notes == (ADDED.format("brisk-engine and swift-engine"),)


def test_where_no_task_may_run_twice_the_next_job_has_it(learned: list[tuple[str, dict[str, str]]]) -> None:
    service = service_of(misses("swift"))
    run = ran(service, range(1), retries=0)
    assert run.errors.keys() == {0}
    assert (len(service.sent), len(service.connects)) == (1, 1)
    assert learned == [("remember", {"swift-engine": "front"})]


def test_a_function_that_does_not_grow_is_left_as_it_is(learned: list[tuple[str, dict[str, str]]]) -> None:
    service = VirtualLambda(workers=2)
    service.behaviour = lambda sent: misses("swift")(service, sent)
    run = ran(service, range(2), chunksize=1)
    assert (run.errors.keys(), len(service.connects), learned) == ({0, 1}, 1, [])


def test_a_function_that_does_not_grow_promises_nothing_for_the_next_run(
    learned: list[tuple[str, dict[str, str]]],
) -> None:
    service = VirtualLambda(lambda sent: works(sent, missing=[["__main__", "swift"]]), workers=2)
    assert (ran(service, range(2)).job.snapshot().notes, learned) == ((), [])


def test_after_a_stop_nothing_is_added(learned: list[tuple[str, dict[str, str]]]) -> None:
    service = service_of(misses("swift"))
    job, scheduler = prepared(service, range(2), chunksize=1)
    service.clock.later(0.5, job.cancel)
    scheduler.run()
    assert (job.failed.keys(), len(service.sent), len(service.connects), learned) == ({0, 1}, 2, 1, [])


def test_what_cannot_be_deployed_is_forgotten_and_said_with_the_error(
    learned: list[tuple[str, dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(misses("swift"))
    connect = service.connect

    def once(notify: Any, *, afresh: bool) -> Any:
        if service.connects:
            raise DeployError("no build")
        return connect(notify, afresh=afresh)

    service.connect = once  # type: ignore[method-assign]
    run = ran(service, range(1))
    assert len(service.sent) == 1
    assert learned == [("remember", {"swift-engine": "front"}), ("forget", {"swift-engine": "front"})]
    assert run.errors[0].startswith("Task 0 (0): ModuleNotFoundError: No module named 'swift'")
    assert run.errors[0].endswith(f"(swift-engine, which tasks asked for, {REFUSED}: no build)")


def test_what_the_deployment_left_out_is_said_with_the_error(learned: list[tuple[str, dict[str, str]]]) -> None:
    note = f"swift-engine {REFUSED}: no build"
    service = service_of(misses("swift", until=99), notes=("something else", note))
    run = ran(service, range(1))
    assert len(service.sent) == 1
    assert run.errors[0].startswith("Task 0 (0): ModuleNotFoundError: No module named 'swift'")
    assert run.errors[0].endswith(f" ({note})")
    assert ADDED.format("swift-engine") not in run.job.snapshot().notes


def test_every_task_is_told_what_cannot_be_shipped_and_none_is_rerun_for_it(
    learned: list[tuple[str, dict[str, str]]],
) -> None:
    told = f"swift-engine, which tasks asked for, {REFUSED}: no build"
    service = service_of(misses("swift", until=99), notes=(told,))
    run = ran(service, range(4), chunksize=1)
    assert sorted(service.tasks) == [[0], [1], [2], [3]]
    assert all(f"({told})" in run.errors[i] for i in range(4))
    assert len(service.connects) == 2


def test_what_is_not_here_either_is_said(learned: list[tuple[str, dict[str, str]]]) -> None:
    behave = misses("nowhere", message="Missing optional dependency 'nowhere'.")
    run = ran(service_of(behave), range(1))
    assert run.errors == {
        0: "Task 0 (0): ModuleNotFoundError: Missing optional dependency 'nowhere'. "
        "(nowhere is not installed where the notebook runs either)"
    }
    assert learned == []


def test_what_succeeded_without_a_package_is_noted_and_the_next_job_has_it(
    learned: list[tuple[str, dict[str, str]]],
) -> None:
    service = Growing(lambda sent: works(sent, missing=[["__main__", "swift"], ["__main__", "nowhere"]]), workers=2)
    run = ran(service, range(4), chunksize=1)
    (note,) = run.job.snapshot().notes
    assert note.startswith("tasks found no swift-engine, which this machine has, so that results may differ")
    assert learned == [("remember", {"swift-engine": "__main__"})]


# Which packages an error asks for


def failure(kind: str, message: str, *, library: bool = False, cause: RemoteTraceback | None = None) -> ImportFailed:
    error = ImportFailed("no")
    frames = (RemoteFrame("lib.py", 1, "f", "x", library=library),)
    facts(error).traceback = RemoteTraceback(kind, message, frames, cause)
    return error


@pytest.mark.parametrize(
    ("kind", "message", "library", "added"),
    [
        ("ImportError", "no", False, True),
        ("lib.PackageNotFoundError", "no", False, True),
        ("ValueError", "swift is odd", False, True),  # it is named
        ("ValueError", "Swift-Engine is odd", False, True),
        ("ValueError", "swiftly done", False, False),  # that is another word
        ("ValueError", "install an engine", False, True),
        ("ValueError", "your own mistake", False, False),
        ("ValueError", "unknown codec", True, True),
        ("ValueError", "unknown codec", False, False),  # words that users' own errors have, too
        ("AttributeError", "x", True, True),
        ("NameError", "x", True, True),
        ("AttributeError", "x", False, False),
        ("KeyError", "x", True, False),
    ],
)
def test_an_error_asks_for_a_package_if_it_names_it_or_looks_like_it(
    kind: str, message: str, library: bool, added: bool
) -> None:
    found = Supplements(Need()).new(failure(kind, message, library=library), (("front", "swift"),))
    assert found == ({"swift-engine": "front"} if added else {})


def test_the_cause_of_an_error_counts_as_well() -> None:
    error = failure("ValueError", "your own mistake", cause=RemoteTraceback("ImportError", "no"))
    assert Supplements(Need()).new(error, (("front", "swift"),)) == {"swift-engine": "front"}


def test_only_what_is_named_is_added_and_else_all_of_it() -> None:
    asked = (("front", "swift"), ("back", "brisk"), ("back", "nowhere"))
    some = Supplements(Need())
    assert some.new(failure("ImportError", "brisk is missing"), asked) == {"brisk-engine": "back"}
    assert some.new(failure("ImportError", "no"), asked) == {"swift-engine": "front", "brisk-engine": "back"}
    some.add({"swift-engine": "front"})
    assert some.new(failure("ImportError", "no"), asked) == {"brisk-engine": "back"}
    assert some.new(failure("ImportError", "no"), (("front", "swift"),)) == {}


def test_nothing_is_added_where_nothing_is_asked_for_or_wanted() -> None:
    error, asked = failure("ImportError", "no"), (("front", "swift"),)
    assert Supplements(Need(request=Request(nothing=True))).new(error, asked) == {}
    assert Supplements(Need()).new(error, ()) == {}
    assert Supplements(Need()).new(ImportFailed("no"), asked) == {}
    # The package around it was found: it is there in another version.
    assert Supplements(Need()).new(error, (("front", "brisk.parts"),)) == {}


def test_each_addition_lets_a_task_run_once_more() -> None:
    some, task, other = Supplements(Need()), Task(3, "x"), Task(4, "y")
    assert not some.help(task)
    some.add({"swift-engine": "front"})
    assert [some.help(task), some.help(task), some.help(other), some.help(other)] == [True, False, True, False]
    some.add({"swift-engine": "front"})
    assert not some.help(task)
    some.add({"brisk-engine": "front"})
    assert some.help(task)


def test_what_is_absent_here_as_well_is_named_unless_the_error_explains_it() -> None:
    asked = (("front", "nowhere"), ("front", "elsewhere"), ("front", "swift"), ("front", "no.where"))
    some = Supplements(Need())
    assert some.absent(failure("ValueError", "nowhere, elsewhere, swift, no.where"), asked) == ["elsewhere", "nowhere"]
    assert some.absent(failure("ValueError", "x"), asked) == []
    assert some.absent(failure("ModuleNotFoundError", "No module named 'nowhere'"), asked) == []
    assert some.absent(ImportFailed("no"), asked) == []


def test_names_are_joined_as_in_a_sentence() -> None:
    assert [supplements.listed(names) for names in (["b"], ["b", "a"], ["c", "a", "b"])] == [
        "b",
        "a and b",
        "a, b and c",
    ]


# Versions


class Packages:
    """A need with these versions here."""

    def __init__(self, requested: str = "", files: bool = False, **versions: str) -> None:
        self.request = SimpleNamespace(files=files, names=frozenset(requested.split()))
        self.versions = versions

    def distribution(self, module: str) -> str:
        return f"{module}-dist"


def reply(**versions: str) -> WorkerReply:
    return WorkerReply("box", False, {}, versions=versions)


def test_a_version_that_differs_is_said_once_with_the_way_out() -> None:
    seen = Versions(Packages(numpy="2.0", pandas="3.0"))  # type: ignore[arg-type]
    assert list(seen.differences(reply(numpy="1.0"), ())) == [
        "the function has numpy 1.0, the notebook 2.0: ship the notebook's with --packages numpy-dist==2.0, "
        "or correct the function's layer or image"
    ]
    assert list(seen.differences(reply(numpy="1.0"), ())) == []
    assert list(seen.differences(None, ())) == []
    known = ("pandas here 3.0, there 2.5",)
    assert list(seen.differences(reply(numpy="1.0", pandas="2.5"), (), known)) == [
        "the function has pandas 2.5, the notebook 3.0"
    ]
    assert seen.found == ["numpy here 2.0, there 1.0", "pandas here 3.0, there 2.5"]


def test_a_version_that_was_asked_for_or_told_before_is_no_news() -> None:
    asked_for = Versions(Packages("numpy-dist", numpy="2.0"))  # type: ignore[arg-type]
    assert list(asked_for.differences(reply(numpy="1.0"), ())) == []
    told = Versions(Packages(numpy="2.0"))  # type: ignore[arg-type]
    assert list(told.differences(reply(numpy="1.0"), ("numpy 1.0 is used",))) == []
    assert (asked_for.found, told.found) == ([], [])
    from_files = Versions(Packages(files=True, numpy="2.0"))  # type: ignore[arg-type]
    assert list(from_files.differences(reply(numpy="1.0"), ())) == []


def test_versions_that_differ_are_noted_and_part_of_every_error() -> None:
    bad = {"type": "ValueError", "message": "bad", "frames": [], "cause": None}

    def behave(sent: Sent) -> tuple[float, Any]:
        told = [
            {"id": task, "status": "error", "started": 0.0, "seconds": 1.0, "log": "", "error": bad}
            for task in sent.tasks
        ]
        return 1.0, {"outcomes": told, "versions": {"numpy": "1.0"}}

    run = ran(VirtualLambda(behave, workers=2), range(2), chunksize=1)
    (note,) = run.job.snapshot().notes
    assert note.startswith("the function has numpy 1.0, the notebook None")
    for error in run.errors.values():
        assert "(the packages differ: numpy here None, there 1.0; to have the same on both sides, install" in error


# Items that need more than those before


class Limited:
    """A need that is extended by modules, of which one cannot be shipped."""

    def __init__(self, modules: frozenset[str] = frozenset()) -> None:
        self.modules = modules

    def extended(self, reach: Reach) -> Any:
        if "heavy" in reach.modules:
            raise PackageError("heavy cannot be shipped")
        return Limited(self.modules | reach.modules) if reach.modules - self.modules else self


def test_a_job_s_need_grows_with_what_is_new_in_its_items() -> None:
    needs = ItemNeeds(Limited())  # type: ignore[arg-type]
    code = (lambda: None).__code__
    first = Reach({"numpy"}, [])
    assert needs.grows(first)
    assert not needs.grows(first)
    assert not needs.grows(Reach({"numpy"}, []))
    assert needs.grows(Reach({"numpy", "pandas"}, [code]))
    assert not needs.grows(Reach(set(), [code]))
    assert not needs.grows(Reach(set(), [(lambda: 1).__code__]))  # it is looked at, and needs nothing
    for _ in range(2):  # and so is the next item that needs it
        with pytest.raises(PackageError, match="heavy"):
            needs.grows(Reach({"heavy"}, []))
    assert needs.need.modules == {"numpy", "pandas"}  # type: ignore[attr-defined]


def test_a_generator_in_the_same_state_in_two_items_is_noticed_once() -> None:
    needs = ItemNeeds(Limited())  # type: ignore[arg-type]

    def item(*drawn: tuple[int, int]) -> Prepared:
        return Prepared(drawn=drawn)

    assert [needs.shares(item(*drawn)) for drawn in ([], [(1, 5)], [(1, 6)], [(2, 5)], [(3, 0), (1, 5)], [(1, 5)])] == [
        False,
        False,
        False,  # it was used in between
        False,  # another one
        True,
        False,  # said already
    ]


def test_a_version_that_the_deployment_told_is_no_news() -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        return works(sent, versions={"numpy": "1.0"})

    service = VirtualLambda(behave, workers=2, notes=("numpy 1.0 is used",))
    assert ran(service, range(2)).job.snapshot().notes == ("numpy 1.0 is used",)


def test_an_item_that_needs_what_cannot_be_shipped_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: ItemNeeds, reach: Reach) -> bool:
        raise PackageError("numpy cannot be shipped")

    monkeypatch.setattr(ItemNeeds, "grows", refuse)
    run = ran(VirtualLambda(workers=2), [0, np.float64(5.5), 2], chunksize=1)
    assert (run.values, run.errors) == ([0, None, 2], {1: "Task 1 (5.5): numpy cannot be shipped"})


def test_items_that_share_a_generator_are_noted_once() -> None:
    shared, own = np.random.default_rng(1), np.random.default_rng(2)
    run = ran(VirtualLambda(workers=2), [shared, own, shared, shared], chunksize=1)
    (note,) = run.job.snapshot().notes
    assert note.startswith(
        "tasks draw the same random numbers: items share a generator, and each gets it in its original state. For "
    )


def test_an_item_that_needs_more_is_sent_to_a_function_that_has_it() -> None:
    """What is in flight to the one before is still answered, and nothing is sent twice."""
    plain, needs = VirtualLambda(lambda sent: works(sent, 1.0 + sent.tasks[0] % 2), workers=2), list[Any]()
    with_numpy = VirtualLambda(workers=2)
    with_numpy.clock = plain.clock

    def needing(need: Any) -> Any:
        needs.append(need)
        return with_numpy

    plain.needing = needing  # type: ignore[method-assign]
    run = ran(plain, [0, 1, 2, 3, 4, np.float64(5.5), 6, 7], chunksize=1)
    assert run.values == [0, 1, 2, 3, 4, 5.5, 6, 7]
    assert (plain.tasks, plain.times) == ([[0], [1], [2], [3]], [0, 0, 1, 2])
    assert (with_numpy.tasks, with_numpy.times) == ([[4], [5], [6], [7]], [2, 3, 4, 4])
    assert [{unit.name for unit, _ in need.units} for need in needs] == [{"numpy"}]
    assert (plain.connects, with_numpy.connects) == ([False], [False])
    assert (plain.closed, with_numpy.closed) == (True, True)


def test_what_the_first_item_needs_is_there_before_anything_is_deployed() -> None:
    plain, with_numpy = VirtualLambda(workers=2), VirtualLambda(workers=2)
    with_numpy.clock = plain.clock
    plain.needing = lambda need: with_numpy  # type: ignore[method-assign]
    run = ran(plain, [np.float64(2.5), 1], chunksize=1)
    assert run.values == [2.5, 1]
    assert (plain.connects, plain.tasks, with_numpy.tasks) == ([], [], [[0], [1]])
