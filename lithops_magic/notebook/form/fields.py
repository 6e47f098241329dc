"""Controls with a label, a value and a message, one class for each kind of field."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import ipywidgets as widgets  # type: ignore[import-untyped]

from lithops_magic.config import Problem
from lithops_magic.notebook.form.model import FIELDS, Field

LABEL_WIDTH = "120px"
INDENT = f"calc({LABEL_WIDTH} + 10px)"
"""Horizontal position of the controls."""
WIDTH, NARROW, BROAD = "560px", "300px", "660px"
RED, GREEN = (
    f"color:{plain};color:color-mix(in srgb,var({theme},{plain}) 70%,var(--jp-ui-font-color0,#000))"
    for theme, plain in (("--jp-error-color1", "#c62828"), ("--jp-success-color1", "#2e7d32"))
)
"""Mixed with the text color, readable on both light and dark backgrounds."""
PROBLEM = f"{RED};font-weight:600;line-height:1.4"
HINT = "color:var(--jp-ui-font-color2,#616161);line-height:1.4"
Choices = Sequence[tuple[str, str]]
"""A displayed label and its value."""


class Control(Protocol):
    """What the form needs from a field."""

    view: Any
    text: str

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever the user changes the value."""

    def tell(self, problems: Sequence[Problem]) -> None:
        """Show the problems next to the field, or else its hint."""


def layout(**options: str) -> Any:
    """Return a layout as wide as all controls."""
    return widgets.Layout(**{"width": WIDTH, "max_width": "99%", "flex": "0 1 auto", **options})


def label_style() -> dict[str, str]:
    """Return the style that aligns all labels in one column."""
    return {"description_width": LABEL_WIDTH}


def row(*children: Any) -> Any:
    """Put a control and its message side by side; on a narrow page, the message goes below."""
    return widgets.HBox(children, layout=widgets.Layout(flex_flow="row wrap", align_items="baseline", width="100%"))


class Words:
    """The message next to a field: problems first, then a remark, else a hint."""

    def __init__(self, hint: str = "") -> None:
        self._hint = hint
        self._said = ""
        self.view = widgets.HTML(layout=widgets.Layout(flex="1 1 150px", margin="2px 2px 2px 10px"))
        self.view.add_class("words")
        self.tell(())

    def say(self, words: str) -> None:
        """Show a remark, which problems do not hide; an empty one restores the hint."""
        self._said = words
        self.tell(())

    def tell(self, problems: Sequence[Problem]) -> None:
        """Show problems with their remedies, or the hint if there are none."""
        texts = (html.escape(f"{problem.text} {problem.fix}".strip()) for problem in problems)
        lines = [f'<span role="status" style="{PROBLEM}">⚠ {text}</span>' for text in texts]
        if said := self._said or ("" if lines else self._hint):
            lines.append(f'<span style="{HINT}">{html.escape(said)}</span>')
        self.view.value = "<br>".join(lines)


class Single:
    """A field with a single widget that holds the value."""

    def __init__(self, field: Field, widget: Any) -> None:
        self.widget = widget
        self.words = Words(field.hint)
        self.view = row(widget, self.words.view)

    @property
    def text(self) -> str:
        return str(self.widget.value)

    @text.setter
    def text(self, text: str) -> None:
        self.widget.value = text

    def on_change(self, changed: Callable[[], None]) -> None:
        self.widget.observe(lambda _: changed(), "value")

    def tell(self, problems: Sequence[Problem]) -> None:
        self.words.tell(problems)


class Choice(Single):
    """A choice from a list; another value in the file is added to the list."""

    @property
    def text(self) -> str:
        return str(self.widget.value)

    @text.setter
    def text(self, text: str) -> None:
        # A Dropdown refuses a value that is not among its options, and the file may name a newer region.
        if text not in [value for _, value in self.widget.options]:
            self.widget.options = [*self.widget.options, (text, text)]
        self.widget.value = text


class Suggested:
    """Free text, or a value chosen by name, in which case the full value is shown below."""

    def __init__(self, field: Field, label: str, placeholder: str, *beside: Any) -> None:
        self._values: dict[str, str] = {}
        """Possible values by name."""
        self.widget = widgets.Combobox(
            description=label, placeholder=placeholder, ensure_option=False, style=label_style(), layout=layout()
        )
        self.full = widgets.HTML(layout=widgets.Layout(margin=f"0 2px 2px {INDENT}", width="auto", display="none"))
        self.full.add_class("indented")
        self.words = Words(field.hint)
        self.view = widgets.VBox([row(self.widget, *(beside or (self.words.view,))), self.full])
        self.widget.observe(lambda _: self._spell_out(), "value")

    @property
    def text(self) -> str:
        shown = str(self.widget.value).strip()
        return self._values.get(shown, shown)

    @text.setter
    def text(self, text: str) -> None:
        self.widget.value = next((name for name, value in self._values.items() if value == text), text)

    def offer(self, choices: Choices, words: str) -> None:
        """Suggest values by name, and describe them."""
        # Read before the names change, because the field shows a name.
        text, self._values = self.text, dict(choices)
        self.widget.options = list(self._values)
        self.text = text
        self.words.say(words)

    def on_change(self, changed: Callable[[], None]) -> None:
        self.widget.observe(lambda _: changed(), "value")

    def tell(self, problems: Sequence[Problem]) -> None:
        self.words.tell(problems)

    def _spell_out(self) -> None:
        text = self.text
        shown = text != self.widget.value or len(text) > _CLIPPED
        self.full.value = f'<code style="{HINT}">{html.escape(text)}</code>' if shown else ""
        self.full.layout.display = None if shown else "none"


