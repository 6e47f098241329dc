"""What does not fit in an invocation goes through S3, once, and nothing that was changed there is unpickled."""

from __future__ import annotations

import pickle
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import lithops_magic.engine as engine
from faulty_lambda import FaultyLambda
from lithops_magic.aws.session import Cloud
from lithops_magic.aws.storage.objects import ObjectStore
from lithops_magic.config import Settings
from lithops_magic.engine import MapOptions, MapResult, api
from lithops_magic.engine.dispatch.items import Source
from lithops_magic.engine.dispatch.scheduler import Scheduler
from lithops_magic.engine.job import events as ev
from lithops_magic.engine.job.job import Job
from lithops_magic.engine.wire.function import REQUEST_LIMIT, Function, request_name
from lithops_magic.engine.wire.item import ItemTooLarge, fragment
from lithops_magic.errors import AwsError, ItemError, ResultTooLarge, SerializationError, TamperedError, TaskLost
from lithops_magic.worker import functions, reply, store
from localaws import LocalAws
from recording import record_no_job

MEMORY = 512


def lmap(function: Callable[[Any], Any], items: Any, **options: Any) -> MapResult:
    return api.map(function, items, settings=Settings(local=True, memory=MEMORY), **options)


@pytest.fixture
def counted(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, int]]:
    """S3 requests since the test began, by operation, without what a long job writes down of itself."""
    record_no_job(monkeypatch)
    # The bucket is made beside a first job; one that uploads something has waited for all of it.
    large = random.randbytes(10_000_000)
    lmap(lambda x: large[x], [0])
    before = local_aws.requests()

    def count() -> dict[str, int]:
        now = {name: number - before.get(name, 0) for name, number in local_aws.requests().items()}
        return {name.partition(":")[2]: number for name, number in now.items() if name.startswith("s3:") and number}

    return count


def test_a_thousand_small_tasks_need_no_object(counted: Callable[[], dict[str, int]]) -> None:
    assert sum(lmap(lambda x: x, range(1000))) == 499_500
    assert counted() == {}


def test_a_large_function_is_uploaded_once_and_fetched_once_per_sandbox(
    counted: Callable[[], dict[str, int]],
) -> None:
    data = random.randbytes(20_000_000)

    def task(x: int) -> tuple[int, int]:
        time.sleep(0.05)
        return x, data[x]

    result = lmap(task, range(30), chunksize=2)
    assert list(result) == [(x, data[x]) for x in range(30)]
    sandboxes = len({stats.sandbox for stats in result.stats})
    requests = counted()
    assert requests.pop("PutObject") == 1
    assert requests.pop("GetObject") == sandboxes
    # Another job over the same function need not even look.
    before = counted()
    assert list(lmap(task, range(2))) == [(x, data[x]) for x in range(2)]
    assert counted().get("PutObject") == before.get("PutObject")
    assert counted().get("HeadObject") == before.get("HeadObject")


@pytest.mark.usefixtures("counted")
def test_an_upload_is_said_only_where_something_is_sent() -> None:
    data = random.randbytes(3_000_000)
    heard: list[str] = []

    def hear(event: ev.Event, _: object) -> None:
        if isinstance(event, ev.Phase) and event.text.startswith("Uploading the function"):
            heard.append(event.text)

    assert lmap(lambda x: data[x], [1], callbacks=[hear]).values() == [data[1]]
    assert heard == ["Uploading the function, 3.0 MB"]
    assert lmap(lambda x: data[x] + 1, [1], callbacks=[hear]).values() == [data[1] + 1]
    assert len(heard) == 1


def test_large_items_and_results_travel_through_s3(counted: Callable[[], dict[str, int]]) -> None:
    def items() -> Iterator[bytes]:
        for size in (10_000_000, 100, 7_000_000):
            yield random.Random(size).randbytes(size)

    result = lmap(lambda item: item[::-1], items(), chunksize=3)
    assert list(result) == [item[::-1] for item in items()]
    requests = counted()
    # Two items, two results; the bucket and the objects' presence are looked at as well.
    assert (requests["PutObject"], requests["GetObject"]) == (4, 4)


