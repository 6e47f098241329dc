"""The form's layout."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import ipywidgets as widgets  # type: ignore[import-untyped]

from lithops_magic.notebook.form.fields import INDENT, LABEL_WIDTH, row
from lithops_magic.notebook.form.style import CLASS, CSS

if TYPE_CHECKING:
    from lithops_magic.notebook.form.form import ConfigForm

SECTIONS = (
    ("Function", ("execution_role", "memory", "timeout", "ephemeral_storage", "architecture", "max_workers")),
    ("Network", ("network",)),
    ("File system", ("efs",)),
)
"""Headings with their contents; the account comes first, the buttons last."""
MORE = ("env_vars", "user_tags", "layers", "runtime", "namespace")
"""Fields that few users need: collapsed unless one is used."""


def assemble(form: ConfigForm) -> widgets.VBox:
    """Lay out the form."""
    bar = form.bar
    load = row(bar.load, bar.loaded.view)
    load.layout.margin = f"2px 0 2px {INDENT}"
    load.layout.width = "auto"
    load.add_class("indented")
    views = {name: control.view for name, control in form.controls.items()} | {"network": form.network.view}
    place = [views[name] for name in ("local", "profile", "region")]
    account = [form.file.view, *place, form.credentials.view, form.caller.view, load]
    sections = [_section("Where functions run", account)]
    sections += [_section(title, [views[name] for name in names]) for title, names in SECTIONS]
    sections.append(Folded("more settings", [views[name] for name in MORE], open_=_is_used(form)).view)
    wrapped = widgets.Layout(flex_flow="row wrap")
    buttons = widgets.HBox([bar.review, bar.check, bar.create, bar.use, bar.discard], layout=wrapped)
    decision = widgets.HBox([bar.save, bar.cancel], layout=wrapped)
    sections.append(widgets.VBox([bar.state, buttons, bar.status, bar.results, decision], layout=_ruled()))
    style = widgets.HTML(f"<style>{CSS}</style>", layout=widgets.Layout(display="none"))
    whole = widgets.VBox([style, *sections], layout=widgets.Layout(width="100%", max_width="1280px"))
    whole.add_class(CLASS)
    return whole


def _is_used(form: ConfigForm) -> bool:
    return any(form.controls[name].text for name in MORE)


def _section(title: str, rows: list[widgets.Widget]) -> widgets.VBox:
    heading = widgets.HTML(f'<h4 style="margin:2px 0">{html.escape(title)}</h4>')
    return widgets.VBox([heading, *rows], layout=_ruled())


def _ruled() -> widgets.Layout:
    return widgets.Layout(
        border_top="1px solid var(--jp-border-color2, #bdbdbd)", padding="4px 0 8px 0", width="100%", overflow="visible"
    )


class Folded:
    """Rows behind a button that shows and hides them; ipywidgets' own accordion cannot be used with the keyboard."""

    def __init__(self, what: str, rows: list[widgets.Widget], *, open_: bool) -> None:
        self._what = what
        self._rows = widgets.VBox(rows)
        self._button = widgets.Button(
            layout=widgets.Layout(width="max-content", padding="0 14px", margin=f"4px 0 4px {INDENT}")
        )
        self._button.add_class("indented")
        self._button.on_click(lambda _: self._set(self._rows.layout.display == "none"))
        self.view = widgets.VBox([self._button, self._rows], layout=_ruled())
        self._set(open_)

    def _set(self, open_: bool) -> None:
        self._rows.layout.display = None if open_ else "none"
        self._button.description = f"{'▾ Hide' if open_ else '▸ Show'} {self._what}"


class ReadOnlyLine:
    """A read-only line, aligned with the fields."""

    def __init__(self, label: str) -> None:
        self._label = label
        self.words = ""
        self.view = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.tell("")

    def tell(self, words: str) -> None:
        """Show the text, which may come from AWS or a file."""
        self.words = words
        label = f'<span style="flex:0 0 {LABEL_WIDTH};text-align:right">{html.escape(self._label)}</span>'
        text = f'<span style="overflow-wrap:anywhere">{html.escape(words)}</span>'
        self.view.value = f'<div class="fact" style="display:flex;gap:0 8px;line-height:1.5">{label}{text}</div>'
