"""The configuration as text and as HTML that outlives the kernel: no secrets, no widgets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lithops_magic.engine.text import html
from lithops_magic.notebook.display.status import Table
from lithops_magic.notebook.form.model import FIELDS, credentials, texts

if TYPE_CHECKING:
    from lithops_magic.config import Settings
    from lithops_magic.notebook.display.progress_frame import Bundle
    from lithops_magic.notebook.form.store import ConfigStore

PLACES = {"true": "the local AWS on this machine", "false": "an AWS account"}


def summary(settings: Settings, store: ConfigStore) -> Bundle:
    """Return the settings as a table, with their problems and the file that Save would write."""
    table = Table("Configuration of lithops-magic", ("setting", "value"), _rows(settings), "")
    notes = [
        f"From {settings.source}; {store.locked or _saved_to(store)}",
        *settings.notes,
        *(f"⚠ {problem}" for problem in settings.problems()),
    ]
    return {
        "text/plain": "\n".join((table.to_text(), *notes)),
        "text/html": table.to_html() + "".join(f"<div>{html.escape(note)}</div>" for note in notes),
    }


def _saved_to(store: ConfigStore) -> str:
    return f"saved to {store.file}" + ("" if store.file.exists() else ", which does not exist yet")


def _rows(settings: Settings) -> list[tuple[str, str]]:
    shown = texts(settings)
    shown["local"] = PLACES[shown["local"]]
    # In a saved notebook, a value may travel further than its owner expects.
    shown["env_vars"] = ", ".join(settings.env_vars)
    # A URL may contain a user name and a password.
    shown["endpoint_url"] = re.sub(r"//.*@", "//••••@", shown["endpoint_url"])
    rows = [(FIELDS[name].label, " · ".join(text.splitlines())) for name, text in shown.items() if text]
    return [*rows, ("Credentials", credentials(settings))]
