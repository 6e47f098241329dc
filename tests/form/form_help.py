"""What the tests of the form share."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any


def widget_states(widget: Any) -> Iterator[str]:
    """Yield the state of a widget and of everything in it, as it is sent to the browser."""
    yield str({key: value for key, value in widget.get_state().items() if key != "children"})
    for child in getattr(widget, "children", ()):
        yield from widget_states(child)


def words(widget: Any) -> str:
    """Return the visible text of an HTML widget."""
    return html.unescape(re.sub(r"<[^>]+>", " ", widget.value)).strip()


def beside(form: Any, name: str) -> str:
    """Return the visible text beside a field."""
    return words(form.controls[name].words.view)


def tick(picked: Any, count: int) -> None:
    """Tick the first boxes of a list."""
    for box in list(picked.boxes.values())[:count]:
        box.value = True


def load(form: Any) -> None:
    """Load the lists and wait until they are there."""
    form.bar.load.click()
    assert form.loading.idle.wait(120)
