"""The structure of a configuration file: reports unread keys at any depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lithops_magic.closest import closest
from lithops_magic.config.document import Document, Scalar
from lithops_magic.config.keys import KEYS, KNOWN_SECTION_KEYS, UNUSED

READ_SECTIONS = ("aws_lambda", "aws", "lithops", "serverless")
"""Sections read here; all others belong to other backends, to storage, or to the user."""

_SIMILAR = ("aws_s3", "aws_ec2", "aws_batch")
"""Sections of other backends with names similar to ours."""

NESTED = {
    "vpc": ("subnets", "security_groups"),
    "efs": ("access_point", "mount_path"),
}
"""Keys with nested keys, where unknown ones are an error, because the function would run without the setting."""

ALIASES = {
    "subnet": "subnets",
    "subnet_id": "subnets",
    "subnet_ids": "subnets",
    "security_group": "security_groups",
    "security_group_id": "security_groups",
    "security_group_ids": "security_groups",
    "sg": "security_groups",
    "arn": "access_point",
    "accesspoint": "access_point",
    "path": "mount_path",
    "local_mount_path": "mount_path",
    "memory": "runtime_memory",
    "timeout": "runtime_timeout",
    "role": "execution_role",
    "tags": "user_tags",
    "environment": "env_vars",
    "env": "env_vars",
    "tmp": "ephemeral_storage",
}
"""Names used by AWS or by other parts of this package, with Lithops' own."""

_OF_LITHOPS = {
    *("backend", "mode", "workers", "storage", "data_cleaner", "data_limit", "execution_timeout", "include_modules"),
    *("exclude_modules", "log_level", "log_format", "log_stream", "log_filename", "customized_runtime", "monitoring"),
    *("monitoring_interval", "telemetry", "chunksize", "worker_processes", "stats_interval", "lithops_cleaner"),
}
"""Keys of the section `lithops` that Lithops reads: they are not misspelled, whether or not they mean anything here."""
_OURS = {"backend", "mode", "workers"}
"""Those that are read here."""


def check(document: Document) -> None:
    """Reject configurations that cannot be intended.

    Raises
    ------
    ConfigError
        A section is not a mapping, or `vpc` or `efs` contains an unknown key.
    """
    for name in READ_SECTIONS:
        section = document.data.get(name)
        if section is not None and not isinstance(section, dict):
            raise document.fail(section, f"section {name} must hold keys and values.")
    for name in ("aws_lambda", "aws"):
        for key, value in (document.data.get(name) or {}).items():
            if key in NESTED and value is not None:
                _check_nested(document, f"{name}.{key}", key, value)
    for place in (("lithops", "backend"), ("lithops", "mode"), ("serverless", "backend")):
        value = (document.data.get(place[0]) or {}).get(place[1])
        if value is not None and not isinstance(value, Scalar):
            raise document.fail(value, f"{'.'.join(place)} must be text.")


def _check_nested(document: Document, place: str, key: Any, value: Any) -> None:
    known, is_list = NESTED[key], key == "efs"
    for entry in value if is_list and isinstance(value, list) else [value]:
        if not isinstance(entry, dict):
            what = "a list of entries with" if is_list else "a mapping with"
            raise document.fail(key, f"{place} must be {what} {' and '.join(known)}.")
        for name in entry:
            if name not in known:
                raise document.fail(name, f"{place}.{name} is not known{meant(name, known)}")


def unused(document: Document) -> Iterator[str]:
    """Yield a sentence for each Lithops key that has no meaning here."""
    for key, value in (document.data.get("aws_lambda") or {}).items():
        if key in UNUSED and value is not None:
            yield f"aws_lambda.{key} is not used: {UNUSED[key]}."


def unread(document: Document) -> Iterator[str]:
    """Yield a sentence for each unread key, with the one probably meant."""
    for section in ("aws_lambda", "aws"):
        for key in document.data.get(section) or {}:
            if key not in KNOWN_SECTION_KEYS:
                yield f"{_place(document, key)}: {section}.{key} is not known{meant(key, KNOWN_SECTION_KEYS)}"
    # Here only what resembles a key of ours: this section is Lithops' own, and newer versions of it have more keys.
    for key in document.data.get("lithops") or {}:
        if key not in _OF_LITHOPS and (hint := meant(key, _OURS, cutoff=0.8)) != ".":
            yield f"{_place(document, key)}: lithops.{key} is not known{hint}"
    for key in document.data:
        yield from _note_of_top(document, key)


def _note_of_top(document: Document, key: Any) -> Iterator[str]:
    name = str(key)
    if name in READ_SECTIONS:
        return
    if name in KNOWN_SECTION_KEYS and name != "local":
        home = next((entry.home for entry in KEYS if name in entry.home or any(name in p for p in entry.places)), ())
        yield f"{_place(document, key)}: {name} is at the top level, where it is not read; move it to {home[0]}."
    elif name not in _SIMILAR and (close := closest(_plain(name), READ_SECTIONS, cutoff=0.85)):
        yield f"{_place(document, key)}: section {name!r} is not known; did you mean {close!r}?"


def meant(key: object, known: Any, cutoff: float = 0.6) -> str:
    """Return `; did you mean …?` for a misspelled key, or a period."""
    name = _plain(str(key))
    if ALIASES.get(name) in known:
        return f"; did you mean {ALIASES[name]!r}?"
    close = closest(name, sorted(known), cutoff=cutoff)
    return f"; did you mean {close!r}?" if close else "."


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")


def _place(document: Document, key: object) -> str:
    return f"{document.name}:{key.line}" if isinstance(key, Scalar) else document.name
