"""Parameters of `lithops.multiprocessing`, and the executor configured by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lithops_magic.lithops import config, inside

LITHOPS_CONFIG = "LITHOPS_CONFIG"
"""Arguments of a `FunctionExecutor`, instead of the default configuration."""
STREAM_STDOUT = "STREAM_STDOUT"
"""Ignored: a process's output is printed here when it is joined."""
ENV_VARS = "ENV_VARS"
"""Environment variables of the calls."""
EXPORT_EXECUTION_DETAILS = "EXPORT_EXECUTION_DETAILS"
"""Ignored: `FunctionExecutor.plot` and `job_summary` show what calls took."""
PIPE_CONNECTION_TYPE, REDIS_EXPIRY_TIME = "PIPE_CONNECTION_TYPE", "REDIS_EXPIRY_TIME"
"""Ignored: there is no Redis."""

_DEFAULTS: Mapping[str, Any] = {
    LITHOPS_CONFIG: {},
    STREAM_STDOUT: False,
    REDIS_EXPIRY_TIME: 3600,
    PIPE_CONNECTION_TYPE: "redislist",
    ENV_VARS: {},
    EXPORT_EXECUTION_DETAILS: False,
}
_parameters: dict[str, Any] = dict(_DEFAULTS)


def set_parameter(key: str, value: Any) -> None:
    """Set a parameter."""
    if key not in _parameters:
        raise KeyError(key)
    _parameters[key] = value


def get_parameter(parameter: str) -> Any:
    """Return a parameter."""
    return _parameters[parameter]


def update(config_dic: Mapping[str, Any] | None = None, **configurations: Any) -> None:
    """Set several parameters."""
    _parameters.update(config_dic or {}, **configurations)


def reset() -> None:
    """Reset all parameters."""
    _parameters.update(_DEFAULTS)


def executor(max_workers: int | None = None, **options: Any) -> Any:
    """Return an executor for the parameters and the given `options` of `LambdaExecutor`."""
    given = dict(_parameters[LITHOPS_CONFIG] or {})
    if given and "settings" not in options:
        named = given.pop("backend", None), given.pop("config", None), given.pop("config_file", None)
        backend, data, file = named
        options["settings"] = config.read(data, file, given, backend)[1]
    variables = {name: str(value) for name, value in (_parameters[ENV_VARS] or {}).items()}
    env = {**variables, **(options.pop("env", None) or {})}
    return inside.executor(max_workers, **options, **({"env": env} if env else {}))
