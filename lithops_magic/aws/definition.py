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


def creation_request(settings: Settings, role: str, package: bytes) -> CreateFunctionRequestTypeDef:
    """Return the parameters of CreateFunction; their hash is part of the function's name."""
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
    request["FunctionName"] = start_of_names(settings) + hashlib.sha256(definition.encode()).hexdigest()[:FUNCTION_HASH]
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
