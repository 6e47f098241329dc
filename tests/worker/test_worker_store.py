"""The sandbox's end of the bucket, in this process, against real S3."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import pickle
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lithops_magic.aws.session import Cloud, silent
from lithops_magic.aws.storage.objects import TAMPERED, ObjectStore
from lithops_magic.config import Settings
from lithops_magic.engine.wire.function import Function
from lithops_magic.engine.wire.item import fragment, spilled_fragment
from lithops_magic.engine.wire.store import Place
from lithops_magic.errors import AwsError
from lithops_magic.worker import functions, handler, job, packing, store
from lithops_magic.worker import reply as reply_module
from localaws import LocalAws
from ports import reserved_port
from replies import opened

KEY = bytes(range(32))


class Context:
    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


@pytest.fixture
def objects(local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ObjectStore]:
    for name, value in {
        "AWS_REGION": local_aws.region,
        "AWS_ACCESS_KEY_ID": local_aws.access_key_id,
        "AWS_SECRET_ACCESS_KEY": local_aws.secret_access_key,
        "AWS_ENDPOINT_URL": local_aws.endpoint_url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    functions.forget()
    settings = Settings(local=True)
    objects = ObjectStore(Cloud.connect(settings), settings)
    objects.prepare(silent)
    yield objects
    functions.forget()


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    job.end_process()


def place_of(objects: ObjectStore, name: str, *, after: float = 0.0, key: bytes = KEY) -> Place:
    place = Place.of_job(objects, f"test-{name}-{os.getpid()}", after=after, key=key)
    objects.delete_prefix(place.prefix)
    return place


def invoke(function: Any, items: list[Any], place: Place) -> dict[str, Any]:
    requests = Function.pickle(function).place(place, len(items))
    fragments = [spilled_fragment(i, item, requests.room, place) for i, item in enumerate(items)]
    return opened(handler.handle(json.loads(requests.request(fragments)), Context))


def kept(objects: ObjectStore, place: Place, task: int) -> dict[str, Any]:
    data = objects.get(f"{place.prefix}{task}")
    assert hmac.digest(KEY, data[32:], "sha256") == data[:32]
    outcome: dict[str, Any] = json.loads(data[32:])
    return outcome


def test_the_outcome_of_a_long_task_is_kept_and_signed(objects: ObjectStore) -> None:
    def task(x: float) -> float:
        time.sleep(x)
        if x == 0.2:
            raise ValueError("late")
        return x

    place = place_of(objects, "long", after=0.1)
    reply = invoke(task, [0.0, 0.15, 0.2], place)
    assert [outcome["status"] for outcome in reply["outcomes"]] == ["ok", "ok", "error"]
    assert set(objects.list(place.prefix)) == {f"{place.prefix}1", f"{place.prefix}2"}
    first, second = kept(objects, place, 1), kept(objects, place, 2)
    assert packing.loads(base64.b64decode(first["value"])) == 0.15
    assert (first["id"], first["sandbox"], first["memory_mb"] > 0) == (1, reply["sandbox"], True)
    assert second["error"]["message"] == "late"


def test_what_is_tried_again_or_might_be_too_late_is_not_kept(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(objects, "again", after=0.1)

    def task(x: float) -> float:
        time.sleep(x)
        return x

    def invoke_within(seconds: float, takes: float = 0.5) -> str:
        monkeypatch.setattr(Context, "get_remaining_time_in_millis", lambda: int(seconds * 1000))
        (outcome,) = invoke(task, [takes], place)["outcomes"]
        return str(outcome["status"])

    assert invoke_within(0.4, takes=30) == "timeout"
    assert invoke_within(4) == "ok"
    assert list(objects.list(place.prefix)) == []
    assert invoke_within(6) == "ok"
    assert list(objects.list(place.prefix)) == [f"{place.prefix}0"]


def test_after_s3_could_not_be_reached_the_next_tasks_do_not_wait_for_it(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place, tries = place_of(objects, "quiet", after=0.001), tmp_path / "tries"

    def save(self: store.Store, task: int, outcome: dict[str, Any]) -> bool:
        with tries.open("a") as file:
            file.write(f"{task} ")
        return False

    monkeypatch.setattr(store.Store, "save", save)
    monkeypatch.setattr(reply_module, "_paused_until", 0.0)
    monkeypatch.setattr(reply_module, "CONNECT_TIMEOUT", 0.0)
    reply = invoke(lambda x: time.sleep(0.01), [0, 1, 2], place)
    assert [outcome["status"] for outcome in reply["outcomes"]] == ["ok"] * 3
    assert tries.read_text() == "0 "


def test_the_first_result_that_is_kept_stays(objects: ObjectStore) -> None:
    place = place_of(objects, "first")
    first = invoke(lambda x: random.random(), [0], place)
    before = objects.get(f"{place.prefix}0")
    second = invoke(lambda x: random.random(), [0], place)
    assert objects.get(f"{place.prefix}0") == before
    # Each reply has its own all the same.
    assert kept(objects, place, 0)["value"] == first["outcomes"][0]["value"] != second["outcomes"][0]["value"]


def test_a_result_that_cannot_be_kept_is_still_in_the_reply(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_SECONDS", 2.0)
    place = place_of(objects, "lost")
    with reserved_port() as port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        reply = invoke(lambda x: x, [5], place)
        large = invoke(random.randbytes, [7_000_000], place)
    assert packing.loads(base64.b64decode(reply["outcomes"][0]["value"])) == 5
    assert large["outcomes"][0]["status"] == "too_large"
    assert "gateway endpoint" in large["outcomes"][0]["reason"]


def test_without_a_way_to_s3_a_job_over_a_large_function_ends_with_the_fix(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY_SECONDS", 2.0)
    place, data = place_of(objects, "way"), random.randbytes(7_000_000)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    reply = invoke(lambda x: data[x], [0], place)
    assert "outcomes" not in reply
    assert "In a VPC it needs an S3 gateway endpoint" in reply["error"]


def gets(local_aws: LocalAws) -> int:
    return local_aws.requests().get("s3:GetObject", 0)


def test_what_was_fetched_is_kept_for_other_jobs_which_find_it_as_it_was(
    objects: ObjectStore, local_aws: LocalAws
) -> None:
    place, data = place_of(objects, "kept", key=b""), bytearray(random.randbytes(7_000_000))
    table = {number: random.random() for number in range(200_000)}

    def task(x: int) -> tuple[int, int]:
        data[0] = (data[0] + x) % 256
        table.clear()
        return data[0], len(data)

    before = gets(local_aws)
    pieces = len([*Function.pickle(task).container.pieces])
    assert pieces > 2
    for _ in range(2):
        outcomes = invoke(task, [1, 1], place)["outcomes"]
        assert [loaded(each) for each in outcomes] == [((data[0] + n) % 256, 7_000_000) for n in (1, 2)]
        job.end_process()
    assert gets(local_aws) == before + pieces
    # An edited function takes the same along.
    assert loaded(invoke(lambda x: sum(data) + len(table) + x, [1], place)["outcomes"][0]) == sum(data) + 200_001
    assert gets(local_aws) == before + pieces


def loaded(outcome: dict[str, Any]) -> Any:
    assert outcome["status"] == "ok", outcome
    return packing.loads(base64.b64decode(outcome["value"]))


def test_no_more_is_kept_than_a_share_of_memory_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
    kept = {name: [bytearray(10_000_000)] for name in "abcd"}
    monkeypatch.setattr(functions, "_cached", kept)
    functions.evict(functions.JOB_SHARE)
    assert [*kept] == ["b", "c", "d"]
    functions.evict(functions.CACHE_SHARE, ["b", "e"])
    assert [*kept] == ["b"]


def test_what_fills_the_memory_is_not_kept(
    objects: ObjectStore, local_aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "16")
    place, data = place_of(objects, "large", key=b""), random.randbytes(5_000_000)
    before = gets(local_aws)
    for count in (1, 2):
        assert loaded(invoke(lambda x: data[x], [0], place)["outcomes"][0]) == data[0]
        assert gets(local_aws) == before + count
        job.end_process()


def test_a_part_that_is_not_what_was_written_is_not_unpickled_and_one_that_is_gone_is_missed(
    objects: ObjectStore,
) -> None:
    place, data = place_of(objects, "damaged", key=b""), random.randbytes(3_000_000)

    def task(x: int) -> int:
        return data[x]

    ((name, piece),) = Function.pickle(task).container.pieces
    requests = Function.pickle(task).place(place)
    event = json.loads(requests.request([fragment(0, 0, requests.room)]))
    key = f"lithops-magic/objects/{name}"
    for damaged, status in ((piece[:-1] + b"?", "tampered"), (piece + b"?", "tampered"), (b"", "tampered")):
        objects.put(key, damaged)
        outcome = opened(handler.handle(event, Context))["outcomes"][0]
        assert (outcome["status"], "notebook wrote" in outcome["reason"]) == (status, True)
    objects.delete_prefix(key)
    assert opened(handler.handle(event, Context))["outcomes"][0]["status"] == "absent"
    # The same process of the job finds it as soon as it is there again.
    Function.pickle(task).place(place, recheck=True)
    assert loaded(opened(handler.handle(event, Context))["outcomes"][0]) == data[0]


def test_a_function_that_failed_to_load_is_loaded_from_what_was_written(objects: ObjectStore) -> None:
    place, data = place_of(objects, "failing", key=b""), random.randbytes(2_000_000)
    array = bytearray(data)

    class Spoils:
        def __init__(self) -> None:
            self.array = pickle.PickleBuffer(array)

        def __reduce__(self) -> Any:
            return spoil, (self.array,)

    def spoil(array: Any) -> Any:
        if not hasattr(os, "spoiled"):
            os.spoiled = True  # type: ignore[attr-defined]
            array[:] = bytes(len(array))
            raise ValueError("not yet")
        return array

    held = Spoils()
    outcomes = invoke(lambda x: bytes(held), [0, 0], place)["outcomes"]
    assert [outcome["status"] for outcome in outcomes] == ["error", "ok"]
    assert loaded(outcomes[1]) == data


def test_objects_are_verified_listed_and_deleted(objects: ObjectStore) -> None:
    place = place_of(objects, "objects")
    objects.put(f"{place.prefix}a", b"abc")
    objects.put(f"{place.prefix}b", b"def")
    assert objects.exists(f"{place.prefix}a")
    assert list(objects.list(place.prefix)) == [f"{place.prefix}a", f"{place.prefix}b"]
    assert objects.get(f"{place.prefix}a", sha256=hashlib.sha256(b"abc").hexdigest(), size=3) == b"abc"
    for wrong in ({"sha256": "0" * 64}, {"size": 2}, {"size": 4}):
        with pytest.raises(AwsError, match="is not what was written") as caught:
            objects.get(f"{place.prefix}a", **wrong)  # type: ignore[arg-type]
        assert caught.value.code == TAMPERED
    assert objects.delete_prefix(place.prefix) == 2
    assert not objects.exists(f"{place.prefix}a")
    with pytest.raises(AwsError) as missing:
        objects.get(f"{place.prefix}a")
    assert missing.value.code == "NoSuchKey"


def test_an_object_that_was_replaced_is_written_again_by_the_next_job(objects: ObjectStore) -> None:
    data = random.randbytes(100)
    digest = hashlib.sha256(data).hexdigest()
    key = objects.put_once(data, sha256=digest)
    objects.put(key, b"something else")
    other = ObjectStore(objects._cloud, Settings(local=True))
    assert other.put_once(data, sha256=digest) == key
    assert objects.get(key, sha256=digest) == data


def test_items_and_functions_in_the_request_need_no_store() -> None:
    requests = Function.pickle(lambda x: x + 1).place()
    event = json.loads(requests.request([fragment(0, 1, requests.room)]))
    assert "store" not in event
    event["tasks"].append({"id": 1, "object": "k", "sha256": "0", "size": 1})
    outcomes = opened(handler.handle(event, Context))["outcomes"]
    assert [outcome["status"] for outcome in outcomes] == ["ok", "store"]


def test_the_requests_settings_win_over_the_tasks_variables(
    objects: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(objects, "env")
    requests = Function.pickle(lambda x: os.environ["AWS_REGION"]).place(place)
    event = json.loads(requests.request([fragment(0, 0, requests.room)]))
    event["env"] = {"AWS_REGION": "nowhere", "AWS_ACCESS_KEY_ID": "x", "NEW_ONE": "1"}
    monkeypatch.delenv("NEW_ONE", raising=False)
    region = os.environ["AWS_REGION"]
    store.forget()
    assert opened(handler.handle(event, Context))["outcomes"][0]["status"] == "ok"
    assert packing.loads(base64.b64decode(kept(objects, place, 0)["value"])) == "nowhere"
    assert (os.environ["AWS_REGION"], "NEW_ONE" in os.environ) == (region, False)
