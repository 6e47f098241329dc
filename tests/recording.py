"""Jobs that are recorded however short they are, and others that are not however long they take."""

from __future__ import annotations

import threading

import pytest

from lithops_magic.engine.durable import journal
from waiting import eventually


def record_every_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record every job of this process, and often, even if it ends before its journal has begun."""
    monkeypatch.setattr(journal, "AFTER", 0.0)
    monkeypatch.setattr(journal, "PERIOD", 0.05)
    close = journal.Journal.close

    def closed_once_open(self: journal.Journal) -> None:
        thread = self._thread
        eventually(lambda: self._file is not None or thread is None or not thread.is_alive())
        close(self)

    monkeypatch.setattr(journal.Journal, "close", closed_once_open)


def record_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no job write down anything of itself in S3, as long ones do on a busy machine; wait for the last of those."""
    monkeypatch.setattr(journal, "AFTER", 3600.0)
    assert eventually(lambda: not any(map(_is_ending, threading.enumerate())))


def _is_ending(thread: threading.Thread) -> bool:
    """Whether it writes down the end of a job that is over."""
    written = getattr(getattr(thread, "_target", None), "__self__", None)
    return isinstance(written, journal.Journal) and written._closed.is_set()
