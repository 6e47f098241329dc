"""Saves Settings to Lithops' configuration: changes are written, and the rest of the file is kept."""

from __future__ import annotations

import difflib
import json
import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lithops_magic.config import document as documents
from lithops_magic.config.document import Document
from lithops_magic.config.edit import remove, write
from lithops_magic.config.find import ACCOUNT_FIELDS, chosen_backend, infer_local, interpret
from lithops_magic.config.keys import KEYS, LOCAL, KeyPath, lookup, read_fields, read_local
from lithops_magic.config.settings import CREDENTIALS, FileSystem, Settings
from lithops_magic.errors import ConfigError

HIDDEN = "••••••••"

_SECRET_LINE = re.compile(r"(?i)((?:secret|token|password|passwd|access_key|api_?key)[\w\"']*\s*:\s*)(?!\s)([^\r\n]+)")
SECRET_NAME = re.compile(r"(?i)secret|token|password|passwd|access_?key|api_?key|credential")
"""Names of environment variables whose values are never shown."""


def save(settings: Settings, path: str | os.PathLike[str]) -> None:
    """Write differences to the file at `path`, which is created (readable only by its owner) if missing.

    The file is replaced atomically. Comments, order, other keys, mode and symbolic links are kept.

    Raises
    ------
    ConfigError
        The settings have problems, the file is not a Lithops configuration or cannot be written, or a value that must
        change is shared by a YAML alias.
    """
    if problems := settings.problems():
        raise ConfigError(" ".join(["Nothing was saved, there are problems:", *map(str, problems)]))
    target = Path(os.path.realpath(Path(path).expanduser()))
    document = _open(target)
    text = render(settings, document)
    if text != document.text or not target.exists():
        try:
            _write_atomically(target, text)
        except OSError as error:
            raise ConfigError(f"{target}: the file cannot be written: {error.strerror}.") from None


def diff(settings: Settings, path: str | os.PathLike[str]) -> str:
    """Return what `save` would change, as a unified diff without secrets; empty if nothing.

    Raises
    ------
    ConfigError
        The file is not a Lithops configuration, or a value that must change is shared by a YAML alias.
    """
    document = _open(Path(path).expanduser())
    before, after = document.text.splitlines(), render(settings, document).splitlines()
    lines = difflib.unified_diff(before, after, str(path), f"{path} (new)", lineterm="")
    return _redact(lines, settings, document)


def render(settings: Settings, document: Document) -> str:
    """Return the document's text, changed to match `settings`.

    Raises
    ------
    ConfigError
        A value that must change is shared by a YAML alias.
    """
    text = _with_choice(settings, document)
    values = dict(read_fields(document))
    defaults = Settings()
    for key in KEYS:
        old, new = values.get(key.field, getattr(defaults, key.field)), getattr(settings, key.field)
        if old == new or (key.field in ACCOUNT_FIELDS and _leaves_account(settings, document)):
            continue
        # A value stays where the file has it; only new ones go to the key's home.
        present = [place for place in key.places if lookup(document.data, place) is not None]
        existing = lookup(document.data, present[0]) if present else None
        text = _with_value(text, present, key.home, _encode(key.field, new, existing))
    # Never write a file that would be read differently.
    if interpret(documents.parse(text, document.name)) != settings:
        raise ConfigError(f"{document.name}: its layout cannot be edited safely: change it by hand.")
    return text


def _with_value(text: str, present: list[KeyPath], home: KeyPath, value: Any) -> str:
    if value:
        return write(text, present[0] if present else home, value)
    for place in present:
        text = remove(text, place)
    return text


def _with_choice(settings: Settings, document: Document) -> str:
    """Make the file choose the account or the local AWS."""
    text, stated = document.text, read_local(document)
    on_account = not settings.local or _uses_account_fields(settings)
    if not document.data:
        text = write(text, ("lithops", "backend"), "aws_lambda" if on_account else "localhost")
    elif not settings.local and chosen_backend(document) not in (None, "aws_lambda"):
        text = write(text, ("lithops", "backend"), "aws_lambda")
    elif not on_account and not stated and not infer_local(document):
        # This is Lithops' own setting for it; the key `local` would apply the file's account settings.
        text = write(text, ("lithops", "backend"), "localhost")
    if stated is not None and stated != settings.local:
        return write(text, LOCAL, settings.local) if on_account else remove(text, LOCAL)
    return write(text, LOCAL, True) if settings.local and on_account else text


def _uses_account_fields(settings: Settings) -> bool:
    defaults = Settings()
    return any(getattr(settings, name) != getattr(defaults, name) for name in ACCOUNT_FIELDS)


def _leaves_account(settings: Settings, document: Document) -> bool:
    """Whether account settings remain in the file, unused while the local AWS is selected."""
    return settings.local and not _uses_account_fields(settings) and read_local(document) is not True


def _encode(field: str, value: Any, existing: Any) -> Any:
    if field == "efs":
        return [_entry(entry) for entry in value]
    if isinstance(value, tuple):
        return list(value)
    # Lithops' code expects a list for env_vars and a mapping for user_tags; a file with the other form keeps it.
    if field in ("env_vars", "user_tags"):
        as_list = isinstance(existing, list) if existing else field == "env_vars"
        return [{"name": name, "value": text} for name, text in value.items()] if as_list else dict(value)
    return value


def _entry(entry: FileSystem) -> dict[str, str]:
    return {"access_point": entry.access_point, "mount_path": entry.mount_path}


def _open(path: Path) -> Document:
    return documents.read(path) if path.exists() else documents.parse("", str(path))


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            # Before the rename, or a power failure could leave an empty file in place of the old one.
            os.fsync(file.fileno())
        if path.exists():
            Path(temporary).chmod(path.stat().st_mode & 0o7777)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _redact(lines: Iterable[str], settings: Settings, document: Document) -> str:
    secrets: set[str | None] = set()
    for values in (settings, interpret(document, local=False)):
        secrets |= {getattr(values, name) for name in CREDENTIALS}
        secrets |= {text for name, text in values.env_vars.items() if SECRET_NAME.search(name)}
    # A string may be escaped in YAML.
    written = {form for secret in secrets if secret for form in (secret, json.dumps(secret)[1:-1])}
    patterns = [rf"(?<![\w-]){re.escape(form)}(?![\w-])" for form in sorted(written, key=len, reverse=True)]
    pattern = re.compile("|".join(patterns) or r"(?!)")
    headers = ("---", "+++", "@@")
    return "\n".join(
        line if line.startswith(headers) else _SECRET_LINE.sub(rf"\1{HIDDEN}", pattern.sub(HIDDEN, line))
        for line in lines
    )
