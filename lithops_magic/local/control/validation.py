"""Lambda's own rules for functions that botocore's model lacks, or states too loosely."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.model import ServiceModel

from lithops_magic.local.control import runtimes
from lithops_magic.local.control.archives import UNZIPPED_LIMIT, Archive
from lithops_magic.local.model import Request, ServiceError
from lithops_magic.local.names import Account, invalid

ZIP_LIMIT = 52_428_800
"""Bytes of a zip sent in the request itself (Lambda's quotas page: 50 MB)."""

REQUEST_LIMIT = 70_167_211
"""Bytes of a whole request that carries code."""

NAME_LIMIT = 64
LAYER_LIMIT = 5
TAG_LIMIT = 50
ENVIRONMENT_LIMIT = 4096
"""Bytes of all variables together, as JSON."""

LIMITS: Mapping[str, Mapping[str, Any]] = {
    "Runtime": {"shown": runtimes.OFFERED},
    # Worded as the service does; newer models have more kinds, and bounds.
    "TaggableResource": {
        "pattern": r"arn:(aws[a-zA-Z-]*):lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:"
        r"[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|layer:([a-zA-Z0-9-_]+)|code-signing-config:csc-[a-z0-9]{17}|"
        r"event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}|"
        r"capacity-provider:[a-zA-Z0-9-_]+)"
    },
    "RecursiveLoop": {"enum": ["Terminate", "Allow"]},
    # The model's maxima are those of Lambda Managed Instances; these are Lambda's own (quotas page).
    "Timeout": {"max": 900},
    "MemorySize": {"max": 10_240},
    "EphemeralStorageSize": {"max": 10_240},
    # In AWS's messages this one has no brackets around it.
    "LayerVersionArn": {
        "pattern": r"(arn:(aws[a-zA-Z-]*)?:lambda:(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:layer:"
        r"[a-zA-Z0-9-_]+:[0-9]+)|(arn:[a-zA-Z0-9-]+:lambda:::awslayer:[a-zA-Z0-9-_]+)"
    },
    # AWS's access point ids have 17 digits, moto's 8; EFS is asked whether it exists.
    "FileSystemArn": {"pattern": r"arn:aws[a-zA-Z-]*:elasticfilesystem:[a-z0-9-]+:\d{12}:access-point/fsap-[a-f0-9]+"},
}

FUNCTION_LIMITS: Mapping[str, Mapping[str, Any]] = {**LIMITS, "Runtime": {"enum": None}}
"""An unknown runtime of a function is checked separately (`check_runtime`)."""

LIST_LIMITS: Mapping[str, Mapping[str, Any]] = {**LIMITS, "Runtime": {"shown": runtimes.KNOWN}}
"""For lists of layers, where AWS's messages list more runtimes."""

RETIRED_RUNTIMES = frozenset(
    {
        *("nodejs", "nodejs4.3", "nodejs6.10", "nodejs8.10", "nodejs10.x", "nodejs12.x", "nodejs14.x"),
        *("nodejs16.x", "nodejs4.3-edge", "java8", "python2.7", "python3.6", "python3.7", "python3.8"),
        *("python3.9", "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "dotnet6", "go1.x"),
        *("ruby2.5", "ruby2.7", "provided"),
    }
)
"""Runtimes in which functions can no longer be created (Lambda's runtimes page, November 2026)."""

RESERVED_VARIABLES = frozenset(
    {
        *("_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"),
        *(
            "AWS_EXECUTION_ENV",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
            "AWS_LAMBDA_FUNCTION_NAME",
            "AWS_LAMBDA_FUNCTION_VERSION",
        ),
        *("AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME"),
        *("AWS_LAMBDA_RUNTIME_API", "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN"),
        *("LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT"),
    }
)
"""Variables that Lambda sets itself (developer guide, "Defined runtime environment variables")."""


IMAGE_URI = re.compile(r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[^:@\s]+[:@]\S+")


def check_request_size(request: Request, operation: str) -> None:
    if len(request.body) > REQUEST_LIMIT:
        raise too_large(f"Request must be smaller than {REQUEST_LIMIT} bytes for the {operation} operation")


def check_zip_size(data: bytes) -> None:
    if len(data) > ZIP_LIMIT:
        raise too_large(f"Zipped size must be smaller than {ZIP_LIMIT} bytes")


def check_new_name(name_or_arn: str) -> None:
    if len(name_or_arn) > NAME_LIMIT and not name_or_arn.startswith("arn:"):
        raise invalid(
            f"1 validation error detected: Value '{name_or_arn}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {NAME_LIMIT}"
        )


def check_runtime(runtime: str, model: ServiceModel) -> None:
    if runtime not in model.shape_for("Runtime").metadata["enum"]:
        raise invalid(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(runtimes.OFFERED)}] or be a valid ARN"
        )
    if runtime in RETIRED_RUNTIMES:
        raise invalid(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        )


def check_package(params: Mapping[str, Any]) -> None:
    """Require a zip with runtime and handler, or a container image without."""
    image = params["Code"].get("ImageUri")
    if params.get("PackageType", "Zip") == "Zip":
        if image:
            raise invalid("Please don't provide ImageUri when creating a function with packageType Zip.")
        if not (params.get("Runtime") and params.get("Handler")):
            raise invalid(
                "Runtime and Handler are mandatory parameters for functions created with deployment packages."
            )
    elif params.get("Runtime") or params.get("Handler") or params.get("Layers"):
        raise invalid(
            "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
        )
    elif not image:
        raise invalid("Please provide ImageUri when creating a function with packageType Image.")
    elif not IMAGE_URI.fullmatch(image):
        raise invalid(f"Source image {image} is not valid. Provide a valid source image.")


def check_environment(variables: Mapping[str, str]) -> None:
    problem = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided"
    )
    reserved = sorted(RESERVED_VARIABLES.intersection(variables))
    if reserved:
        raise invalid(
            f"{problem} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > ENVIRONMENT_LIMIT:
        raise invalid(f"{problem} exceeded the 4KB limit. String measured: {measured}")


def check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > TAG_LIMIT:
        raise invalid("Number of tags exceeds resource tag limit.")


def check_layer_arns(arns: Sequence[str], account: Account) -> None:
    """Allow at most five layers, all from this region, and no layer twice."""
    if len(arns) > LAYER_LIMIT:
        raise invalid(f"Cannot reference more than {LAYER_LIMIT} layers.")
    seen: dict[str, str] = {}
    for arn in arns:
        region = arn.split(":")[3]
        if region and region != account.region:
            where = f"Layers are expected to be in region {account.region}."
            raise invalid(f"Layers are not in the same region as the function. {where}")
        layer = arn.rpartition(":")[0]
        if layer in seen:
            raise invalid(
                "Two different versions of the same layer are not allowed to be referenced in the same function. "
                f"{seen[layer]} and {arn} are versions of the same layer."
            )
        seen[layer] = arn


def check_unzipped(code: Archive, layers: Sequence[Archive]) -> None:
    size = code.unzipped + sum(layer.unzipped for layer in layers)
    if size > UNZIPPED_LIMIT:
        raise invalid(
            f"Function code combined with layers exceeds the maximum allowed size of {UNZIPPED_LIMIT} bytes. "
            f"The actual size is {size} bytes."
        )


def check_snap_start(configuration: Mapping[str, Any]) -> None:
    """Require Python 3.12 or later, no EFS, and at most 512 MB of `/tmp` for SnapStart."""
    if configuration["SnapStart"]["ApplyOn"] != "PublishedVersions":
        return
    if configuration["PackageType"] == "Image":
        raise invalid("SnapStart is not supported for functions created from container images.")
    python = re.fullmatch(r"python3\.(\d+)", configuration["Runtime"])
    if python and int(python[1]) < 12:
        raise invalid(f"{configuration['Runtime']} is not supported for SnapStart enabled functions.")
    if configuration.get("FileSystemConfigs"):
        raise invalid("EFS is not supported for SnapStart enabled functions.")
    if configuration["EphemeralStorage"]["Size"] > 512:
        raise invalid("Ephemeral storage greater than 512 MB is not supported for SnapStart enabled functions.")


def check_weights(weights: Mapping[str, float], version: str) -> None:
    """Allow an alias to route a share of its invocations to one other published version."""
    if len(weights) > 1:
        raise invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
    for number in weights:
        if number == version:
            raise invalid(
                f"Invalid function version {version}. "
                f"Function version {version} is already included in routing configuration."
            )
        if version == "$LATEST":
            raise invalid("$LATEST is not supported for an alias pointing to more than 1 version", typed=False)


def too_large(message: str) -> ServiceError:
    return ServiceError("RequestEntityTooLargeException", message, status=413)
