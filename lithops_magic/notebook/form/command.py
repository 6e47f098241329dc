"""Implements the options of `%lambda_config`."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lithops_magic.closest import closest
from lithops_magic.config.settings import CREDENTIALS, SETTING_OF
from lithops_magic.notebook.display.status import show
from lithops_magic.notebook.form.model import read
from lithops_magic.notebook.form.names import NAMES
from lithops_magic.notebook.form.static import summary
from lithops_magic.notebook.form.store import ConfigStore
from lithops_magic.notebook.parse.usage_error import UsageError

if TYPE_CHECKING:
    from lithops_magic.notebook.form.form import ConfigForm
    from lithops_magic.notebook.parse.config_line import ConfigLine
    from lithops_magic.notebook.session import Session


def configure(asked: ConfigLine, session: Session) -> ConfigForm | None:
    """Do what the line asks; without options, return the form.

    Raises
    ------
    ConfigError
        The configuration cannot be read or written.
    """
    store = ConfigStore.find(asked.file, session)
    if asked.changes:
        _set(store, asked)
        return None
    if asked.local:
        _use_local(store)
    if asked.show:
        chosen = None if asked.file else session.settings
        show(summary(chosen or store.load(True if asked.local else None), store))
    if asked.show or asked.local:
        return None
    from lithops_magic.notebook.form.form import ConfigForm

    return ConfigForm(store)


def _set(store: ConfigStore, asked: ConfigLine) -> None:
    if store.locked:
        raise UsageError(store.locked)
    given = {"local": "true"} if asked.local else {}
    given |= {name: text.strip().lower() for name, text in asked.changes if name == "local"}
    settings = store.load({"true": True, "false": False}.get(given.get("local", "")))
    for name, text in asked.changes:
        field, _, entry = name.partition(".")
        if name in NAMES:
            given[NAMES[name]] = text
        elif entry and field in ("env_vars", "user_tags"):
            settings = settings.replace(**{field: _with_entry(getattr(settings, field), entry, text)})
        else:
            raise UsageError(_unknown(name))
    # A file with an execution role means AWS unless it says `local`: saving a role must not move the jobs unasked.
    if settings.local and settings.execution_role is None and given.get("execution_role") and "local" not in given:
        raise UsageError(
            "say where the execution role is: on AWS (add --set local=false) or on the local AWS (add --local)"
        )
    reading = read(given, settings)
    if reading.problems:
        found = [str(problem) for problems in reading.problems.values() for problem in problems]
        raise UsageError(" ".join(["nothing was saved:", *found]))
    diff = store.diff(reading.settings)
    store.save(reading.settings)
    _say(f"Saved to {store.file}." if diff else f"{store.file} says this already.", diff)


def _with_entry(pairs: Mapping[str, str], name: str, value: str) -> dict[str, str]:
    others = {key: text for key, text in pairs.items() if key != name}
    return {**others, name: value} if value else others


def _use_local(store: ConfigStore) -> None:
    settings = store.load(True)
    store.session.settings = settings.replace(source=f"{settings.source} (this session: --local)")
    _say("This session runs on the local AWS until the kernel ends; the file is unchanged.")


def _unknown(name: str) -> str:
    if name in CREDENTIALS:
        return f"{name} is not set from a notebook: use AWS_PROFILE, `aws configure` or the file's aws section"
    close = closest(SETTING_OF.get(name, name), NAMES)
    return f"there is no setting {name}" + (f"; did you mean {close}?" if close else "; see `%lambda_config --help`")


def _say(words: str, diff: str = "") -> None:
    text = "\n".join(part for part in (diff, words) if part)
    shown = f"<pre>{html.escape(diff)}</pre>" if diff else ""
    show({"text/plain": text, "text/html": f"{shown}<div>{html.escape(words)}</div>"})
