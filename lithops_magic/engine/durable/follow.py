"""Tails a journal that another process writes, for as long as that process lives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Set

from lithops_magic.engine.durable import records
from lithops_magic.engine.durable.folder import JobFolder
from lithops_magic.engine.durable.history import JobHistory

PERIOD = 0.25
"""Seconds between polls: as often as the other process writes."""


def follow(folder: JobFolder, history: JobHistory, start: int, on_news: Callable[[Set[int]], None]) -> None:
    """Keep `history` up to date, from a thread of its own.

    Parameters
    ----------
    start
        Offset in bytes up to which the journal was read.
    on_news
        Called from that thread after each poll with the tasks that were answered.
    """
    threading.Thread(
        target=_follow, args=(folder, history, start, on_news), name="lithops-magic-follow", daemon=True
    ).start()


def _follow(folder: JobFolder, history: JobHistory, start: int, on_news: Callable[[Set[int]], None]) -> None:
    while history.wait(PERIOD):
        # The other process releases its lock after its last record.
        # Only in a folder that exists, because filelock would create the folder of a deleted job anew.
        lives = folder.path.exists() and folder.locked
        try:
            news = records.read(folder.journal, start)
        # The folder was deleted: nothing more can come.
        except OSError:
            lives, news = False, records.Excerpt([], 0, start)
        start = news.end
        on_news(history.feed(news, live=lives))
