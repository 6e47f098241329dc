"""Jobs that are recorded however short they are."""

from __future__ import annotations

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
