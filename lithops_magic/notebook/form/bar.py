"""The form's buttons and messages, and the area for diffs and check results."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

import ipywidgets as widgets  # type: ignore[import-untyped]

from lithops_magic.aws.account.doctor import Check
from lithops_magic.notebook.form.fields import GREEN, HINT, PROBLEM, RED, Words

SIGNS = {"problem": "✗ PROBLEM", "unknown": "? not checked", "ok": "✓ ok"}
"""In display order."""
_COPY = (
    "const b=this,t=b.dataset.text,d=()=>{b.textContent='Copied';setTimeout(()=>b.textContent='Copy',2000)};"
    "if(navigator.clipboard)navigator.clipboard.writeText(t).then(d);"
    "else{const a=document.createElement('textarea');a.value=t;document.body.append(a);a.select();"
    "document.execCommand('copy');a.remove();b.focus();d()}"
)
"""JavaScript; without a secure origin, only the old clipboard API is available."""


def _button(text: str, tooltip: str, style: str = "") -> widgets.Button:
    return widgets.Button(
        description=text,
        tooltip=tooltip,
        button_style=style,
        layout=widgets.Layout(width="auto", padding="0 14px", margin="2px 8px 2px 0"),
    )


class Bar:
    """Everything except the fields."""

    def __init__(self) -> None:
        self.load = _button("Reload", "Fill the lists again with the account's roles, networks and file systems")
        self.check = _button("Check", "Examine credentials, role, network, storage and limits")
        self.create = _button("Create role", "Create the execution role with the permissions that this needs")
        self.review = _button("Review changes", "Show what saving would change in the file", "primary")
        self.save = _button("Save", "Write the changes shown above into the file", "success")
        self.cancel = _button("Cancel", "Go back to the fields; nothing is written")
        self.use = _button("Use for this session only", "Run with these settings until the kernel ends")
        self.discard = _button("Discard", "Show what the file says again; what was typed here is lost")
        self.loaded = Words()
        self.state = _line()
        self.status = _line()
        self.results = widgets.HTML(layout=widgets.Layout(width="100%"))
        self.offer_save("")

    def offer_save(self, file: str) -> None:
        """Show the buttons that confirm or cancel saving, or hide them if there is nothing to save."""
        self.save.description = f"Save to {file}" if file else "Save"
        self.save.layout.display = self.cancel.layout.display = None if file else "none"

    def tell_state(self, words: str, *, blocked: bool) -> None:
        """Describe how form and file differ, or what to fix before saving."""
        style, sign = (PROBLEM, "⚠ ") if blocked else (HINT, "")
        # The role makes screen readers announce the change.
        self.state.value = f'<span role="status" style="{style}">{sign}{html.escape(words)}</span>'

    def say(self, words: str) -> None:
        """Show what is happening, or its result."""
        self.status.value = f'<span role="status" style="line-height:1.4">{html.escape(words)}</span>'

    def fail(self, words: str) -> None:
        """Show an error."""
        self.status.value = f'<span role="status" style="{PROBLEM}">✗ {html.escape(words)}</span>'

    def show_diff(self, diff: str) -> None:
        """Show what would be written."""
        lines = "\n".join(map(_diff_line, diff.splitlines()))
        self.results.value = f'<pre style="line-height:1.4;margin:4px 0">{lines}</pre>'

    def show_checks(self, checks: Iterable[Check]) -> None:
        """Show check results."""
        ordered = sorted(checks, key=lambda check: [*SIGNS].index(check.status))
        self.results.value = f'<div role="list" style="margin:4px 0">{"".join(map(_check, ordered))}</div>'

    def clear(self) -> None:
        """Remove outdated results."""
        self.results.value = ""
        self.status.value = ""
        self.offer_save("")


def _line() -> widgets.HTML:
    return widgets.HTML(layout=widgets.Layout(width="100%", margin="2px 0"))


def _check(check: Check) -> str:
    sign = SIGNS[check.status]
    style = f' style="{PROBLEM}"' if check.status == "problem" else ""
    fix = f"<div>→ {html.escape(check.fix)}{_copy_button(check)}</div>" if check.fix else ""
    return (
        f'<div role="listitem" class="check {check.status}"><span{style}>{sign}</span>'
        f"<strong>{html.escape(check.name)}</strong><div>{html.escape(check.text)}{fix}</div></div>"
    )


def _copy_button(check: Check) -> str:
    text = html.escape(copied(check.fix))
    label = html.escape(f"Copy the fix of {check.name}")
    return f'<button type="button" data-text="{text}" aria-label="{label}" onclick="{_COPY}">Copy</button>'


def copied(fix: str) -> str:
    """Return the part of a fix worth copying: its command if it has one."""
    command = re.search(r"`([^`]+)`|\b(aws [a-z0-9-]+ .+)", fix)
    return (command[1] or command[2]) if command else fix


def _diff_line(line: str) -> str:
    color = {"+": GREEN, "-": RED}.get(line[:1])
    text = html.escape(line)
    return f'<span style="{color}">{text}</span>' if color else text