_CLIPPED = 50
"""Characters that fit in a field."""


def text_control(name: str, placeholder: str = "", width: str = WIDTH) -> Single:
    """Return a field for a line of text."""
    return Single(FIELDS[name], widgets.Text(**_common(name, width), placeholder=placeholder))


def area_control(name: str, placeholder: str) -> Single:
    """Return a field for several lines of text."""
    area = widgets.Textarea(**_common(name), placeholder=placeholder, rows=3)
    return Single(FIELDS[name], area)


def number_control(name: str, placeholder: str) -> Single:
    """Return a field for an integer.

    It is a text field, because ipywidgets' number fields keep their last number if cleared, even an invalid one.
    """
    return text_control(name, placeholder, NARROW)


def choice_control(name: str, choices: Choices, width: str = WIDTH) -> Choice:
    """Return a field with a list of choices."""
    return Choice(FIELDS[name], widgets.Dropdown(**_common(name, width), options=choices))


def file_control(choices: Sequence[tuple[str, Path]], chosen: Path) -> Choice:
    """Return a field for the file."""
    options = [(label, str(path)) for label, path in choices]
    widget = widgets.Dropdown(
        description="File", options=options, value=str(chosen), style=label_style(), layout=layout()
    )
    widget.disabled = len(options) == 1
    return Choice(Field("file", "File", str, lambda text, _: text, "The configuration that is shown and saved"), widget)


def suggested_control(name: str, placeholder: str) -> Suggested:
    """Return a text field with suggestions."""
    return Suggested(FIELDS[name], FIELDS[name].label, placeholder)


class Picked:
    """Several values: checkboxes once a list is available, and comma-separated text before that.

    Checkboxes, because JupyterLab takes arrow keys and letters away from multiple-choice lists.
    """

    def __init__(self, name: str, placeholder: str) -> None:
        self._field = FIELDS[name]
        self._changed: Callable[[], None] = lambda: None
        self.free = widgets.Text(**_common(name), placeholder=placeholder)
        self.free.observe(lambda _: self._changed(), "value")
        self.boxes: dict[str, widgets.Checkbox] = {}
        """Checkboxes by value; empty without a list."""
        self.words = Words(self._field.hint)
        self.view = row(self.free, self.words.view)

    @property
    def text(self) -> str:
        if not self.boxes:
            return str(self.free.value)
        # Keep the file's order, so that an equal configuration does not appear changed.
        order = dict.fromkeys([*self._read(self.free.value), *self.boxes])
        return ", ".join(text for text in order if text in self.boxes and self.boxes[text].value)

    @text.setter
    def text(self, text: str) -> None:
        chosen = self._read(text)
        self.free.value = text
        if set(chosen) <= set(self.boxes):
            for value, box in self.boxes.items():
                box.value = value in chosen
        elif self.boxes:
            self.boxes = {}
            self._show(self.free, "")

    def offer(self, choices: Choices, words: str, suggested: Sequence[str] = ()) -> None:
        """Show checkboxes; check the values selected before, or else `suggested`."""
        if not choices:
            self.type_freely("There are none")
            return
        offered = {value for _, value in choices}
        chosen = [text for text in self._read(self.text) if text in offered] or [*suggested]
        self.free.value = ", ".join(chosen)
        self.boxes = {value: self._box(label, ticked=value in chosen) for label, value in choices}
        # Label the list like a field, and let it scroll if it is long.
        column = widgets.VBox(list(self.boxes.values()))
        column.add_class("scrolls")
        listed = widgets.HBox([label_of(self._field.label), column], layout=layout(width="auto", max_width=BROAD))
        listed.add_class("listed")
        self._show(listed, words)

    def type_freely(self, words: str, *, off: bool = False) -> None:
        """Fall back to the text field, disabled if `off`, and explain why there is no list."""
        self.free.value, self.boxes = self.text, {}
        self.free.disabled = off
        self._show(self.free, words)

    def on_change(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    def tell(self, problems: Sequence[Problem]) -> None:
        self.words.tell(problems)

    def _read(self, text: str) -> tuple[str, ...]:
        return tuple(self._field.read(text, ()))

    def _box(self, label: str, *, ticked: bool) -> widgets.Checkbox:
        box = widgets.Checkbox(ticked, description=label, indent=False, layout=widgets.Layout(width="auto"))
        box.observe(lambda _: self._changed(), "value")
        return box

    def _show(self, widget: Any, words: str) -> None:
        self.view.children = (widget, self.words.view)
        self.words.say(words)


def label_of(text: str) -> Any:
    """Return a label in the label column."""
    return widgets.HTML(
        f'<div style="text-align:right">{html.escape(text)}</div>',
        layout=widgets.Layout(width=LABEL_WIDTH, flex="0 0 auto", margin="2px 8px 2px 2px"),
    )


def _common(name: str, width: str = WIDTH) -> dict[str, Any]:
    return {"description": FIELDS[name].label, "style": label_style(), "layout": layout(width=width)}