def test_the_largest_item_that_fits_goes_inline_and_a_byte_more_through_s3(
    counted: Callable[[], dict[str, int]],
) -> None:
    function = Function.pickle(len)
    room = function.place(None).room
    # The head has no more than this beside what it has without a place in S3.
    most = (room - 400) // 4 * 3
    assert list(lmap(len, [random.randbytes(most)])) == [most]
    assert counted() == {}
    assert list(lmap(len, [random.randbytes(most + 400)])) == [most + 400]
    assert counted() == {"HeadObject": 1, "PutObject": 1, "GetObject": 1}


def test_the_largest_result_that_fits_comes_inline_and_a_few_bytes_more_through_s3(
    counted: Callable[[], dict[str, int]],
) -> None:
    most = (reply.LIMIT - 400) // 4 * 3
    assert [len(value) for value in lmap(random.randbytes, [most])] == [most]
    assert counted() == {}
    assert [len(value) for value in lmap(random.randbytes, [most + 300])] == [most + 300]
    assert counted()["PutObject"] == counted()["GetObject"] == 1


def test_a_request_is_filled_to_the_byte() -> None:
    requests = Function.pickle(len).place()
    sample = 300_000
    overhead = len(fragment(0, random.randbytes(sample), requests.room)) - sample * 4 // 3
    most = (requests.room - overhead) // 4 * 3
    full = requests.request([fragment(0, random.randbytes(most), requests.room)], request_name())
    assert REQUEST_LIMIT - 8 <= len(full) <= REQUEST_LIMIT
    with pytest.raises(ItemTooLarge, match="6,291"):
        fragment(0, random.randbytes(most + 6), requests.room)


def test_any_value_is_a_value(local_aws: LocalAws) -> None:
    def task(item: Any) -> Any:
        return item

    values = [None, (), {"a": [1, None]}, ValueError("no error"), frozenset({1}), StopIteration(3), ..., 1j]
    result = lmap(task, (value for value in values), chunksize=4)
    assert [repr(value) for value in result] == [repr(value) for value in values]
    assert not result.errors


@pytest.fixture
def objects(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """The account's objects, which workers in this process see as well."""
    monkeypatch.setenv("AWS_REGION", local_aws.region)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", local_aws.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", local_aws.secret_access_key)
    monkeypatch.setenv("AWS_ENDPOINT_URL", local_aws.endpoint_url)
    functions.forget()
    settings = Settings(local=True)
    objects = ObjectStore(Cloud.connect(settings), settings)
    objects.prepare(print)
    return objects


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, (f"import {engine.__name__} as engine; engine.sprung = True",)


def changed(data: bytes) -> bytes:
    return pickle.dumps(Trap())


def truncated(data: bytes) -> bytes:
    return data[:-1]


def extended(data: bytes) -> bytes:
    return data + b"\0"


def run_while(
    objects: ObjectStore, function: Callable[[Any], Any], items: list[Any], disturb: Callable[[], None], **options: Any
) -> MapResult:
    """Run a job; `disturb` is called when the first invocation arrives."""
    calls = iter([disturb])
    backend = FaultyLambda(lambda _: next(calls, lambda: None)(), workers=1, store=objects)
    job = Job(MapOptions(errors="keep", **options), str, len(items))
    Scheduler(job, Function.pickle(function), Source(iter(items)), backend).start()
    result = MapResult(job)
    assert result.wait(120)
    return result


@pytest.mark.parametrize("harm", [changed, truncated, extended])
@pytest.mark.parametrize("what", ["function", "item"])
def test_what_was_changed_in_s3_is_not_unpickled(
    objects: ObjectStore, what: str, harm: Callable[[bytes], bytes]
) -> None:
    data = random.randbytes(7_000_000)
    before = set(objects.list("lithops-magic/objects/"))

    def disturb() -> None:
        (key,) = set(objects.list("lithops-magic/objects/")) - before
        objects.put(key, harm(objects.get(key)))

    function = (lambda x: data[0]) if what == "function" else (lambda x: 0)
    result = run_while(objects, function, [data if what == "item" else 1], disturb)
    error = result.errors[0]
    assert isinstance(error, TamperedError)
    assert f"the {what} in s3://{objects.bucket}/" in str(error)
    assert "\n" not in str(error)
    assert not hasattr(engine, "sprung")


