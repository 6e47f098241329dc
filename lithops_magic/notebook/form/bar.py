"""The buttons of the form, its lines of words and the place for a diff or the results of a check."""

from __future__ import annotations

import html
from collections.abc import Iterable

import ipywidgets as widgets  # type: ignore[import-untyped]

from lithops_magic.aws.account.doctor import Check
from lithops_magic.notebook.form.fields import GREEN, HINT, PROBLEM, RED, Words

SIGNS = {"ok": "✓ ok", "problem": "✗ problem", "unknown": "? unknown"}
CELL = "text-align:left;vertical-align:top;padding:1px 14px 1px 0"
SHORT, LONG = (f' style="{CELL};white-space:{space}"' for space in ("nowrap", "normal"))


def _button(text: str, tooltip: str, style: str = "") -> widgets.Button:
    return widgets.Button(
        description=text,
        tooltip=tooltip,
        button_style=style,
        layout=widgets.Layout(width="auto", padding="0 14px", margin="2px 8px 2px 0"),
    )


class Bar:
    """Everything that is not a field."""

    def __init__(self) -> None:
        self.load = _button("Load from AWS", "Fill the lists with the account's roles, networks and file systems")
        self.check = _button("Check", "Examine credentials, role, network, storage and limits")
        self.create = _button("Create role", "Create the execution role with the permissions that this needs")
        self.save = _button("Save", "Show what would change in the file", "primary")
        self.write = _button("Write", "Write the changes shown below into the file", "success")
        self.use = _button("Use for this session only", "Run with these settings until the kernel ends")
        self.loaded = Words("Fills the lists below")
        self.state = _line()
        self.status = _line()
        self.results = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.offer_write(False)

    @property
    def buttons(self) -> tuple[widgets.Button, ...]:
        """All buttons."""
        return (self.load, self.check, self.create, self.save, self.write, self.use)

    def offer_write(self, offered: bool) -> None:
        """Show or hide the button that writes."""
        self.write.layout.display = None if offered else "none"

    def tell_state(self, words: str, *, blocked: bool) -> None:
        """Say how the form and the file differ, or what has to be mended before it can be saved."""
        style, sign = (PROBLEM, "⚠ ") if blocked else (HINT, "")
        self.state.value = f'<span role="status" style="{style}">{sign}{html.escape(words)}</span>'

    def say(self, words: str) -> None:
        """Say what is going on, or what came of it."""
        self.status.value = f'<span role="status" style="line-height:1.4">{html.escape(words)}</span>'

    def fail(self, words: str) -> None:
        """Say what went wrong."""
        self.status.value = f'<span role="status" style="{PROBLEM}">✗ {html.escape(words)}</span>'

    def show_diff(self, diff: str) -> None:
        """Show what Save would write."""
        lines = "\n".join(map(_diff_line, diff.splitlines()))
        self.results.value = f'<pre style="line-height:1.4;margin:4px 0;overflow-x:auto">{lines}</pre>'

    def show_checks(self, checks: Iterable[Check]) -> None:
        """Show the results of a check."""
        rows = "".join(
            f'<tr><td{SHORT}>{SIGNS[check.status]}</td><th scope="row"{SHORT}>{html.escape(check.name)}</th>'
            f"<td{LONG}>{html.escape(f'{check.text} {check.fix}'.strip())}</td></tr>"
            for check in checks
        )
        self.results.value = f'<table style="line-height:1.4;margin:4px 0"><tbody>{rows}</tbody></table>'

    def clear(self) -> None:
        """Take away results that are no longer true."""
        self.results.value = ""
        self.status.value = ""
        self.offer_write(False)


def _line() -> widgets.HTML:
    return widgets.HTML(layout=widgets.Layout(width="100%", margin="2px 0"))


def _diff_line(line: str) -> str:
    colour = {"+": GREEN, "-": RED}.get(line[:1])
    text = html.escape(line)
    return f'<span style="{colour}">{text}</span>' if colour else text
