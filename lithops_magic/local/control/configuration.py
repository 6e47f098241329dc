"""A function's configuration: its defaults, what a request changes, and every check on the way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lithops_magic.local.control.archives import Archive
from lithops_magic.local.control.context import Context, Result, unsupported
from lithops_magic.local.control.registry import Function, Version
from lithops_magic.local.control.validation import (
    check_environment,
    check_layer_arns,
    check_runtime,
    check_snap_start,
)
from lithops_magic.local.model import ServiceError
from lithops_magic.local.names import invalid

MEMBERS = frozenset(
    {
        *("Role", "Handler", "Runtime", "Description", "Timeout", "MemorySize", "EphemeralStorage", "Environment"),
        *("KMSKeyArn", "DeadLetterConfig", "TracingConfig", "FileSystemConfigs", "Architectures", "PackageType"),
    }
)
"""Members stored as received; layers, network, logging and SnapStart are completed first."""

UNSUPPORTED = (
    *("AcceleratorConfig", "CapacityProviderConfig", "CodeSigningConfigArn", "DurableConfig"),
    *("ImageConfig", "PublishTo", "RuntimeConfig", "TenancyConfig"),
)

# Lambda's list operations leave out each function's current state.
_NOT_LISTED = ("State", "LastUpdateStatus", "RuntimeVersionConfig")


def defaults(name: str) -> Result:
    """Lambda's defaults for a new function."""
    return {
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "TracingConfig": {"Mode": "PassThrough"},
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
    }


async def configure(
    context: Context, current: Mapping[str, Any], params: Mapping[str, Any]
) -> tuple[Result, list[Archive] | None]:
    """The configuration after a request, fully checked, and the layers' archives if the request names layers."""
    refuse_unsupported(params)
    changed = {key: value for key, value in params.items() if key in MEMBERS}
    configuration = {**current, **changed, **_completed(current, params)}
    if "Runtime" in params:
        check_runtime(params["Runtime"], context.model)
    if "Environment" in params:
        check_environment(params["Environment"].get("Variables", {}))
    layers = _layers(context, params["Layers"]) if "Layers" in params else None
    if layers is not None:
        sizes = zip(params["Layers"], layers, strict=True)
        configuration["Layers"] = [{"Arn": arn, "CodeSize": layer.size} for arn, layer in sizes]
    if "Role" in params:
        if params["Role"].split(":")[4] != context.account.account:
            raise ServiceError("AccessDeniedException", "Cross-account pass role is not allowed.", status=403)
        await context.platform.check_role(params["Role"])
    if "VpcConfig" in params:
        configuration["VpcConfig"] = await _network(context, params["VpcConfig"])
    if "VpcConfig" in params or "FileSystemConfigs" in params:
        await _check_file_systems(context, configuration)
    check_snap_start(configuration)
    return configuration, layers


def refuse_unsupported(params: Mapping[str, Any]) -> None:
    for member in UNSUPPORTED:
        if params.get(member):
            raise unsupported(member)


def describe(context: Context, function: Function, version: Version, qualifier: str | None = None) -> Result:
    """AWS's FunctionConfiguration; `qualifier` is what the ARN ends in."""
    configuration = version.configuration
    status = context.registry.pending_states.status(function.name, version.number)
    settled = {} if "State" in status else {"LastUpdateStatus": "Successful"}
    return {
        "FunctionName": function.name,
        "FunctionArn": context.account.function_arn(function.name, qualifier),
        "Version": version.number,
        "CodeSize": version.code.size,
        "CodeSha256": version.code.sha256,
        "LastModified": version.modified,
        "RevisionId": version.revision,
        "State": "Active",
        **settled,
        **status,
        **_runtime_version(context, configuration),
        # AWS omits empty lists.
        **{key: value for key, value in configuration.items() if value != []},
    }


def _runtime_version(context: Context, configuration: Mapping[str, Any]) -> Result:
    if "Runtime" not in configuration:
        return {}
    runtime = hashlib.sha256(configuration["Runtime"].encode()).hexdigest()
    arn = f"arn:aws:lambda:{context.account.region}::runtime:{runtime}"
    return {"RuntimeVersionConfig": {"RuntimeVersionArn": arn}}


def list_entry(context: Context, function: Function, version: Version, *, qualified: bool) -> Result:
    entry = describe(context, function, version, version.number if qualified else None)
    return {key: value for key, value in entry.items() if key not in _NOT_LISTED}


def change_of(configuration: Mapping[str, Any], code: Archive) -> str:
    """Return a digest of what distinguishes versions: publishing the same again creates no new one."""
    return hashlib.sha256(json.dumps([configuration, code.digest], sort_keys=True).encode()).hexdigest()


def _completed(current: Mapping[str, Any], params: Mapping[str, Any]) -> Result:
    completed: Result = {}
    if "SnapStart" in params:
        completed["SnapStart"] = {**current["SnapStart"], **params["SnapStart"]}
    if "LoggingConfig" in params:
        completed["LoggingConfig"] = _logging(current["LoggingConfig"], params["LoggingConfig"])
    return completed


def _logging(current: Mapping[str, str], asked: Mapping[str, str]) -> Result:
    merged = {**current, **asked}
    if merged["LogFormat"] == "JSON":
        return {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", **merged}
    if {"ApplicationLogLevel", "SystemLogLevel"}.intersection(asked):
        raise invalid(
            'LogLevel is not supported when LogFormat is set to "Text". '
            'Remove LogLevel from your request or change the LogFormat to "JSON" and try again.'
        )
    return {"LogFormat": "Text", "LogGroup": merged["LogGroup"]}


def _layers(context: Context, arns: list[str]) -> list[Archive]:
    check_layer_arns(arns, context.account)
    return [_layer(context, arn) for arn in arns]


def _layer(context: Context, arn: str) -> Archive:
    try:
        layer = context.registry.layer_version(arn)
    except ServiceError as error:
        user = f"arn:aws:iam::{context.account.account}:root"
        error.message = (
            f"User: {user} is not authorized to perform: lambda:GetLayerVersion on resource: {arn} "
            "because no resource-based policy allows the lambda:GetLayerVersion action"
        )
        raise
    if layer is None:
        raise invalid(f"Layer version {arn} does not exist.")
    return layer.content


async def _network(context: Context, asked: Mapping[str, Any]) -> Result:
    subnets, groups = asked.get("SubnetIds", []), asked.get("SecurityGroupIds", [])
    if bool(subnets) != bool(groups):
        raise invalid("SubnetIds and SecurityIds must coexist or be both empty list.")
    vpc = await context.platform.vpc_of(subnets, groups) if subnets else ""
    dual_stack = asked.get("Ipv6AllowedForDualStack", False)
    return {"SubnetIds": subnets, "SecurityGroupIds": groups, "VpcId": vpc, "Ipv6AllowedForDualStack": dual_stack}


async def _check_file_systems(context: Context, configuration: Mapping[str, Any]) -> None:
    subnets = configuration.get("VpcConfig", {}).get("SubnetIds", [])
    for file_system in configuration.get("FileSystemConfigs", []):
        if not subnets:
            raise invalid(
                f"Function must be configured to execute in a VPC to reference access point {file_system['Arn']}. "
                "Please update the function configuration to include VPC subnets and security groups."
            )
        await context.platform.check_access_point(file_system["Arn"], subnets)
