"""The function's definition, and its name, which contains a hash: any difference creates another function."""

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
"""Matches the description of a copy with the same definition."""
OWNER_TAG = "lithops-magic"
"""The tag's value is the namespace; only functions with this tag are ever deleted."""
CREATOR_TAG = "lithops-magic:created-by"

FUNCTION_HASH, LAYER_HASH = 12, 16
"""Hexadecimal digits at the end of the names of functions and layers. Policies and listings match their exact number:
after a change, neither knows what was deployed before."""

RUNTIME_MINORS = (11, 12, 13, 14)
"""Python 3 minor versions for which AWS Lambda allows new functions (AWS's runtimes page, November 2026)."""


def runtime_name(version: tuple[int, int] = sys.version_info[:2]) -> str:
    """Return Lambda's runtime for this Python: pickled functions load only in the same minor version.

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
    """Return the parameters of CreateFunction, whose hash is part of the function's name.

    Parameters
    ----------
    copy
        Number of the copy with the same definition, from 1; 0 is the function itself. All names have the same length,
        so that a user's policy applies to copies as it does to the function.
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
        # Costs are read from the REPORT line, which exists only in the text format.
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
    # The package cannot be encoded as JSON, and its hash is equivalent.
    # Everything that the request contains by now is part of the name: any difference creates another function.
    described = {**request, "Code": settings.runtime or hashlib.sha256(package).hexdigest()}
    definition = json.dumps(described, sort_keys=True)
    request["FunctionName"] = _name(settings, definition)
    if copy:
        request["Description"] = f"{DESCRIPTION}: copy {copy} of {request['FunctionName']}"
        request["FunctionName"] = _name(settings, f"{definition}#{copy}")
    # Added after hashing: who created the function does not make it a different one.
    request["Tags"] = {**request["Tags"], CREATOR_TAG: _creator()}
    return request


def _add_code(request: CreateFunctionRequestTypeDef, settings: Settings, package: bytes) -> None:
    """Add the code: our zip on AWS's runtime with layers, or an image that contains all three."""
    if settings.runtime is not None:
        request["PackageType"] = "Image"
        request["Code"] = {"ImageUri": settings.runtime}
        return
    # Not part of a container image, which brings its own Python and handler.
    request["Runtime"] = runtime_name()  # type: ignore[typeddict-item]
    request["Handler"] = HANDLER
    request["Code"] = {"ZipFile": package}
    if settings.layers:
        request["Layers"] = list(settings.layers)


def original(name: str, description: str) -> str | None:
    """Return the name of the function that this one is a copy of, or its own; None if it is not ours."""
    if description == DESCRIPTION:
        return name
    found = _COPY.fullmatch(description)
    return found[1] if found else None


def _name(settings: Settings, definition: str) -> str:
    return start_of_names(settings) + hashlib.sha256(definition.encode()).hexdigest()[:FUNCTION_HASH]


def start_of_names(settings: Settings) -> str:
    """Return the prefix of the names of this namespace's functions."""
    return f"{PREFIX}-{settings.namespace}-" if settings.namespace else f"{PREFIX}-"


def owner(settings: Settings) -> str:
    """Return the value of the tag on this namespace's functions."""
    return settings.namespace or "default"


def _creator() -> str:
    try:
        name = getpass.getuser()
    # In a container, the user may have no name.
    except (OSError, KeyError, ImportError):
        name = ""
    return re.sub(r"[^\w.@-]", "-", name)[:256] or "unknown"
