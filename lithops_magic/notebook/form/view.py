"""Where everything stands in the form."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import ipywidgets as widgets  # type: ignore[import-untyped]

from lithops_magic.notebook.form.fields import INDENT, LABEL_WIDTH, row

if TYPE_CHECKING:
    from lithops_magic.notebook.form.form import ConfigForm

SECTIONS = (
    ("Function", ("execution_role", "memory", "timeout", "ephemeral_storage", "architecture", "max_workers")),
    ("Network", ("network",)),
    ("File system", ("efs",)),
    ("More", ("env_vars", "user_tags", "layers", "runtime", "namespace")),
)
"""Headings and what stands below them; the account comes first, the buttons last."""


def assemble(form: ConfigForm) -> widgets.VBox:
    """Lay out the form."""
    bar = form.bar
    load = row(bar.load, bar.loaded.view)
    load.layout.margin = f"2px 0 2px {INDENT}"
    load.layout.width = "auto"
    views = {name: control.view for name, control in form.controls.items()} | {"network": form.network.view}
    account = (views["local"], views["profile"], views["region"], form.credentials.view, form.caller.view, load)
    sections = [_section("Where functions run", account)]
    sections += [_section(title, [views[name] for name in names]) for title, names in SECTIONS]
    buttons = widgets.HBox(
        [bar.check, bar.create, bar.save, bar.write, bar.use], layout=widgets.Layout(flex_flow="row wrap")
    )
    sections.append(widgets.VBox([bar.state, buttons, bar.status, bar.results], layout=_ruled()))
    return widgets.VBox(sections, layout=widgets.Layout(width="100%", max_width="1080px"))


def _section(title: str, rows: tuple[widgets.Widget, ...] | list[widgets.Widget]) -> widgets.VBox:
    heading = widgets.HTML(f'<h4 style="margin:2px 0">{html.escape(title)}</h4>')
    return widgets.VBox([heading, *rows], layout=_ruled())


def _ruled() -> widgets.Layout:
    return widgets.Layout(
        border_top="1px solid var(--jp-border-color2, #bdbdbd)", padding="4px 0 8px 0", width="100%", overflow="visible"
    )


class Fact:
    """A line that can only be read, aligned with the fields."""

    def __init__(self, label: str) -> None:
        self._label = label
        self.words = ""
        self.view = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.tell("")

    def tell(self, words: str) -> None:
        """Show the words, which may come from AWS or a file."""
        self.words = words
        label = f'<span style="flex:0 0 {LABEL_WIDTH};text-align:right">{html.escape(self._label)}</span>'
        text = f'<span style="overflow-wrap:anywhere">{html.escape(words)}</span>'
        self.view.value = f'<div style="display:flex;gap:8px;line-height:1.5">{label}{text}</div>'
