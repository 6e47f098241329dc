"""What `%lambda_cache` lists and deletes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from lithops_magic.engine.text import html
from lithops_magic.engine.text.short_repr import clipped
from lithops_magic.engine.text.units import plural, size
from lithops_magic.notebook.display.progress_frame import Bundle
from lithops_magic.notebook.display.status import Table

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.engine.cache.listing import CachedFunction

_HEADINGS = ("name", "cell", "values", "size", "last computed", "kept until")
_NAME = 8
"""Characters shown of a function's name, enough to identify it."""
_WIDTH = 60


def cache(settings: Settings, which: str, *, delete: bool, agree: Callable[[str], bool]) -> Bundle:
    """List the cached values, or delete them if the user agrees.

    Parameters
    ----------
    which
        The cells whose values are listed or deleted; empty for all.
    delete
        Whether to delete the values.
    agree
        Asks the user a question.
    """
    from lithops_magic.aws.session import Cloud
    from lithops_magic.aws.storage.objects import ObjectStore
    from lithops_magic.engine.cache import listing

    cloud = Cloud.connect(settings)
    store = ObjectStore(cloud, settings)
    found = [one for one in listing.cached_functions(store) if one.answers(which)]
    where = f"on {cloud.describe()}"
    if not delete:
        return _table(found, where)
    if not found:
        return _line(f"Nothing {f'of {which} ' if which else ''}is in the cache {where}.")
    if not agree(f"Delete {_sum(found)} {where}?"):
        return _line("Nothing was deleted; --yes deletes without asking.")
    listing.clear(store, found)
    return _line(f"Deleted {_sum(found)} {where}.")


def _table(found: list[CachedFunction], where: str) -> Bundle:
    rows = [
        (
            one.name[:_NAME],
            clipped(one.about or one.label, _WIDTH),
            f"{one.values:,}",
            size(one.size),
            _moment(one.written),
            _moment(one.until),
        )
        for one in found
    ]
    table = Table(f"In the cache {where}: {_sum(found)}", _HEADINGS, rows, f"Nothing is in the cache {where}.")
    return {"text/plain": table.to_text(), "text/html": table.to_html()}


def _sum(found: list[CachedFunction]) -> str:
    values = plural(sum(one.values for one in found), "value")
    return f"{values} of {plural(len(found), 'cell')} ({size(sum(one.size for one in found))})"


def _line(text: str) -> Bundle:
    return {"text/plain": text, "text/html": f"<div>{html.escape(text)}</div>"}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
