"""Lithops' configuration, as a program gives it to an executor, as our settings."""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Mapping
from typing import Any

from lithops_magic.config import Settings
from lithops_magic.config.document import parse
from lithops_magic.config.find import chosen_backend, find, interpret
from lithops_magic.errors import ConfigError

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
    data: dict[str, Any] = {}
    if config is not None:
        data = copy.deepcopy(dict(config))
    elif (document := find(config_file)) is not None:
        data = copy.deepcopy(dict(document.data))
    section = dict(data.get("lithops") or {})
    named = backend or chosen_backend(parse(json.dumps(data), "config"))
    if named is not None and named not in BACKENDS:
        raise ConfigError(
            f"the back-end {named!r} is not AWS Lambda: here programs run on {' and '.join(BACKENDS)}; for others use "
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
    return data, settings
