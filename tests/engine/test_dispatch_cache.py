"""What becomes of tasks whose values are cached in S3, and what is cached."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lithops_magic.aws.invoke.outcomes import Reply
from lithops_magic.config import Settings
from lithops_magic.engine import MapOptions
from lithops_magic.engine.cache import index
from lithops_magic.engine.cache.keys import Key, Keys
from lithops_magic.engine.dispatch.items import Items, Source
from lithops_magic.engine.durable.null_journal import NullJournal
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.reply import decode
from lithops_magic.errors import AwsError
from lithops_magic.worker import packing
from virtual_lambda import Behaviour, Checked, Ran, Sent, VirtualLambda, done, works
from virtual_store import MemoryStore, in_virtual_time

SECONDS = 3.0
"""How long a transfer takes."""
LARGE = random.Random(0).randbytes(70_000)
"""As a value, an object of its own."""


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def some(run: Ran, *names: str) -> tuple[int, ...]:
    return tuple(getattr(run.job.snapshot(), name) for name in names)


class Cache:
    """Jobs over the same function and the same objects."""

    def __init__(self, store: MemoryStore, patch: pytest.MonkeyPatch) -> None:
        self.store, self.patch = store, patch
        self.phases: list[str] = []
        """Of the last job."""
        self.asked: list[int] = []
        """How many items the last job asked for, each time."""

    def run(
        self,
        items: Any,
        behaviour: Behaviour = works,
        *,
        journal: NullJournal | None = None,
        keys: Any = None,
        function: Callable[[Any], Any] = abs,
        endpoint: dict[str, Any] | None = None,
        **options: Any,
    ) -> Ran:
        service = VirtualLambda(behaviour, workers=2, **({"store": self.store} | (endpoint or {})))
        in_virtual_time(self.patch, service.clock, SECONDS)
        chosen = MapOptions(**({"cache": 3e7, "chunksize": 1} | options))
        taken = Items(items)
        keys = keys or keys_of(chosen)
        job = Job(chosen, str, taken.total, function, taken.owned, service.clock)
        publish, self.phases, self.asked = job.publish, [], []

        def listen(event: ev.Event) -> None:
            if isinstance(event, ev.Phase):
                self.phases.append(event.text)
            publish(event)

        job.publish = listen  # type: ignore[method-assign]
        source = Source(taken, name=keys.of_item)
        ask = source.ask
        source.ask = lambda items: self.asked.append(items) or ask(items)  # type: ignore[func-returns-value, method-assign]
        Checked(job, Function.pickle(abs), source, service, 1, journal, keys).run()
        return Ran(job, service, round(service.clock.now() - 100, 3))

    def entries(self) -> list[index.Entry]:
        """What all indexes hold."""
        found = [content for key, content in self.store.objects.items() if "/index/" in key]
        return [entry for content in found for entry in index.decode(content, 1)]


def keys_of(options: MapOptions) -> Keys:
    return Keys(abs, Settings(local=True), options)


@pytest.fixture
def cache(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Cache:
    return Cache(store, monkeypatch)


def test_values_of_before_are_taken_and_only_the_others_computed(cache: Cache) -> None:
    first = cache.run(range(3), lambda sent: works(sent, 2.0))
    assert some(first, "done", "cached", "invocations") == (3, 0, 3)
    again = cache.run([0, 3, 2, 1], lambda sent: works(sent, 2.0))
    assert again.values == [0, 3, 2, 1]
    assert again.service.tasks == [[1]]
    assert some(again, "done", "cached", "invocations", "retried") == (4, 3, 1, 0)
    # Three times 2 s at $0.001 a second, and a request of $0.001.
    assert again.job.snapshot().saved == pytest.approx(3 * 0.003)
    assert [again.job.stats(i).cached for i in range(4)] == [True, False, True, True]
    assert again.job.snapshot().answered == 1
    assert again.seconds == SECONDS  # fetched while task 1 ran


def test_a_job_of_known_values_sends_nothing_and_costs_nothing(cache: Cache) -> None:
    cache.run(range(5))
    again = cache.run(range(5))
    assert (again.values, again.service.sent) == ([0, 1, 2, 3, 4], [])
    snapshot = again.job.snapshot()
    assert (snapshot.cost, snapshot.request_cost, snapshot.state) == (0.0, 0.0, "finished")


def test_lost_attempts_are_part_of_what_a_value_cost(cache: Cache) -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        if sent.runs[0]:
            return works(sent)
        died = {"id": sent.tasks[0], "status": "died", "code": 1, "started": 0.0, "seconds": 4.0, "log": ""}
        return 4.0, {"outcomes": [died]}

    cache.run([7], behave)
    again = cache.run([7])
    # 4 s and 1 s at $0.001 a second, and two requests.
    assert again.job.snapshot().saved == pytest.approx(0.005 + 0.002)


def test_what_tasks_printed_comes_back_with_their_values(cache: Cache) -> None:
    def prints(sent: Sent) -> tuple[float, Any]:
        return 1.0, {"outcomes": [{**done(sent, task), "log": "hello\n"} for task in sent.tasks]}

    cache.run(range(2), prints)
    assert cache.run(range(3)).job.logs() == {0: "hello\n", 1: "hello\n"}


def test_another_process_that_resumes_the_job_is_told_the_cached_values(cache: Cache, store: MemoryStore) -> None:
    class Telling(NullJournal):
        def __init__(self) -> None:
            self.taken_tasks: list[int] = []
            self.told: dict[int, Any] = {}

        def taken(self, task: Any) -> None:
            assert task.fragment.startswith(b'{"id":%d' % task.index)
            self.taken_tasks.append(task.index)

        def answered(self, tasks: Any, outcome: Any) -> None:
            (task,) = tasks
            assert outcome == Reply(outcome.payload, None, "", "", None)
            self.told[task.index] = decode(outcome.payload)

    large = LARGE
    cache.run(
        [5, large], lambda sent: (1.0, {"outcomes": [{**done(sent, task), "log": "hi\n"} for task in sent.tasks]})
    )
    telling = Telling()
    again = cache.run([large, 5], journal=telling)
    assert (again.values, again.service.sent) == ([large, 5], [])
    assert sorted(telling.taken_tasks) == [0, 1]
    for number, reply in telling.told.items():
        outcome = reply.outcomes[number]
        assert (reply.sandbox, reply.cold, list(reply.outcomes)) == ("cache", False, [number])
        assert (outcome.status, outcome.started, outcome.seconds, outcome.log) == ("ok", 0.0, 0.0, "hi\n")
    assert packing.loads(telling.told[1].outcomes[1].value) == 5
    reference = telling.told[0].outcomes[0].reference
    assert packing.loads(store.objects[reference["object"]]) == large
    assert (reference["size"], reference["sha256"]) == (
        len(store.objects[reference["object"]]),
        hashlib.sha256(store.objects[reference["object"]]).hexdigest(),
    )


def test_an_item_that_cannot_travel_is_not_looked_up(cache: Cache) -> None:
    cache.run([1])
    again = cache.run([1, (i for i in ())])
    assert (again.values, again.errors.keys()) == ([1, None], {1})
    assert some(again, "done", "cached", "failed") == (1, 1, 1)


def test_failures_are_not_cached(cache: Cache) -> None:
    bad = {"type": "ValueError", "message": "bad", "frames": [], "cause": None}

    def fails(sent: Sent) -> tuple[float, Any]:
        told = {"id": sent.tasks[0], "status": "error", "started": 0.0, "seconds": 1.0, "log": "", "error": bad}
        return 1.0, {"outcomes": [told]}

    assert cache.run(range(2), fails).errors.keys() == {0, 1}
    again = cache.run(range(2))
    assert (again.values, some(again, "cached")) == ([0, 1], (0,))


@pytest.mark.parametrize("how", ["altered", "gone"])
def test_a_cached_value_that_is_not_what_was_written_is_computed_and_that_is_said(
    cache: Cache, store: MemoryStore, how: str
) -> None:
    cache.run(range(3))
    (pack,) = [key for key in store.objects if "/packs/" in key]
    if how == "altered":
        store.objects[pack] = b"forged"
    else:
        del store.objects[pack]
    again = cache.run(range(3))
    assert again.values == [0, 1, 2]
    assert some(again, "done", "cached", "invocations") == (3, 0, 3)
    (note,) = again.job.snapshot().notes
    reason = "it was altered" if how == "altered" else "there is no such object"
    assert note == f"cache: AwsError: {reason}; 3 of its values are computed"


def test_an_altered_index_is_not_believed(cache: Cache, store: MemoryStore) -> None:
    cache.run(range(3))
    (index,) = [key for key in store.objects if "/index/" in key]
    store.objects[index] += b"x"
    again = cache.run(range(3))
    assert (again.values, some(again, "cached")) == ([0, 1, 2], (0,))
    assert again.job.snapshot().notes == (
        "cache: some entries are not what was written there, and were not unpickled; their values are computed",
    )


def test_a_cache_that_cannot_be_written_costs_no_value(cache: Cache, store: MemoryStore) -> None:
    store.refuses = AwsError("S3 says no.")
    run = cache.run(range(3))
    assert run.values == [0, 1, 2]
    assert run.job.snapshot().notes == ("cache: S3 says no; not every value is stored",)
    assert run.job.snapshot().state == "finished"


def test_a_cache_that_cannot_be_read_costs_no_value(
    cache: Cache, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(prefix: str) -> Any:
        raise AwsError("S3 says no.", code="AccessDenied")

    monkeypatch.setattr(store, "find", refuse)
    run = cache.run(range(3))
    assert run.values == [0, 1, 2]
    assert run.job.snapshot().notes == ("cache: S3 says no; every task is computed",)


def test_after_a_stop_cached_values_are_not_sent_for(cache: Cache) -> None:
    cache.run(range(3))
    service = VirtualLambda(workers=2, store=cache.store)
    in_virtual_time(cache.patch, service.clock, SECONDS)
    options = MapOptions(cache=3e7, chunksize=1)
    keys = Keys(abs, Settings(local=True), options)
    job = Job(options, str, 4, abs, range(4), service.clock)
    service.clock.later(2.0, job.cancel)
    Checked(job, Function.pickle(abs), Source(range(4), name=keys.of_item), service, 1, keys=keys).run()
    snapshot = job.snapshot()
    assert (snapshot.done, snapshot.cancelled, snapshot.cached) == (1, 3, 0)
    assert service.tasks == [[3]]


# What is written


def test_what_is_written_of_a_value_is_what_it_took_and_no_more_than_it_told(cache: Cache) -> None:
    def behave(sent: Sent) -> tuple[float, Any]:
        if sent.tasks == [1] and not sent.runs[0]:
            died = {"id": 1, "status": "died", "code": 1, "started": 0.0, "seconds": 4.0, "log": ""}
            return 4.0, {"outcomes": [died]}
        log = "x" if sent.tasks == [2] else ""
        return 2.0, {"outcomes": [{**done(sent, task, 2.0), "log": log} for task in sent.tasks]}

    keys = keys_of(MapOptions(cache=3e7, chunksize=1))
    cache.run(range(3), behave)
    entries = {entry.key: entry for entry in cache.entries()}
    zero, one, two = (entries[key.digest] for item in range(3) if (key := keys.of_item(item)))
    # The last attempt's seconds, and the cost of all: $0.001 a second and a request.
    assert [(entry.seconds, round(entry.cost, 6)) for entry in (zero, one, two)] == [(2, 0.003), (2, 0.008), (2, 0.003)]
    assert (zero.metadata_size, one.metadata_size) == (0, 0)
    assert two.metadata_size == len(json.dumps({"log": "x", "classes": {}}))
    assert cache.run(range(4)).job.logs() == {2: "x"}


@pytest.mark.parametrize(("function", "name"), [(abs, "abs"), (functools.partial(pow, 2), "")])
def test_what_a_function_is_called_is_written_beside_its_values(
    cache: Cache, store: MemoryStore, function: Any, name: str
) -> None:
    cache.run([1], function=function, label="a label", about="what it does")
    (content,) = [content for key, content in store.objects.items() if key.endswith("/about")]
    assert json.loads(content) == {"label": "a label", "about": "what it does", "name": name}


def test_a_function_that_has_other_packages_there_has_other_values(cache: Cache, store: MemoryStore) -> None:
    keys = keys_of(MapOptions(cache=3e7, chunksize=1))
    differences = ("numpy here 2.0, there 1.0",)
    cache.run([1], keys=keys)
    assert some(cache.run([1], keys=keys, endpoint={"differences": differences}), "cached") == (0,)
    assert some(cache.run([1], keys=keys), "cached") == (1,)
    names = {key.split("/index/")[0].rpartition("/")[2] for key in store.objects if "/index/" in key}
    assert names == {keys.of_function(), keys.of_function(differences)}


def test_where_there_is_no_s3_that_is_said_and_everything_computed(cache: Cache) -> None:
    run = cache.run(range(2), endpoint={"store": None})
    assert (run.values, some(run, "cached", "invocations")) == ([0, 1], (0, 2))
    assert run.job.snapshot().notes == ("cache: there is no S3 here; every task is computed",)


def test_looking_at_the_cache_is_a_phase(cache: Cache, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.run([1])
    assert cache.phases[-2:] == ["Checking the cache", ""]
    monkeypatch.setattr(store, "find", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        raise cache.run([1]).job.error or AssertionError
    assert cache.phases[-2:] == ["Checking the cache", ""]


def test_one_problem_is_said_and_that_not_everything_could_be_written(cache: Cache, store: MemoryStore) -> None:
    cache.run(range(70))
    for key in [key for key in store.objects if "/packs/" in key]:
        del store.objects[key]
    store.refuses = AwsError("S3 refuses EXTRAX.")
    again = cache.run(range(71))
    assert (again.values, some(again, "cached", "invocations")) == ([*range(71)], (0, 71))
    missed = "cache: AwsError: there is no such object; {} of its values are computed"
    # They are fetched in several batches; the first that arrives tells.
    first, last = again.job.snapshot().notes
    assert first in [missed.format(count) for count in range(1, 65)]
    assert last == "cache: S3 refuses EXTRAX; not every value is stored"


def test_a_cached_item_that_no_request_could_hold_is_told_to_the_journal_without_it(cache: Cache) -> None:
    told: list[bytes] = []

    class Telling(NullJournal):
        def taken(self, task: Any) -> None:
            told.append(task.fragment)

    huge = random.Random(1).randbytes(5_000_000)
    cache.run([huge], lambda sent: works(sent, value="gAVOLg=="))
    again = cache.run([huge], journal=Telling())
    assert (again.values, again.service.sent, told) == ([None], [], [b'{"id":0}'])


def test_an_item_without_a_key_is_computed_each_time(cache: Cache) -> None:
    keys = keys_of(MapOptions(cache=3e7, chunksize=1))
    some_keys = SimpleNamespace(
        kinds=(), of_function=keys.of_function, of_item=lambda item: keys.of_item(item) if item != 1 else None
    )
    for cached in (0, 2):
        run = cache.run(range(3), keys=some_keys)
        assert (run.values, some(run, "cached", "invocations")) == ([0, 1, 2], (cached, 3 - cached))


def kind_of_main(name: str) -> type:
    return type(name, (), {"__module__": "__main__"})


class Kinds:
    """Keys of a function that refers to a class, over items that each refer to another."""

    def __init__(self, shared: type, own: type) -> None:
        self.kinds, self._own = (shared,), own

    def of_function(self, differences: object) -> str:
        return "f"

    def of_item(self, item: int) -> Key:
        return Key(hashlib.sha256(b"%d" % item).digest(), (self._own,))


def test_values_of_another_kernel_are_of_the_classes_that_this_one_has(cache: Cache) -> None:
    """In each, cloudpickle names the same class by another number."""
    before, after = [(kind_of_main("Shared"), kind_of_main("Own")) for _ in range(2)]

    def behave(sent: Sent) -> tuple[float, Any]:
        value = packing.dumps([kind() for kind in before])
        return works(sent, value=base64.b64encode(value).decode())

    cache.run(range(2), behave, keys=Kinds(*before))
    for kinds in (after, before):
        again = cache.run(range(2), behave, keys=Kinds(*kinds))
        assert some(again, "cached") == (2,)
        assert [[type(one) for one in value] for value in again.values] == [[*kinds]] * 2


# How many items are asked for


def test_while_values_are_found_ever_more_items_are_looked_up_at_once(cache: Cache) -> None:
    cache.run(range(700), chunksize=100)
    again = cache.run(range(700))
    assert (some(again, "cached"), again.service.sent) == ((700,), [])
    # Twice as many as were found last, up to 256, less the batches of 64 that are on their way.
    assert cache.asked[:8] == [4, 8 - 1, 14 - 2, 24 - 3, 42 - 4, 76 - 5, 142 - 7, 200]
