"""Lithops' configuration, as a program gives it to an executor, as our settings; and the functions that read it."""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lithops_magic.errors import ConfigError
from lithops_magic.lithops import inside

if TYPE_CHECKING:
    from lithops_magic.config import Settings

BACKENDS = ("aws_lambda", "localhost")
"""Of Lithops, those that we stand for; localhost is the local AWS."""


def read(
    config: Mapping[str, Any] | None,
    config_file: str | os.PathLike[str] | None,
    overwrite: Mapping[str, Any],
    backend: str | None,
) -> tuple[dict[str, Any], Settings]:
    """Return the configuration as Lithops has it, and what it means here.

    Parameters
    ----------
    config, config_file
        Instead of the one that is found; a `config` replaces a file entirely, as in Lithops.
    overwrite
        Keys of the back-end's section.
    backend
        Instead of the one that it names.

    Raises
    ------
    ConfigError
        It names a back-end of another cloud, or has a value of the wrong type.
    """
    if inside.is_task():
        return inside.configuration(config, overwrite)
    from lithops_magic.config.document import parse
    from lithops_magic.config.find import chosen_backend, find, interpret

    data: dict[str, Any] = {}
    if config is not None:
        data = copy.deepcopy(dict(config))
    elif (document := find(config_file)) is not None:
        data = _plain(document.data)
    section = dict(data.get("lithops") or {})
    named = backend or chosen_backend(parse(json.dumps(data), "config"))
    if named is not None and named not in BACKENDS:
        raise ConfigError(
            f"the backend {named!r} is not AWS Lambda: here, programs run on {' and '.join(BACKENDS)}; for others, use "
            "Lithops itself."
        )
    local = named == "localhost" or None
    if backend is not None:
        section["backend"] = backend
    data["lithops"] = section
    data["aws_lambda"] = {**(data.get("aws_lambda") or {}), **overwrite}
    settings = interpret(parse(json.dumps(data), "the executor's configuration"), local=local)
    for problem in settings.unread:
        warnings.warn(problem, stacklevel=3)
    section.setdefault("backend", "localhost" if settings.local else "aws_lambda")
    # By the back-end's own name, too.
    data.setdefault(section["backend"], data["aws_lambda"])
    if named_bucket := bucket(data):
        settings = settings.replace(env_vars={**settings.env_vars, inside.BUCKET: named_bucket})
    return data, settings


def _plain(value: Any) -> Any:
    """Return what a file says as Python values: there, every scalar is the text that was written."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    kind = str(getattr(value, "tag", "")).rpartition(":")[2]
    if kind == "bool":
        return value.lower() in ("true", "yes", "on")
    for number in {"int": (int,), "float": (float,)}.get(kind, ()):
        # Not 007, which an account's number may look like.
        with suppress(ValueError):
            return number(value) if str(number(value)) == value else str(value)
    return str(value) if isinstance(value, str) else value


def bucket(data: Mapping[str, Any]) -> str | None:
    """Return the default bucket for cloud objects and files, if one is configured."""
    named: str | None = (data.get("aws_s3") or {}).get("storage_bucket")
    return named


def load_yaml_config(config_filename: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a file of the configuration says."""
    from lithops_magic.config.find import find

    document = find(config_filename)
    return {} if document is None else _plain(document.data)


def load_config(config_file: str | os.PathLike[str] | None = None, log: bool = True) -> dict[str, Any]:
    """Return what the configuration says that is found, or that file."""
    return read(None, config_file, {}, None)[0]


def default_config(
    config_file: str | os.PathLike[str] | None = None,
    config_data: Mapping[str, Any] | None = None,
    config_overwrite: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the configuration as an executor has it."""
    overwrite = (config_overwrite or {}).get("backend") or {}
    return read(config_data, config_file, overwrite, None)[0]


def default_storage_config(
    config_file: str | os.PathLike[str] | None = None,
    config_data: Mapping[str, Any] | None = None,
    backend: str | None = None,
) -> dict[str, Any]:
    """Return the configuration as a `Storage` has it."""
    return read(config_data, config_file, {}, None)[0]


def extract_storage_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a `Storage` takes as its `storage_config`."""
    return {"backend": "aws_s3", "aws_s3": dict(config.get("aws_s3") or {})}
