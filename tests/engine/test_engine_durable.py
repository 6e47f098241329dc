"""Jobs outlive the process that began them: journal, kept results, attach."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import lithops_magic
from lithops_magic.aws.objects import ObjectStore
from lithops_magic.aws.session import Cloud
from lithops_magic.config import Settings
from lithops_magic.engine import journal, kept
from localaws import LocalAws

SETTINGS = Settings(local=True, memory=256, timeout=10)

CLIENT = """
import sys, urllib.request
import lithops_magic
from lithops_magic.config import Settings
from lithops_magic.engine import journal, kept

journal.AFTER, journal.PERIOD = 0.05, 0.05
base = sys.argv[1]

def visit(x):
    with urllib.request.urlopen(f"{base}/{x}") as answer:
        answer.read()
    if x == 1:
        raise KeyError("one")
    return x * 10

items = {items}
result = lithops_magic.map(
    visit, items, settings=Settings(local=True, memory=256, timeout=10), errors="keep", keep_after=0.0001, **{options}
)
"""


class Visits:
    """A server that tasks visit: it counts them, and lets them wait."""

    def __init__(self) -> None:
        self.runs: Counter[int] = Counter()
        self.gate = threading.Event()
        self.held: set[int] = set()
        visits = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                task = int(self.path[1:])
                visits.runs[task] += 1
                if task in visits.held:
                    visits.gate.wait(30)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def visits() -> Iterator[Visits]:
    found = Visits()
    thread = threading.Thread(target=found.server.serve_forever, daemon=True)
    thread.start()
    yield found
    found.gate.set()
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(autouse=True)
def quick(local_aws: LocalAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITHOPS_MAGIC_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(journal, "AFTER", 0.05)
    monkeypatch.setattr(journal, "PERIOD", 0.05)
    monkeypatch.setattr(kept, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(kept, "MARGIN", 0.5)


@pytest.fixture
def objects(local_aws: LocalAws) -> ObjectStore:
    return ObjectStore(Cloud.connect(SETTINGS), SETTINGS)


def eventually(condition: Callable[[], Any], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def begin(visits: Visits, items: str = "range(8)", **options: Any) -> subprocess.Popen[bytes]:
    program = CLIENT.replace("{items}", items).replace("{options}", repr(options))
    return subprocess.Popen([sys.executable, "-c", program, visits.url])


def kill_amid(visits: Visits, items: str = "range(8)", **options: Any) -> str:
    """Begin a job of which tasks 2 and 3 take long, kill its process meanwhile, and return its id."""
    visits.held = {2, 3}
    client = begin(visits, items, workers=2, chunksize=1, **options)
    eventually(lambda: visits.runs[2] and visits.runs[3])
    eventually(lambda: [job.done + job.failed for job in lithops_magic.jobs()] == [2])
    client.send_signal(signal.SIGKILL)
    client.wait()
    return lithops_magic.jobs()[0].id


@pytest.mark.parametrize("items", ["range(8)", "(x for x in range(8))"])
def test_a_job_whose_client_was_killed_is_resumed_and_nothing_that_ended_runs_again(
    visits: Visits, objects: ObjectStore, items: str
) -> None:
    job_id = kill_amid(visits, items, retries=0)
    (record,) = lithops_magic.jobs()
    assert (record.state, record.done, record.failed) == ("interrupted", 1, 1)
    visits.gate.set()
    looked_at = lithops_magic.attach(job_id, settings=SETTINGS)
    assert looked_at.wait(30)
    assert looked_at.values() == [0, 20, 30]
    assert isinstance(looked_at.errors[1], KeyError)
    with pytest.raises(lithops_magic.errors.JobCancelled, match="resume=True"):
        looked_at[4]
    assert visits.runs == Counter(range(4))
    resumed = lithops_magic.attach(job_id, resume=True, settings=SETTINGS)
    assert resumed.wait(60)
    assert visits.runs[7] == (1 if items == "range(8)" else 0)
    assert resumed.values() == [x * 10 for x in range(8) if x != 1 and visits.runs[x]]
    assert isinstance(resumed.errors[1], KeyError)
    assert set(visits.runs.values()) == {1}
    assert resumed.cost > 0
