"""The fields' values as text: converts from and to Settings, with each field's problems; uses no widgets."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lithops_magic.config import FileSystem, Problem, Settings
from lithops_magic.notebook.form.pairs import Unreadable, read_pairs, write_pairs
from lithops_magic.notebook.parse.option_values import with_unit


@dataclass(frozen=True)
class Field:
    """One editable field of Settings."""

    name: str
    label: str
    write: Callable[[Any], str]
    read: Callable[[str, Any], Any]
    """Parses a non-empty text; also receives the previous value, because the text may not show everything."""
    hint: str = ""


@dataclass(frozen=True)
class Reading:
    """The meaning of the texts."""

    settings: Settings
    problems: Mapping[str, tuple[Problem, ...]]
    """Problems by field name, only for fields that have some."""

    def blocked(self, ignoring: Collection[str] = ()) -> str:
        """Say in one sentence what to fix first; empty if nothing."""
        names = [name for name in self.problems if name not in ignoring]
        if not names:
            return ""
        hidden = [str(problem) for name in names if name not in FIELDS for problem in self.problems[name]]
        shown = ", ".join(FIELDS[name].label for name in names if name in FIELDS)
        return " ".join([*([f"Fix before saving: {shown}."] if shown else []), *hidden])


def texts(settings: Settings) -> dict[str, str]:
    """Return the text of every field."""
    return {name: field.write(getattr(settings, name)) for name, field in FIELDS.items()}


def read(given: Mapping[str, str], base: Settings) -> Reading:
    """Parse the texts `given`, starting from `base`; untouched fields keep their exact value.

    An empty text means the default. An unreadable text is a problem, and its field keeps its value.
    """
    changes: dict[str, Any] = {}
    unreadable: dict[str, tuple[Problem, ...]] = {}
    defaults = Settings()
    for name, text in given.items():
        field, before = FIELDS[name], getattr(base, name)
        # The text may not show everything, such as a hidden secret.
        if text == field.write(before):
            continue
        try:
            changes[name] = field.read(text, before) if text.strip() else getattr(defaults, name)
        except Unreadable as error:
            unreadable[name] = (Problem(name, error.text, error.fix),)
    settings = base.replace(**changes)
    return Reading(settings, _by_field(settings, unreadable))


def differences(settings: Settings, other: Settings) -> tuple[str, ...]:
    """Return the labels of the fields that differ."""
    return tuple(field.label for name, field in FIELDS.items() if getattr(settings, name) != getattr(other, name))


def credentials(settings: Settings) -> str:
    """Describe where the credentials come from, without looking for them."""
    if settings.local:
        return "the local AWS creates its own at every start"
    if settings.access_key_id is not None:
        return f"the aws section of {settings.source}"
    if settings.profile is not None:
        return f"the AWS profile {settings.profile}"
    return "as boto3 finds them: environment, AWS profile, SSO or the machine's role"


def _by_field(settings: Settings, unreadable: Mapping[str, tuple[Problem, ...]]) -> dict[str, tuple[Problem, ...]]:
    found = dict(unreadable)
    for problem in settings.problems():
        if problem.field not in unreadable:
            found[problem.field] = (*found.get(problem.field, ()), problem)
    return {name: found[name] for name in sorted(found, key=lambda name: [*FIELDS, name].index(name))}


def _write_text(value: object) -> str:
    return "" if value is None else str(value)


def _read_text(text: str, _: object) -> str:
    return text.strip()


def _read_number(text: str, unit: str) -> int:
    if re.fullmatch(r"\s*[-+]?\d{1,12}\s*", text, re.ASCII):
        return int(text)
    with suppress(ValueError):
        return with_unit(text, unit)
    raise Unreadable(f"{text.strip()!r} is not a whole number.", "Write digits only.")


def _write_list(value: tuple[str, ...]) -> str:
    return ", ".join(value)


def _read_list(text: str, _: object) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,\s]+", text) if part)


def _write_choice(value: bool) -> str:
    return "true" if value else "false"


def _read_choice(text: str, _: object) -> bool:
    if text.strip().lower() not in ("true", "false"):
        raise Unreadable(f"{text.strip()!r} is neither true nor false.", "Write true for the local AWS.")
    return text.strip().lower() == "true"


def _write_file_systems(value: tuple[FileSystem, ...]) -> str:
    return "\n".join(f"{entry.access_point}={entry.mount_path}" for entry in value)


def _read_file_systems(text: str, _: object) -> tuple[FileSystem, ...]:
    entries = []
    for line in text.splitlines():
        point, _separator, path = (part.strip() for part in line.partition("="))
        if not point:
            raise Unreadable("A file system has no access point.", "Give its ARN, or remove the row.")
        if not path:
            raise Unreadable("A file system has no mount path.", "Give one such as /mnt/data.")
        entries.append(FileSystem(point, path))
    return tuple(entries)


def _number(name: str, label: str, hint: str, unit: str = "") -> Field:
    return Field(name, label, _write_text, lambda text, _: _read_number(text, unit), hint)


def _text(name: str, label: str, hint: str = "") -> Field:
    return Field(name, label, _write_text, _read_text, hint)


def _list(name: str, label: str, hint: str) -> Field:
    return Field(name, label, _write_list, _read_list, hint)


FIELDS: Mapping[str, Field] = {
    field.name: field
    for field in (
        Field("local", "Run on", _write_choice, _read_choice),
        _text("profile", "AWS profile", "Empty: boto3's default"),
        _text("region", "Region"),
        _text("execution_role", "Execution role", "The role that the functions assume"),
        _number("memory", "Memory", "MB; 1,769 MB is one full vCPU", "MB"),
        _number("timeout", "Timeout", "seconds per invocation", "seconds"),
        _number("ephemeral_storage", "Space in /tmp", "MB; the first 512 are free", "MB"),
        _text("architecture", "Architecture"),
        _number("max_workers", "Max. workers", "Empty: as many as the account allows"),
        _list("subnets", "Subnets", "subnet-…, separated by commas"),
        _list("security_groups", "Security groups", "sg-…, separated by commas"),
        Field("efs", "File system", _write_file_systems, _read_file_systems, "EFS or S3 Files; needs a VPC"),
        Field("env_vars", "Environment", write_pairs, read_pairs, "NAME=value, one a line"),
        Field("user_tags", "Tags", write_pairs, read_pairs, "name=value, one a line"),
        _list("layers", "Layers", "ARNs of layer versions, separated by commas"),
        _text("runtime", "Container image", "Empty: AWS's own runtime of this notebook's Python"),
        _text("namespace", "Namespace", "Keeps your functions apart from other people's"),
        _text("account_id", "Account"),
        _text("endpoint_url", "Endpoint"),
    )
}
"""In display order; the last two only in the text version."""