@pytest.mark.parametrize("harm", [changed, truncated, extended])
def test_a_result_that_was_changed_in_s3_is_not_unpickled(
    objects: ObjectStore, harm: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    put = store.Store.put

    def put_and_change(self: store.Store, task: int, data: bytes) -> dict[str, Any]:
        reference = put(self, task, data)
        objects.put(reference["object"], harm(data))
        return reference

    monkeypatch.setattr(store.Store, "put", put_and_change)
    result = run_while(objects, lambda x: random.randbytes(7_000_000), [1], lambda: None)
    error = result.errors[0]
    assert isinstance(error, TamperedError)
    assert "its result" in str(error)
    assert not hasattr(engine, "sprung")


def test_results_that_were_swapped_in_s3_are_noticed(objects: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    put, references = store.Store.put, []

    def put_and_swap(self: store.Store, task: int, data: bytes) -> dict[str, Any]:
        references.append(put(self, task, data))
        if len(references) == 2:
            one, other = (reference["object"] for reference in references)
            swapped = objects.get(other), objects.get(one)
            objects.put(one, swapped[0])
            objects.put(other, swapped[1])
        return references[-1]

    monkeypatch.setattr(store.Store, "put", put_and_swap)
    result = run_while(objects, random.randbytes, [7_000_000, 7_000_000], lambda: None, chunksize=2)
    assert [type(result.errors[i]) for i in range(2)] == [TamperedError, TamperedError]


@pytest.mark.parametrize(("function_size", "items"), [(7_000_000, [bytes(3)]), (100_000, [bytes(3)] * 200)])
def test_an_object_that_was_deleted_is_brought_again(
    objects: ObjectStore, function_size: int, items: list[bytes]
) -> None:
    data = random.randbytes(function_size)
    items = [*items[1:], random.randbytes(7_000_000)]
    result = run_while(
        objects, lambda x: x[0] + data[0], items, lambda: objects.delete_prefix("lithops-magic/objects/") and None
    )
    assert list(result) == [item[0] + data[0] for item in items]


def test_objects_that_cannot_be_brought_end_in_one_line(objects: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise AwsError("PutObject: AccessDenied: no.", code="AccessDenied")

    monkeypatch.setattr(objects, "put_once", refuse)
    result = run_while(objects, len, [random.randbytes(7_000_000), b"123"], lambda: None)
    assert isinstance(result.errors[0], ItemError)
    assert "AccessDenied" in str(result.errors[0])
    assert result[1] == 3


def test_a_result_waits_for_a_bucket_that_is_being_made(objects: ObjectStore) -> None:
    def disturb() -> None:
        objects.delete_prefix("")
        objects._s3.delete_bucket(Bucket=objects.bucket)
        threading.Timer(1.0, objects.put, ("lithops-magic/again", b"")).start()

    result = run_while(objects, bytes, [7_000_000], disturb)
    assert list(result) == [bytes(7_000_000)]


def test_a_deleted_bucket_is_an_error_of_the_task(objects: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lithops_magic.worker.store.RETRY_SECONDS", 0.1)

    def disturb() -> None:
        objects.delete_prefix("")
        objects._s3.delete_bucket(Bucket=objects.bucket)

    result = run_while(objects, random.randbytes, [7_000_000], disturb)
    # Other tests share the account.
    objects.put("lithops-magic/again", b"")
    assert "NoSuchBucket" in str(result.errors[0])
    assert not isinstance(result.errors[0], TaskLost)


def test_without_s3_what_is_too_large_is_named() -> None:
    data = random.randbytes(5_000_000)
    with pytest.raises(SerializationError, match=r"'data' \(5,000,"):
        Function.pickle(lambda x: data[x]).place()
    backend = FaultyLambda(lambda _: None)
    job = Job(MapOptions(errors="keep"), str, 2)
    Scheduler(
        job, Function.pickle(random.randbytes), Source(iter([random.randbytes(5_000_000), 5_000_000])), backend
    ).start()
    result = MapResult(job)
    assert result.wait(120)
    assert isinstance(result.errors[0], ItemError)
    error = result.errors[1]
    assert isinstance(error, ResultTooLarge)
    assert "6,666," in str(error)
    assert "return less, or write it to S3" in str(error)
