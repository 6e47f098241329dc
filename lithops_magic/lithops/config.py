"""Translates the Lithops configuration that a program passes to an executor into our settings."""

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
"""The backends of Lithops that we implement; localhost is the local AWS."""


def read(
    config: Mapping[str, Any] | None,
    config_file: str | os.PathLike[str] | None,
    overwrite: Mapping[str, Any],
    backend: str | None,
) -> tuple[dict[str, Any], Settings]:
    """Return the configuration in Lithops' form and as our settings.

    Parameters
    ----------
    config, config_file
        Override the configuration file; a `config` replaces it entirely, as in Lithops.
    overwrite
        Keys of the backend's section.
    backend
        Overrides the configured backend.

    Raises
    ------
    ConfigError
        It names another cloud's backend, or has a value of the wrong type.
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
    # None, not False: whether an account is configured decides.
    local = named == "localhost" or None
    if backend is not None:
        section["backend"] = backend
    data["lithops"] = section
    data["aws_lambda"] = {**(data.get("aws_lambda") or {}), **overwrite}
    settings = interpret(parse(json.dumps(data), "the executor's configuration"), local=local)
    for problem in settings.unread:
        warnings.warn(problem, stacklevel=3)
    section.setdefault("backend", "localhost" if settings.local else "aws_lambda")
    # Also under the backend's own name.
    data.setdefault(section["backend"], data["aws_lambda"])
    # A task has no configuration: the bucket travels as an environment variable of its function.
    if named_bucket := bucket(data):
        settings = settings.replace(env_vars={**settings.env_vars, inside.BUCKET: named_bucket})
    return data, settings


def _plain(value: Any) -> Any:
    """Convert a parsed file to Python values: the parser keeps every scalar as text."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    kind = str(getattr(value, "tag", "")).rpartition(":")[2]
    if kind == "bool":
        return value.lower() in ("true", "yes", "on")
    for number in {"int": (int,), "float": (float,)}.get(kind, ()):
        # Not 007: an account number may have leading zeros.
        with suppress(ValueError):
            return number(value) if str(number(value)) == value else str(value)
    return str(value) if isinstance(value, str) else value


def bucket(data: Mapping[str, Any]) -> str | None:
    """Return the default bucket for cloud objects and files, if one is configured."""
    named: str | None = (data.get("aws_s3") or {}).get("storage_bucket")
    return named


def load_yaml_config(config_filename: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of a configuration file."""
    from lithops_magic.config.find import find

    document = find(config_filename)
    return {} if document is None else _plain(document.data)


def load_config(config_file: str | os.PathLike[str] | None = None, log: bool = True) -> dict[str, Any]:
    """Return the content of that configuration file, or of the one that is found."""
    return read(None, config_file, {}, None)[0]


def default_config(
    config_file: str | os.PathLike[str] | None = None,
    config_data: Mapping[str, Any] | None = None,
    config_overwrite: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the configuration as an executor uses it."""
    overwrite = (config_overwrite or {}).get("backend") or {}
    return read(config_data, config_file, overwrite, None)[0]


def default_storage_config(
    config_file: str | os.PathLike[str] | None = None,
    config_data: Mapping[str, Any] | None = None,
    backend: str | None = None,
) -> dict[str, Any]:
    """Return the configuration as a `Storage` uses it."""
    return read(config_data, config_file, {}, None)[0]


def extract_storage_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `storage_config` argument of a `Storage`."""
    return {"backend": "aws_s3", "aws_s3": dict(config.get("aws_s3") or {})}
