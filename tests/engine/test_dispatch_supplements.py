"""Which distributions tasks lack, what would use them here, and what is said about it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from packaging.requirements import Requirement

from lithops_magic.engine.dispatch import supplements
from lithops_magic.engine.dispatch.supplements import Supplements
from lithops_magic.engine.wire.reply import Outcome, WorkerReply
from lithops_magic.errors import ImportFailed, RemoteFrame, RemoteTraceback, facts
from lithops_magic.packages import Need, Request
from lithops_magic.packages.plugins import FEW, Plugin

SWIFT = ("__main__", "swift")
DIFFER = "so that results may differ"
LATER = "shipped from the next run on"


class Machine:
    """What is installed here, and what is asked about it."""

    def __init__(self) -> None:
        self.modules = {"swift": "swift-engine", "brisk": "brisk-engine", "brisk.parts": "brisk-engine"}
        self.modules |= {"front": "front-door", "boto3": "boto3", "named==": "named", "notebook_has": "ipython"}
        self.requires: list[str] = []
        """Of every distribution."""
        self.plugins: list[Plugin] = []
        self.shipped: set[str] = set()
        self.asked: list[Any] = []
        self.learned: list[dict[str, str]] = []

    def provider_of(self, name: str) -> str:
        return self.modules.get(name, "")

    def find_unit(self, name: str) -> Any:
        kinds = {"own": "local", "front": "installed"}
        return SimpleNamespace(kind=kinds[name]) if name in kinds else None

    def installed(self, name: str) -> str:
        return name if name == "front-door" else ""

    def requires_of(self, here: str) -> list[Requirement]:
        assert here == "front-door"
        return [Requirement(text) for text in self.requires]

    def plugins_of(self, asker: str, group: str, used: Iterable[str]) -> list[Plugin]:
        self.asked.append((asker, group, set(used)))
        return self.plugins

    def shipped_of(self, need: Need) -> set[str]:
        self.asked.append(need)
        return self.shipped


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    for name in ("provider_of", "find_unit", "installed", "requires_of"):
        monkeypatch.setattr(supplements, name, getattr(made, name))
    monkeypatch.setattr(supplements, "distribution_of", made.provider_of)
    monkeypatch.setattr(supplements, "plugins", made.plugins_of)
    monkeypatch.setattr(supplements, "shipped", made.shipped_of)
    monkeypatch.setattr(supplements, "remember", made.learned.append)
    monkeypatch.setattr(supplements, "_said", set())
    for name in ("front", "swift", "brisk", "acme_zig"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return made


def load(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())  # type: ignore[arg-type]


def told(*not_found: tuple[str, str], need: Need | None = None, **outcomes: str) -> list[str]:
    """What is noted about tasks with those statuses that looked for that in vain."""
    known = {number: Outcome(status) for number, status in enumerate(outcomes.values())}
    return list(Supplements(need or Need()).done_without(WorkerReply("box", False, known, not_found=not_found)))


def failure(kind: str = "ImportError", message: str = "no", *, cause: RemoteTraceback | None = None) -> ImportFailed:
    error = ImportFailed("no")
    facts(error).traceback = RemoteTraceback(kind, message, (RemoteFrame("a.py", 1, "f", "x", library=False),), cause)
    return error


def zig(group: str = "acme.codecs", number: int = 0) -> Plugin:
    return Plugin(group, "zig", "acme_zig", f"acme-zig{number or ''}")


# What tasks did without


def test_what_the_user_s_own_code_did_without_is_learned(machine: Machine) -> None:
    assert told(SWIFT, a="ok") == [f"tasks found no swift-engine, which this machine has, {DIFFER}: {LATER}"]
    assert told(("own", "brisk")) == [f"tasks found no brisk-engine, which this machine has, {DIFFER}: {LATER}"]
    assert machine.learned == [{"swift-engine": "__main__"}, {"brisk-engine": "own"}]


def test_it_is_said_once_in_a_notebook(machine: Machine) -> None:
    assert told(SWIFT, SWIFT) == [f"tasks found no swift-engine, which this machine has, {DIFFER}: {LATER}"]
    assert told(SWIFT, ("own", "swift")) == []
    assert told(SWIFT, ("own", "brisk")) == [f"tasks found no brisk-engine, which this machine has, {DIFFER}: {LATER}"]


def test_what_goes_together_is_said_together(machine: Machine) -> None:
    assert told(SWIFT, ("__main__", "brisk")) == [
        f"tasks found no brisk-engine and swift-engine, which this machine has, {DIFFER}: {LATER}"
    ]


@pytest.mark.parametrize(
    ("asked", "outcomes", "nothing"),
    [
        ([], {}, False),
        ([SWIFT], {"a": "ok", "b": "error"}, False),  # the error says it
        ([SWIFT], {}, True),
        ([("__main__", "nowhere")], {}, False),
        ([("__main__", "boto3")], {}, False),  # Lambda has it
        ([("__main__", "notebook_has")], {}, False),
        ([("__main__", "brisk.parts")], {}, False),  # the package around it was found
        ([("unknown", "swift")], {}, False),
        ([("boto3", "swift")], {}, False),
    ],
)
def test_else_nothing_is_said(machine: Machine, asked: Any, outcomes: dict[str, str], nothing: bool) -> None:
    assert told(*asked, need=Need(request=Request(nothing=nothing)), **outcomes) == []
    assert machine.learned == []


OPTIONAL = "swift-engine; extra == 'fast'"


def uses(*names: str) -> str:
    """What is said of a library that is installed here."""
    return (
        f"tasks ran without {' and '.join(names)}, which front-door uses here, {DIFFER}: "
        f'--packages "{" ".join(names)}" ships what it lacks'
    )


@pytest.mark.parametrize(
    ("requires", "loaded", "is_said"),
    [
        ([OPTIONAL], ["front", "swift"], True),
        (["other; extra == 'x'", 'Swift_Engine; extra == "fast"'], ["front", "swift"], True),
        ([OPTIONAL], [], True),  # only tasks load the library
        ([OPTIONAL], ["front"], False),  # it does not use it here, either
        (["swift-engine"], ["front", "swift"], False),  # not optional: it is shipped
        (["swift-engine; extra == 'tests'"], ["front", "swift"], False),
        (["swift-engine; extra == 'latest'"], ["front", "swift"], True),
        (["swift; extra == 'fast'"], ["front", "swift"], False),
        ([], ["front", "swift"], False),
    ],
)
def test_a_library_s_optional_part_is_named_with_the_option(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, requires: list[str], loaded: list[str], is_said: bool
) -> None:
    machine.requires = requires
    load(monkeypatch, *loaded)
    assert told(("front", "swift")) == [uses("swift-engine")] * is_said
    assert machine.learned == []


def test_a_part_of_a_package_counts_as_used_if_the_package_is_loaded(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.requires = [OPTIONAL]
    machine.modules |= {"swift.deep.parts": "swift-engine", "front.inner.parts": "front-door"}
    load(monkeypatch, "front", "swift")
    assert told(("front.inner.parts", "swift.deep.parts")) == [uses("swift-engine")]
    monkeypatch.delitem(sys.modules, "swift")
    machine.modules["swift.other.parts"] = "other-engine"
    machine.requires = ["other-engine; extra == 'fast'"]
    assert told(("front.inner.parts", "swift.other.parts")) == []


def test_two_parts_of_a_library_are_one_option(machine: Machine) -> None:
    machine.requires = [OPTIONAL, "brisk-engine; extra == 'fast'"]
    assert told(("front", "swift"), ("front", "brisk")) == [
        f"tasks ran without brisk-engine and swift-engine, which front-door uses here, {DIFFER}: "
        '--packages "swift-engine brisk-engine" ships what it lacks'
    ]


def test_a_library_that_is_not_installed_uses_nothing(machine: Machine) -> None:
    machine.modules["front"] = "gone-since"
    machine.requires = [OPTIONAL]
    assert told(("front", "swift")) == []


# Plugins


def test_plugins_that_the_user_s_own_code_looked_for_are_learned_while_they_are_few(machine: Machine) -> None:
    machine.plugins = [zig(number=number) for number in range(FEW)] + [zig()]
    assert told(("__main__", "[acme.codecs]")) == [
        f"tasks found no acme-zig, acme-zig1 and acme-zig2, which this machine has, {DIFFER}: {LATER}"
    ]
    assert machine.learned == [{f"acme-zig{number or ''}": "__main__"} for number in range(FEW)]


def test_of_many_plugins_none_is_learned(machine: Machine) -> None:
    machine.plugins = [zig(number=number) for number in range(FEW + 1)]
    assert told(("own", "[acme.codecs]")) == [
        f"tasks found no acme-zig, acme-zig1, acme-zig2 and acme-zig3, which this machine has, {DIFFER}: "
        '--packages "acme-zig acme-zig1 acme-zig2 acme-zig3" ships what it lacks'
    ]
    assert machine.learned == []


def test_plugins_that_are_shipped_are_not_lacking_and_do_not_count(machine: Machine) -> None:
    machine.plugins = [zig(number=number) for number in range(FEW + 1)]
    machine.shipped = {"acme-zig"}
    (note,) = told(("__main__", "[acme.codecs]"))
    assert note.startswith("tasks found no acme-zig1, acme-zig2 and acme-zig3, ")
    assert [*machine.learned[0]] == ["acme-zig1"]


def test_what_is_installed_is_looked_up_once(machine: Machine) -> None:
    need = Need(units=((SimpleNamespace(name="acme"), "used"),))  # type: ignore[arg-type]
    machine.plugins = [zig()]
    some = Supplements(need)
    for _ in range(2):
        some.new(failure(), (("front", "[acme.codecs]"), ("front", "[other]"), ("__main__", "[other]")))
    assert machine.asked == [
        ("front", "acme.codecs", {"acme"}),
        need,
        ("front", "other", {"acme"}),
        ("__main__", "other", {"acme"}),
    ]


@pytest.mark.parametrize(
    ("asker", "group", "loaded", "said"),
    [
        ("front", "acme.codecs", ["front", "acme_zig"], True),
        ("front", "acme.codecs", [], True),
        ("front", "acme.codecs", ["front"], False),
        ("front", "matplotlib.backend", ["front", "acme_zig"], False),  # used only by name
        ("unknown", "acme.codecs", [], False),
    ],
)
def test_a_library_uses_plugins_that_are_loaded_here(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, asker: str, group: str, loaded: list[str], said: bool
) -> None:
    machine.plugins = [zig(group)]
    load(monkeypatch, *loaded)
    assert told((asker, f"[{group}]")) == [uses("acme-zig")] * said


def test_plugins_of_an_unknown_group_may_be_what_an_error_names_and_nothing_else(machine: Machine) -> None:
    machine.plugins = [zig(), Plugin("acme.codecs", "zag", "acme_zag.parts", "acme-zag-dist")]
    some, asked = Supplements(Need()), (("__main__", "[]"),)
    assert told(*asked) == []
    assert some.new(failure("ImportError"), asked) == {}
    assert some.new(failure("ValueError", "zag?"), asked) == {"acme-zag-dist": "__main__"}
    assert some.new(failure("ValueError", "acme_zag"), asked) == {"acme-zag-dist": "__main__"}
    assert some.new(failure("ValueError", "Acme_Zag.dist"), asked) == {"acme-zag-dist": "__main__"}
    # A library's guess is as good as any.
    assert some.new(failure(), (("front", "[]"),)) == {"acme-zig": "front", "acme-zag-dist": "front"}
    # And so is that of the group that was asked for.
    assert some.new(failure(), (("__main__", "[acme.codecs]"),)).keys() == {"acme-zig", "acme-zag-dist"}


def test_of_many_plugins_only_those_are_added_that_an_error_names(machine: Machine) -> None:
    machine.plugins = [zig(number=number) for number in range(FEW + 1)]
    some, asked = Supplements(Need()), (("front", "[acme.codecs]"),)
    assert some.new(failure(), asked) == {}
    assert some.new(failure(message="acme-zig3 is needed"), asked) == {"acme-zig3": "front"}


def test_a_group_without_plugins_asks_for_nothing_and_is_not_absent(machine: Machine) -> None:
    some, asked = Supplements(Need()), (("front", "[acme.codecs]"), ("front", "nowhere"))
    assert some.new(failure(), asked) == {}
    assert machine.asked == [("front", "acme.codecs", set())]
    assert some.absent(failure("ValueError", "acme.codecs [acme.codecs] nowhere"), asked) == ["nowhere"]


# What errors mean


def test_a_distribution_that_was_looked_up_as_such_is_called_by_its_name(machine: Machine) -> None:
    some, asked = Supplements(Need()), (("front", "named=="),)
    assert some.new(failure("ValueError", "what is named?"), asked) == {"named": "front"}
    assert some.new(failure("ValueError", "what is it?"), asked) == {}
    # It has no module of its name, and yet is here.
    assert some.absent(failure("ValueError", "named"), (("front", "named"),)) == []
    assert some.absent(failure("ValueError", "gone"), (("front", "gone=="),)) == ["gone"]


def test_what_an_error_names_and_nobody_has_explains_it(machine: Machine) -> None:
    some = Supplements(Need())
    asked = (("front", "swift"), ("front", "nowhere"))
    assert some.new(failure("ImportError", "no nowhere"), asked) == {}
    assert some.new(failure("ImportError", "no nowhere, no swift"), asked) == {"swift-engine": "front"}
    caused = failure("ValueError", "x", cause=RemoteTraceback("ImportError", "no nowhere"))
    assert some.new(caused, asked) == {}
    assert some.absent(caused, asked) == ["nowhere"]
    # Words of a message and of its cause are two words.
    assert some.absent(failure("ValueError", "no", cause=RemoteTraceback("E", "where")), asked) == []


def test_the_last_frame_may_be_a_search_for_plugins(machine: Machine) -> None:
    def new(*sources: str, kind: str = "KeyError") -> dict[str, str]:
        error = ImportFailed("no")
        frames = tuple(RemoteFrame("a.py", 1, "f", source, library=False) for source in sources)
        facts(error).traceback = RemoteTraceback(kind, "x", frames)
        return Supplements(Need()).new(error, (("front", "swift"),))

    assert new("a", "next(iter(Entry_Points()))") == {"swift-engine": "front"}
    assert new("a", "plugins[0]") == {"swift-engine": "front"}
    assert new("plugins[0]", "a") == {}
    assert new() == {}
    assert new(kind="AttributeError") == {}


@pytest.mark.parametrize(
    ("text", "name", "does"),
    [
        ("use lxml.", "lxml", True),
        ("use lxml2", "lxml", False),
        ("my_lxml", "lxml", False),
        ("scikit_learn here", "scikit-learn", True),
        ("scikit.learn here", "scikit-learn", True),
        ("scikitxlearn here", "scikit-learn", False),
        ("a.b", "a.b", True),
        ("a+b", "a+b", True),
        ("aab", "a+b", False),
    ],
)
def test_a_text_mentions_a_name_as_a_word_however_it_is_spelled(text: str, name: str, does: bool) -> None:
    assert supplements._mentions(text, name) is does
