"""Maps sections and keys of Lithops' configuration to settings, for both reading and writing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from lithops_magic.config.document import BOOL, INT, Document, Scalar
from lithops_magic.config.settings import FileSystem

DEFAULT_RUNTIME = "default"
"""Lithops' name for the runtime that it builds itself."""

KeyPath = tuple[str, ...]
"""Section, key and, for `vpc`, the key inside it."""


@dataclass(frozen=True)
class YamlKey:
    """Where a field of Settings is found: the first place with a value wins."""

    field: str
    read: Callable[[Document, KeyPath, Any], Any]
    places: tuple[KeyPath, ...]
    home: KeyPath
    """Where a new value is written."""


def lookup(data: Mapping[str, Any], place: KeyPath) -> Any:
    """Return the value at `place`; None if there is none."""
    value: Any = data
    for key in place:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _text(document: Document, place: KeyPath, value: Any) -> str:
    if not isinstance(value, Scalar) or not value:
        raise document.fail(value, f"{'.'.join(place)} must be text.")
    return str(value)


def _runtime(document: Document, place: KeyPath, value: Any) -> str | None:
    text = _text(document, place, value)
    return None if text == DEFAULT_RUNTIME else text


def _integer(document: Document, place: KeyPath, value: Any) -> int:
    if not isinstance(value, Scalar) or value.tag != INT:
        raise document.fail(value, f"{'.'.join(place)} must be a whole number without quotes, not {_show(value)}.")
    try:
        # By YAML's rules, which also allow 0x10 and 1_024.
        return int(yaml.safe_load(value))
    except (ValueError, TypeError, yaml.YAMLError):
        raise document.fail(value, f"{'.'.join(place)} must be a whole number, not {_show(value)}.") from None


def _boolean(document: Document, place: KeyPath, value: Any) -> bool:
    if not isinstance(value, Scalar) or value.tag != BOOL:
        raise document.fail(value, f"{'.'.join(place)} must be true or false, not {_show(value)}.")
    found = yaml.safe_load(value)
    if not isinstance(found, bool):
        raise document.fail(value, f"{'.'.join(place)} must be true or false, not {_show(value)}.")
    return found


def _list(document: Document, place: KeyPath, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, Scalar) for item in value):
        raise document.fail(value, f"{'.'.join(place)} must be a list of strings.")
    return tuple(str(item) for item in value)


def _pairs(document: Document, place: KeyPath, value: Any) -> dict[str, str]:
    """Read a mapping or, as Lithops' documentation also allows, a list of ``{name, value}``."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list) and all(isinstance(item, dict) and set(item) == {"name", "value"} for item in value):
        items = [(item["name"], item["value"]) for item in value]
    else:
        raise document.fail(value, f"{'.'.join(place)} must be a mapping, or a list of entries with name and value.")
    for name, content in items:
        if not isinstance(name, Scalar) or not isinstance(content, Scalar | None):
            raise document.fail(name, f"{'.'.join(place)}: {_show(name)} must be text.")
    return {str(name): str(content or "") for name, content in items}


def _file_systems(document: Document, place: KeyPath, value: Any) -> tuple[FileSystem, ...]:
    entries: list[Any] = value if isinstance(value, list) else [None]
    for entry in entries:
        if not isinstance(entry, dict) or not all(isinstance(v, Scalar) for v in entry.values()):
            raise document.fail(value, f"{'.'.join(place)} must be a list of entries with access_point and mount_path.")
        if missing := {"access_point", "mount_path"} - set(entry):
            raise document.fail(
                next(iter(entry.values()), None), f"an entry of {'.'.join(place)} has no {min(missing)}."
            )
    return tuple(FileSystem(str(entry["access_point"]), str(entry["mount_path"])) for entry in entries)


def _show(value: object) -> str:
    if not isinstance(value, Scalar):
        return "a list or mapping"
    return repr(str(value) if len(value) <= 60 else f"{value[:57]}...")


def _key(
    field: str,
    read: Callable[[Document, KeyPath, Any], Any],
    *names: str,
    home: str = "aws_lambda",
    below: KeyPath = (),
    old: tuple[KeyPath, ...] = (),
) -> YamlKey:
    """Return where a field is, under `names` in Lithops' order of preference; new values get the last of them."""
    names = names or (field,)
    # Lithops merges the `aws` section into `aws_lambda`; the specific section wins.
    places = [(section, *below, name) for section in ("aws_lambda", "aws") for name in names]
    return YamlKey(field, read, (*places, *old), (home, *below, names[-1]))


KEYS: tuple[YamlKey, ...] = (
    # Within a section, Lithops prefers region_name to region; region is the current name.
    _key("region", _text, "region_name", "region"),
    _key("execution_role", _text),
    _key("memory", _integer, "runtime_memory", old=(("serverless", "runtime_memory"),)),
    _key("timeout", _integer, "runtime_timeout", old=(("serverless", "runtime_timeout"),)),
    _key("ephemeral_storage", _integer),
    _key("architecture", _text),
    _key("runtime", _runtime),
    _key("max_workers", _integer, old=(("lithops", "workers"),)),
    _key("worker_processes", _integer),
    _key("env_vars", _pairs),
    _key("user_tags", _pairs),
    _key("subnets", _list, below=("vpc",)),
    _key("security_groups", _list, below=("vpc",)),
    _key("efs", _file_systems),
    _key("layers", _list),
    _key("namespace", _text),
    _key("account_id", _text),
    _key("profile", _text),
    _key("endpoint_url", _text),
    _key("access_key_id", _text, home="aws"),
    _key("secret_access_key", _text, home="aws"),
    _key("session_token", _text, home="aws"),
)

LOCAL: KeyPath = ("aws_lambda", "local")

UNUSED = {
    "invoke_pool_threads": "the number of connections follows max_workers",
    "remote_invoker": "tasks are always sent from here",
    "runtime_include_function": "functions are sent with their tasks",
    "user_id": "names of functions come from a hash of their configuration",
}
"""Keys of Lithops' aws_lambda section that have no meaning here, and why."""

KNOWN_SECTION_KEYS = frozenset(
    {key for entry in KEYS for section, key, *_ in entry.places if section in ("aws_lambda", "aws")}
    | {LOCAL[1], *UNUSED}
)


def read_fields(document: Document) -> Iterator[tuple[str, Any]]:
    """Yield field and value of every setting in the document.

    Raises
    ------
    ConfigError
        A value has the wrong type; the message names file and line.
    """
    for key in KEYS:
        for place in key.places:
            value = lookup(document.data, place)
            if value is not None:
                yield key.field, key.read(document, place, value)
                break


def read_local(document: Document) -> bool | None:
    """Return the value of the key `local`; None if it is absent."""
    value = lookup(document.data, LOCAL)
    return None if value is None else _boolean(document, LOCAL, value)
