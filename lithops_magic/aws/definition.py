"""What defines the function, and the name that follows from it: any difference makes another function."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import sys
from typing import TYPE_CHECKING

from lithops_magic.config import Settings
from lithops_magic.errors import ConfigError

if TYPE_CHECKING:
    from types_boto3_lambda.type_defs import CreateFunctionRequestTypeDef

PREFIX = "lithops-magic"
HANDLER = "lithops_magic_worker.handler.handle"
DESCRIPTION = "Runs tasks of lithops-magic"
_COPY = re.compile(re.escape(DESCRIPTION) + r": copy \d+ of (\S+)")
"""The description of a further function with the same definition."""
OWNER_TAG = "lithops-magic"
"""Its value is the namespace; only functions that have it are ever deleted."""
CREATOR_TAG = "lithops-magic:created-by"

FUNCTION_HASH, LAYER_HASH = 12, 16
"""Hexadecimal digits that the names of functions and layers end with."""

RUNTIME_MINORS = (11, 12, 13, 14)
"""Python 3 minors that AWS Lambda runs and lets one create functions for (AWS's runtimes page, November 2026)."""


def runtime_name(version: tuple[int, int] = sys.version_info[:2]) -> str:
    """Return Lambda's runtime of this Python: pickled functions only load in the same minor version.

    Raises
    ------
    ConfigError
        AWS Lambda does not run this version.
    """
    major, minor = version
    if major != 3 or minor not in RUNTIME_MINORS:
        choices = ", ".join(f"3.{choice}" for choice in RUNTIME_MINORS)
        raise ConfigError(
            f"This notebook runs Python {major}.{minor}, which AWS Lambda does not. Use a kernel with one of {choices}."
        )
    return f"python{major}.{minor}"


def creation_request(settings: Settings, role: str, package: bytes, copy: int = 0) -> CreateFunctionRequestTypeDef:
    """Return the parameters of CreateFunction; their hash is part of the function's name.

    Parameters
    ----------
    copy
        Which of the further functions with the same definition, from 1; 0 is the function itself. The name of each is
        as long as any, so that whatever a user's policy permits for the function it permits for its copies.
    """
    request: CreateFunctionRequestTypeDef = {
        "FunctionName": "",
        "Description": DESCRIPTION,
        "Role": role,
        "Code": {},
        "MemorySize": settings.memory,
        "Timeout": settings.timeout,
        "Architectures": [settings.architecture],  # type: ignore[list-item]
        "EphemeralStorage": {"Size": settings.ephemeral_storage},
        "Environment": {"Variables": dict(settings.env_vars)},
        "Tags": {**settings.user_tags, OWNER_TAG: owner(settings)},
        # Costs are read from the REPORT line, which the JSON format does not have.
        "LoggingConfig": {"LogFormat": "Text"},
    }
    if settings.subnets:
        request["VpcConfig"] = {
            "SubnetIds": list(settings.subnets),
            "SecurityGroupIds": list(settings.security_groups),
        }
    if settings.efs:
        request["FileSystemConfigs"] = [
            {"Arn": entry.access_point, "LocalMountPath": entry.mount_path} for entry in settings.efs
        ]
    _add_code(request, settings, package)
    # Bytes are no JSON; their hash says as much.
    described = {**request, "Code": settings.runtime or hashlib.sha256(package).hexdigest()}
    definition = json.dumps(described, sort_keys=True)
    request["FunctionName"] = _name(settings, definition)
    if copy:
        request["Description"] = f"{DESCRIPTION}: copy {copy} of {request['FunctionName']}"
        request["FunctionName"] = _name(settings, f"{definition}#{copy}")
    # Who was first to need the function does not make it another one.
    request["Tags"] = {**request["Tags"], CREATOR_TAG: _creator()}
    return request


def _add_code(request: CreateFunctionRequestTypeDef, settings: Settings, package: bytes) -> None:
    """Add what is run: our zip on AWS's runtime with layers, or an image that has its own of all three."""
    if settings.runtime is not None:
        request["PackageType"] = "Image"
        request["Code"] = {"ImageUri": settings.runtime}
        return
    request["Runtime"] = runtime_name()  # type: ignore[typeddict-item]
    request["Handler"] = HANDLER
    request["Code"] = {"ZipFile": package}
    if settings.layers:
        request["Layers"] = list(settings.layers)


def original(name: str, description: str) -> str | None:
    """Return the name of the function that this one is a copy of, or its own; None if it is none of ours."""
    if description == DESCRIPTION:
        return name
    found = _COPY.fullmatch(description)
    return found[1] if found else None


def _name(settings: Settings, definition: str) -> str:
    return start_of_names(settings) + hashlib.sha256(definition.encode()).hexdigest()[:FUNCTION_HASH]


def start_of_names(settings: Settings) -> str:
    """Return what the names of this namespace's functions have before their hash."""
    return f"{PREFIX}-{settings.namespace}-" if settings.namespace else f"{PREFIX}-"


def owner(settings: Settings) -> str:
    """Return the value of the tag that marks this namespace's functions."""
    return settings.namespace or "default"


def _creator() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        name = ""
    return re.sub(r"[^\w.@-]", "-", name)[:256] or "unknown"
