"""Why a function is unusable: one sentence for each of AWS's reason codes."""

from __future__ import annotations

from collections.abc import Mapping

MOUNT = "Look at the mount targets, the security groups (port 2049) and the role's elasticfilesystem rights."
KEY = "Look at the KMS key and the role's rights to it."
REASONS: Mapping[str, str] = {
    "EniLimitExceeded": "The VPC has no network interface left: delete unused ones or ask AWS for more.",
    "InsufficientRolePermissions": "Give the role the policy AWSLambdaVPCAccessExecutionRole.",
    "SubnetOutOfIPAddresses": "A subnet has no free address: use larger subnets.",
    "InvalidSubnet": "Correct subnets.",
    "InvalidSecurityGroup": "Correct security_groups.",
    "DisallowedByVpcEncryptionControl": "The VPC requires encryption that AWS Lambda cannot provide: use another VPC.",
    "KMSKeyAccessDenied": KEY,
    "KMSKeyNotFound": KEY,
    "InvalidStateKMSKey": KEY,
    "DisabledKMSKey": KEY,
    "EFSIOError": MOUNT,
    "EFSMountConnectivityError": MOUNT,
    "EFSMountFailure": MOUNT,
    "EFSMountTimeout": MOUNT,
    "ImageDeleted": "Push the image again, or name another one in runtime.",
    "ImageAccessDenied": "Let lambda.amazonaws.com read the image (the ECR repository's policy).",
    "InvalidImage": "Build the image for the function's architecture, with --provenance=false.",
    "InvalidRuntime": "Use a Python that AWS Lambda runs.",
    "InvalidConfiguration": "Look at the function in the AWS console.",
    "InvalidZipFileException": "Run it again: the function is redeployed.",
    "ServiceQuotaExceededException": "Ask AWS for a larger quota.",
    "EC2RequestLimitExceeded": "EC2 throttles these calls: try again in a minute.",
    "InternalError": "AWS has an internal fault: try again in a minute.",
    "DependencyError": "AWS has an internal fault: try again in a minute.",
    "FunctionError.InitTimeout": "The layers take too long to start.",
    "FunctionError.RuntimeInitError": "A layer keeps Python from starting.",
    "FunctionError.ExtensionInitError": "An extension in a layer does not start.",
    "FunctionError.TooManyExtensions": "The layers hold more than 10 extensions.",
    "FunctionError.InvalidEntryPoint": "The image's ENTRYPOINT is not there: use AWS's base image.",
    "FunctionError.PermissionDenied": "A file in a layer is not executable.",
    "FunctionError.InitResourceExhausted": "Starting takes more memory than the function has.",
}
"""AWS Lambda's StateReasonCodes, and what to do about them."""


def advice(reason_code: str) -> str:
    """Return what to do about a reason code; empty if AWS's own text must suffice."""
    family = reason_code.partition(".")[0]
    return REASONS.get(reason_code) or REASONS.get(family, "")
