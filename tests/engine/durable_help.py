"""Shared by tests of jobs that outlive a process: a client process, and a server that tasks visit."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lithops_magic.config import Settings
from serving import serving

SETTINGS = Settings(local=True, memory=256, timeout=10)

CLIENT = """
import sys, urllib.request
import lithops_magic
from lithops_magic.config import Settings
from lithops_magic.engine.durable import journal

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
    """A server that counts the tasks that visit it, and can make them wait."""

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
                    visits.gate.wait(120)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@contextmanager
def visiting() -> Iterator[Visits]:
    """Run the server."""
    visits = Visits()
    with serving(visits.server):
        yield visits
        visits.gate.set()


def client(items: str, **options: Any) -> str:
    """Return a program that runs a job over `items`; its argument is the address that tasks visit."""
    return CLIENT.replace("{items}", items).replace("{options}", repr(options))


def eventually(condition: Callable[[], Any], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
