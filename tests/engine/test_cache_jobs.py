"""What a job computes, the next one takes from the cache: as it was, wherever it runs, if all is what it was."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lithops_magic.aws.iam.policy import execution_policy, user_policy
from lithops_magic.aws.iam.read_policy import not_granted
from lithops_magic.aws.session import Cloud
from lithops_magic.aws.storage.bucket import CACHE, LIFETIMES, cache_prefix
from lithops_magic.aws.storage.objects import ObjectStore
from lithops_magic.config import Settings
from lithops_magic.config.lifetime import DAY
from lithops_magic.engine import MapResult, api
from lithops_magic.engine.attach import attach
from lithops_magic.engine.cache import index, listing, shelf
from lithops_magic.engine.cache.shelf import Shelf
from lithops_magic.engine.durable import journal
from lithops_magic.engine.result import summary
from lithops_magic.errors import AwsError, MisuseError, RemoteError
from localaws import LocalAws
from recording import record_no_job
from waiting import eventually

pytestmark = pytest.mark.usefixtures("local_aws")

SETTINGS = Settings(local=True, memory=256)


def cached(function: Callable[..., Any], items: Any, **options: Any) -> MapResult:
    return api.map(function, items, **{"settings": SETTINGS, "cache": True, **options})


def hits(result: MapResult) -> int:
    return result.snapshot().cached


@pytest.fixture
def mark() -> int:
    """What makes a test's functions its own: others may have left values."""
    return random.getrandbits(60)


@pytest.fixture
def store() -> ObjectStore:
    return ObjectStore(Cloud.connect(SETTINGS), SETTINGS)


def test_only_new_items_are_computed_and_all_is_in_its_place(mark: int) -> None:
    def task(x: int) -> tuple[int, int]:
        print("computed", x)
        return x * x, mark

    assert hits(cached(task, range(0, 40, 2))) == 0
    events: list[Any] = []
    again = cached(task, range(40), callbacks=lambda event, now: events.append((event, now)))
    snapshot = again.snapshot()
    assert again.values() == [(x * x, mark) for x in range(40)]
    assert (hits(again), snapshot.answered, snapshot.done) == (20, 20, 40)
    assert snapshot.saved > 0
    assert [stats.cached for stats in again.stats] == [x % 2 == 0 for x in range(40)]
    assert {stats.attempts for stats in again.stats if stats.cached} == {0}
    assert again.logs(4) == "computed 4\n"
    frame = again.to_frame(full=True)
    assert frame["cached"].tolist() == [x % 2 == 0 for x in range(40)]
    assert frame["value"].tolist() == again.values()
    assert sorted(future.index for future in again.as_completed()) == list(range(40))
    for _, now in events:
        assert now.queued is None or now.queued + now.running + now.done + now.failed + now.cancelled == now.total
    assert "20 from cache · 20 computed" in str(again)
    assert "saved ≈ $" in str(again)
    assert "saved" in summary.to_html(again)
    third = cached(task, iter(range(40)))
    assert (hits(third), third.snapshot().invocations, third.values()) == (40, 0, again.values())


def test_what_changes_is_computed_as_python_does(mark: int) -> None:
    box = {"factor": 1}

    def helper(x: int, plus: int = 1) -> int:
        return x * box["factor"] + plus

    def task(x: int) -> int:
        return helper(x) + (mark & 0)

    for expected in (0, 5):
        assert hits(cached(task, range(5))) == expected
    for change in (
        lambda: box.update(factor=2),
        lambda: setattr(helper, "__defaults__", (7,)),
        lambda: box.update(factor=1),
    ):
        change()
        result = cached(task, range(6))
        assert (hits(result), result.values()) == (0, [task(x) for x in range(6)])
        assert hits(cached(task, range(6))) == 6
    helper.__defaults__ = (1,)
    # As it was at first: the first five are still there.
    assert hits(cached(task, range(6))) == 5


def test_an_edited_module_is_a_miss_whether_or_not_it_is_imported_again(
    mark: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / f"edited_{mark}.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file.write_text("def f(x):\n    return x + 1\n")
    module = importlib.import_module(file.stem)
    assert (hits(cached(module.f, range(3))), hits(cached(module.f, range(3)))) == (0, 3)
    file.write_text("# said anew\n\ndef f(x):  # this\n    return x + 1\n")
    module = importlib.reload(module)
    assert hits(cached(module.f, range(3))) == 3
    file.write_text("def f(x):\n    return x + 2\n")
    # What runs is what the notebook has.
    assert cached(module.f, range(3)).values() == [1, 2, 3]
    module = importlib.reload(module)
    result = cached(module.f, range(3))
    assert (hits(result), result.values()) == (0, [2, 3, 4])


def test_errors_are_not_kept(mark: int) -> None:
    def task(x: int) -> int:
        if x == 2:
            raise KeyError(mark)
        return x

    for expected in (0, 3):
        result = cached(task, range(4), errors="keep")
        assert hits(result) == expected
        assert list(result.errors) == [2]
        assert isinstance(result.errors[2], RemoteError)
    assert hits(result.retry(errors="keep") or result) == 3


def test_large_values_and_items_come_back_whole(mark: int) -> None:
    def task(x: bytes) -> tuple[bytes, int]:
        return x * 2, mark

    items = [random.randbytes(size) for size in (10, 40_000, 4_000_000, 7_000_000)]
    assert hits(cached(task, items)) == 0
    result = cached(task, iter(items))
    assert (hits(result), result.values()) == (4, [(x * 2, mark) for x in items])


def test_thousands_of_items_are_looked_up_with_a_few_requests(
    mark: int, local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a long job writes down of itself is no look-up.
    record_no_job(monkeypatch)

    def task(x: int) -> int:
        return x + (mark & 0)

    cached(task, range(5000))
    before = local_aws.requests()
    assert hits(cached(task, range(5000))) == 5000
    after = local_aws.requests()
    new = {name: number - before.get(name, 0) for name, number in after.items() if name.startswith("s3:")}
    assert new.get("s3:PutObject", 0) == 0
    assert sum(new.values()) < 20


def test_what_was_changed_or_is_gone_is_computed_and_said(mark: int, store: ObjectStore) -> None:
    def task(x: int) -> tuple[int, bytes]:
        return x, random.Random(1).randbytes(100_000 if x == 1 else 10)

    for spoilt in ("packs/", "values/", "index/"):
        about = f"{mark} {spoilt}"
        value = [task(x) for x in range(3)]

        def mapped(x: int, about: str = about) -> tuple[int, bytes]:
            return task(x)

        before = {one.name for one in listing.cached_functions(store)}
        cached(mapped, range(3), settings=SETTINGS)
        (function,) = [one for one in listing.cached_functions(store) if one.name not in before]
        (key,) = store.list(function.prefixes[0] + spoilt)
        store.put(key, b"cos\nsystem\n(S'exit 1'\ntR.".ljust(store_size(store, key), b" "))
        result = cached(mapped, range(3))
        assert result.values() == value
        assert hits(result) == {"packs/": 1, "values/": 2, "index/": 0}[spoilt]
        assert any("not what was written" in note and "computed" in note for note in result.snapshot().notes)
        store.delete_prefix(key)
        result = cached(mapped, range(3))
        assert result.values() == value


def store_size(store: ObjectStore, key: str) -> int:
    return next(found.size for found in store.find(key))


def test_old_values_are_not_used_and_expire(mark: int, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def task(x: int) -> int:
        return x + (mark & 0)

    cached(task, range(3), cache="30d")
    assert hits(cached(task, range(3), cache="90d")) == 3
    later = SimpleNamespace(time=lambda: time.time() + 31 * DAY, monotonic=time.monotonic)
    monkeypatch.setattr(shelf, "time", later)
    assert hits(cached(task, range(3), cache="30d")) == 0
    days = {rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in rules(store)}
    assert {cache_prefix(lifetime): lifetime for lifetime in LIFETIMES}.items() <= days.items()
    assert not any(CACHE.startswith(prefix) for prefix in days)


def rules(store: ObjectStore) -> list[Any]:
    found: list[Any] = store._s3.get_bucket_lifecycle_configuration(**store._owned)["Rules"]  # type: ignore[assignment]
    return found


def test_a_bucket_of_before_gets_the_rules(mark: int, store: ObjectStore) -> None:
    cached(lambda x: (x, mark), [1])
    others = [rule for rule in rules(store) if "cache" not in rule["ID"]]
    store._s3.put_bucket_lifecycle_configuration(**store._owned, LifecycleConfiguration={"Rules": others})
    cached(lambda x: (x, mark), [2])
    assert len(rules(store)) == len(others) + len(LIFETIMES)


def test_where_there_is_no_bucket_yet_nothing_is_there(mark: int) -> None:
    settings = SETTINGS.replace(namespace=f"none{mark % 10**9}")
    empty = ObjectStore(Cloud.connect(settings), settings)
    with Shelf(empty, "0" * 32, DAY, {}) as one:
        assert (one.load(), len(one)) == (0, 0)
    assert listing.cached_functions(empty) == []
    # The first value makes it.
    with Shelf(empty, "0" * 32, DAY, {}) as one:
        one.add(b"k" * 32, b"value", b"", 0.0, 0.0)
    assert [kept.values for kept in listing.cached_functions(empty)] == [1]


def test_the_first_writer_wins(mark: int, store: ObjectStore) -> None:
    name = f"{mark:032x}"
    for number, value in enumerate((b"first", b"second")):
        one = Shelf(store, name, DAY, {})
        one.load()
        one.add(b"k" * 32, value, b"", 0.0, 0.0)
        one.add(b"%032d" % number, value, b"told", 1.0, 2.0)
        one.close()
        # S3's clock has whole seconds.
        time.sleep(1.1)
    late = Shelf(store, name, DAY, {})
    assert late.load() == 0
    entry = late.entry(b"k" * 32)
    assert entry is not None
    assert late.bring(entry) == (b"first", b"")
    assert len(late) == 3
    late.close()


CLASSES = """
import dataclasses, enum
class Colour(enum.Enum):
    red = 1
@dataclasses.dataclass
class Point:
    x: int
    def far(self):
        return Point(self.x + 1)
def task(x):
    return Point(x), Colour.red, x * mark, bytes(70_000)
def moved(point):
    return dataclasses.replace(point, x=point.x + 1), [point]
"""


def test_values_are_of_the_notebooks_own_classes_as_they_are_now(mark: int) -> None:
    expected = 0
    for _ in range(2):
        names: dict[str, Any] = {"__name__": "__main__", "mark": mark}
        exec(CLASSES, names)
        point, colour = names["Point"], names["Colour"]
        first = cached(names["task"], range(3))
        second = cached(names["moved"], [point(mark), point(1)])
        assert (hits(first), hits(second)) == (expected, 2 if expected else hits(second))
        for x, (found, red, _, _) in enumerate(first):
            assert found == point(x)
            assert type(found) is point
            assert isinstance(found.far(), point)
            assert red is colour.red
        assert second.values() == [names["moved"](point(mark)), names["moved"](point(1))]
        # What the next job is sent is one class still.
        assert api.map(
            lambda p, kind=point: isinstance(p, kind), [first[0][0], point(1)], settings=SETTINGS
        ).values() == [
            True,
            True,
        ]
        expected = 3


def test_two_jobs_at_once_agree(mark: int) -> None:
    def task(x: int) -> tuple[int, int]:
        return x, mark

    found: list[list[Any]] = []
    threads = [threading.Thread(target=lambda: found.append(cached(task, range(20)).values())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[(x, mark) for x in range(20)]] * 2
    assert hits(cached(task, range(20))) == 20


def test_what_cannot_be_told_again_is_computed_with_one_note(mark: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd:
        """Pickled in another way each time."""

        def __reduce__(self) -> Any:
            return int, (random.getrandbits(60),)

    odd, items = Odd(), [1, {"x": 2}, Odd()]
    for _ in range(2):
        assert hits(cached(lambda x: (odd, x, mark), items)) == 0

    def refuse(*_: Any) -> Any:
        raise AwsError("AccessDenied: no list for you", code="AccessDenied")

    monkeypatch.setattr(ObjectStore, "find", refuse)
    result = cached(lambda x: (x, mark), range(3))
    assert result.values() == [(x, mark) for x in range(3)]
    assert [note for note in result.snapshot().notes if "no list for you; every task is computed" in note]


def test_a_cache_that_cannot_be_written_costs_no_result(mark: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise AwsError("AccessDenied: nothing to put", code="AccessDenied")

    monkeypatch.setattr(ObjectStore, "put_new", refuse)
    result = cached(lambda x: (x, mark), range(3))
    assert result.values() == [(x, mark) for x in range(3)]
    assert [note for note in result.snapshot().notes if "nothing to put; not every value is stored" in note]


def test_visible_chance_gets_one_note(mark: int) -> None:
    result = cached(lambda x: (random.random(), time.time(), mark), range(2))
    (note,) = [note for note in result.snapshot().notes if note.startswith("cache")]
    assert "uses random numbers and the time: cached values are what that gave when" in note
    assert cached(lambda x: (x, mark), [1], cache=None).snapshot().notes == ()


SCRIPT = """
import sys
import lithops_magic
from lithops_magic.config import Settings
mark = int(sys.argv[1])
{place}
def task(x):
    return {{"x": x, "mark": mark}}
result = lithops_magic.map(task, [(1, "a"), {{"b"}}, 2.5], cache=True, settings=Settings(local=True, memory=256))
print(result.snapshot().cached, sorted(map(str, result.values()))[0])
"""


def test_another_process_shares_the_values(mark: int) -> None:
    told = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT.format(place=place), str(mark)], capture_output=True, text=True, check=True
        ).stdout.split(maxsplit=1)
        for place in ("", "# moved\n\nunused = 1")
    ]
    assert [first for first, _ in told] == ["0", "3"]
    assert told[0][1] == told[1][1]


def test_a_job_that_is_taken_up_again_has_the_values_of_the_cache(mark: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def task(x: int) -> tuple[int, bytes]:
        return x, random.Random(1).randbytes(70_000 if x == 3 else 3) + mark.to_bytes(8, "big")

    cached(task, range(6))
    monkeypatch.setattr(journal, "AFTER", 0.0)

    def slow() -> Iterator[int]:
        for x in range(6):
            time.sleep(0.05)
            yield x

    result = cached(task, slow())
    assert hits(result) == 6
    eventually(lambda: result._job.written and not journal.JobFolder.find(result.job_id).locked)
    journal.running.pop(result.job_id, None)
    again = attach(result.job_id, settings=SETTINGS)
    assert again.result(60) == result.values()
    assert again.cost == 0


def test_a_detached_job_says_that_it_uses_none(mark: int) -> None:
    result = cached(lambda x: (x, mark), range(2), detach=True)
    assert [note for note in result.snapshot().notes if "not used by a detached job" in note]
    assert result.result(60) == [(0, mark), (1, mark)]


def test_a_reduction_is_cached_too(mark: int) -> None:
    results = [cached(lambda x: (x, mark), range(3), reduce=len) for _ in range(2)]
    assert [result.reduced for result in results] == [3, 3]
    assert hits(results[1]._reduction.result) == 1  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("wrong", ["soon", "2", "400d", -1, 1e9, object(), "-3d", float("nan"), [], "30 days and more"])
def test_a_wrong_time_is_refused_in_one_line(wrong: Any) -> None:
    with pytest.raises(
        MisuseError, match=r"cache must be True, False or a time of at most a year, such as '12h' or '30d'"
    ):
        cached(abs, [1], cache=wrong)


def test_the_function_may_not_reach_the_cache_and_the_user_may() -> None:
    place = ("123456789012", "eu-west-1", "bucket")
    execution, user = execution_policy(Settings(), *place), user_policy(Settings(), *place, "arn:aws:iam::1:role/r")
    for action in ("s3:GetObject", "s3:PutObject"):
        wanted = {"Action": [action], "Resource": f"arn:aws:s3:::bucket/{CACHE}30/x/index/0"}
        assert not_granted([execution], [wanted]) == [action]
        assert not_granted([user], [wanted]) == []


def test_an_index_of_another_format_is_none() -> None:
    whole = index.encode(b"pack", [index.Entry(b"k" * 32, b"s" * 32, 1, 2, 3, 4.0, 5.0, True)])
    (entry,) = index.decode(whole, 30)
    assert (entry.key, entry.size, entry.offset, entry.metadata_size, entry.alone) == (b"k" * 32, 1, 2, 3, True)
    assert index.count(len(whole)) == 1
    for spoilt in (b"", whole[:-1], whole + b"x", b"L" + whole[1:]):
        with pytest.raises(ValueError, match="not an index of cached values"):
            list(index.decode(spoilt, 30))
