"""Bad requests get AWS's error code, HTTP status and words, and change nothing."""

from __future__ import annotations

import io
import json
import os
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

Create = Callable[..., dict[str, Any]]
Zip = Callable[..., bytes]

INVALID = "InvalidParameterValueException"
MALFORMED = "ValidationException"
REGION_LAYER = "arn:aws:lambda:us-east-1:123456789012:layer"


def env(**variables: str) -> dict[str, Any]:
    return {"Environment": {"Variables": variables}}


BAD_CONFIGURATIONS: dict[str, tuple[dict[str, Any], str, str]] = {
    "unknown runtime": (
        {"Runtime": "python9.9"},
        INVALID,
        "Value python9.9 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [",
    ),
    "retired runtime": (
        {"Runtime": "python3.7"},
        INVALID,
        "The runtime parameter of python3.7 is no longer supported for creating or updating AWS Lambda functions.",
    ),
    "role is no ARN": (
        {"Role": "r1"},
        MALFORMED,
        "1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular "
        "expression pattern: arn:(aws[a-zA-Z-]*)?:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+",
    ),
    "role does not exist": (
        {"Role": "arn:aws:iam::123456789012:role/nobody"},
        INVALID,
        "The role defined for the function cannot be assumed by Lambda.",
    ),
    "time-out too long": (
        {"Timeout": 901},
        MALFORMED,
        "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: "
        "Member must have value less than or equal to 900",
    ),
    "memory too large": (
        {"MemorySize": 10_241},
        MALFORMED,
        "Value '10241' at 'memorySize' failed to satisfy constraint: "
        "Member must have value less than or equal to 10240",
    ),
    "/tmp too large": (
        {"EphemeralStorage": {"Size": 10_241}},
        MALFORMED,
        "Value '10241' at 'ephemeralStorage.size' failed to satisfy constraint: "
        "Member must have value less than or equal to 10240",
    ),
    "two violations": (
        {"Timeout": 901, "Handler": "has blanks"},
        MALFORMED,
        "2 validation errors detected: ",
    ),
    "variables over 4 KB": (
        env(LARGE="x" * 4096),
        INVALID,
        'because the environment variables you have provided exceeded the 4KB limit. String measured: {"LARGE":"xxx',
    ),
    "variable name": (
        env(**{"1st": "secret-value"}),
        MALFORMED,
        "Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: "
        "[Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+",
    ),
    "reserved variable": (
        env(AWS_REGION="eu-west-1", FINE="1"),
        INVALID,
        "contains reserved keys that are currently not supported for modification. "
        "Reserved keys used in this request: AWS_REGION",
    ),
    "six layers": (
        {"Layers": [f"{REGION_LAYER}:layer{number}:1" for number in range(6)]},
        INVALID,
        "Cannot reference more than 5 layers.",
    ),
    "one layer twice": (
        {"Layers": [f"{REGION_LAYER}:same:1", f"{REGION_LAYER}:same:2"]},
        INVALID,
        "Two different versions of the same layer are not allowed to be referenced in the same function. "
        f"{REGION_LAYER}:same:1 and {REGION_LAYER}:same:2 are versions of the same layer.",
    ),
    "unknown layer": (
        {"Layers": [f"{REGION_LAYER}:nowhere:1"]},
        INVALID,
        f"Layer version {REGION_LAYER}:nowhere:1 does not exist.",
    ),
    "layer elsewhere": (
        {"Layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:far:1"]},
        INVALID,
        "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
    ),
    "layer without version": (
        {"Layers": [f"{REGION_LAYER}:bare"]},
        MALFORMED,
        f"Value '[{REGION_LAYER}:bare]' at 'layers' failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must have length less than or equal to 2048, Member must have length greater than or equal to 1, ",
    ),
    "SnapStart needs Python 3.12": (
        {"Runtime": "python3.11", "SnapStart": {"ApplyOn": "PublishedVersions"}},
        INVALID,
        "python3.11 is not supported for SnapStart enabled functions.",
    ),
    "SnapStart option": (
        {"SnapStart": {"ApplyOn": "Always"}},
        MALFORMED,
        "Value 'Always' at 'snapStart.applyOn' failed to satisfy constraint: "
        "Member must satisfy enum value set: [PublishedVersions, None]",
    ),
    "log level of text": (
        {"LoggingConfig": {"LogFormat": "Text", "SystemLogLevel": "WARN"}},
        INVALID,
        'LogLevel is not supported when LogFormat is set to "Text".',
    ),
}

BAD_CREATIONS: dict[str, tuple[dict[str, Any], str, str]] = {
    **BAD_CONFIGURATIONS,
    "long name": (
        {"FunctionName": "a" * 65},
        INVALID,
        f"1 validation error detected: Value '{'a' * 65}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64",
    ),
    "odd name": ({"FunctionName": "no spaces"}, MALFORMED, "Value 'no spaces' at 'functionName' failed to satisfy"),
    "two architectures": (
        {"Architectures": ["x86_64", "arm64"]},
        MALFORMED,
        "Value '[x86_64, arm64]' at 'architectures' failed to satisfy constraint: "
        "Member must have length less than or equal to 1",
    ),
    "unknown architecture": (
        {"Architectures": ["X86_64"]},
        MALFORMED,
        "Value '[X86_64]' at 'architectures' failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must satisfy enum value set: [x86_64, arm64], Member must not be null]",
    ),
    "no zip": (
        {"Code": {"ZipFile": b"this is no zip"}},
        INVALID,
        "Could not unzip uploaded file. Please check your file, then try to upload again.",
    ),
    "empty zip": ({"Code": {"ZipFile": b"PK\5\6" + bytes(18)}}, INVALID, "Uploaded file must be a non-empty zip"),
    "no source": ({"Code": {}}, INVALID, "Please provide a source for function code."),
    "no bucket": (
        {"Code": {"S3Bucket": "control-no-such-bucket", "S3Key": "key"}},
        INVALID,
        "Error occurred while GetObject. S3 Error Code: NoSuchBucket. "
        "S3 Error Message: The specified bucket does not exist",
    ),
}


@pytest.mark.parametrize(("change", "code", "text"), BAD_CREATIONS.values(), ids=BAD_CREATIONS.keys())
def test_bad_functions_are_not_created(
    lam: Any, definition: dict[str, Any], change: dict[str, Any], code: str, text: str
) -> None:
    wanted = {**definition, **change}
    with pytest.raises(lam.exceptions.ClientError) as failure:
        lam.create_function(**wanted)
    check(failure.value, code, text)
    with pytest.raises(lam.exceptions.ResourceNotFoundException):
        lam.get_function(FunctionName=definition["FunctionName"])


@pytest.mark.parametrize(("change", "code", "text"), BAD_CONFIGURATIONS.values(), ids=BAD_CONFIGURATIONS.keys())
def test_bad_updates_change_nothing(lam: Any, create: Create, change: dict[str, Any], code: str, text: str) -> None:
    name = create()["FunctionName"]
    before = lam.get_function_configuration(FunctionName=name)
    with pytest.raises(lam.exceptions.ClientError) as failure:
        lam.update_function_configuration(FunctionName=name, **change)
    check(failure.value, code, text)
    del before["ResponseMetadata"]
    after = lam.get_function_configuration(FunctionName=name)
    assert {key: after[key] for key in before} == before


def check(failure: Any, code: str, text: str, status: int = 400) -> None:
    assert failure.response["Error"]["Code"] == code
    assert text in failure.response["Error"]["Message"]
    assert failure.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_runtime_and_handler_are_mandatory(lam: Any, definition: dict[str, Any]) -> None:
    del definition["Handler"]
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="Runtime and Handler are mandatory"):
        lam.create_function(**definition)


def test_a_role_that_lambda_may_not_assume(local_aws: Any, lam: Any, create: Create) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    iam = local_aws.client("iam")
    role = iam.create_role(RoleName="control-for-ec2", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="cannot be assumed by Lambda"):
        create(Role=role)


def test_values_of_variables_stay_out_of_messages(lam: Any, create: Create) -> None:
    with pytest.raises(lam.exceptions.ClientError) as failure:
        create(**env(**{"1st": "secret-value"}))
    assert "secret-value" not in str(failure.value)


def test_zip_over_50_mb(lam: Any, create: Create) -> None:
    with pytest.raises(lam.exceptions.ClientError) as failure:
        create(Code={"ZipFile": bytes(52_428_801)})
    check(failure.value, "RequestEntityTooLargeException", "Zipped size must be smaller than 52428800 bytes", 413)


def deflated(size: int) -> bytes:
    """A small zip of one large file."""
    sink = io.BytesIO()
    with (
        zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("zeros", "w") as file,
    ):
        for _ in range(size // 1_000_000):
            file.write(bytes(1_000_000))
    return sink.getvalue()


def test_unzipped_size_of_code_and_layers(lam: Any, create: Create, new_name: Callable[[], str]) -> None:
    with pytest.raises(lam.exceptions.ClientError) as failure:
        create(Code={"ZipFile": deflated(263_000_000)})
    check(failure.value, INVALID, "Unzipped size must be smaller than 262144000 bytes")
    half = deflated(140_000_000)
    layer = lam.publish_layer_version(LayerName=new_name(), Content={"ZipFile": half})["LayerVersionArn"]
    together = (
        "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. "
        "The actual size is 280000000 bytes."
    )
    with pytest.raises(lam.exceptions.ClientError) as failure:
        create(Code={"ZipFile": half}, Layers=[layer])
    check(failure.value, INVALID, together)
    name = create(Layers=[layer])["FunctionName"]
    with pytest.raises(lam.exceptions.ClientError) as failure:
        lam.update_function_code(FunctionName=name, ZipFile=half)
    check(failure.value, INVALID, together)


def test_a_damaged_zip(lam: Any, create: Create, zipped: Zip) -> None:
    package = bytearray(zipped({"app.py": "x" * 100}))
    package[60] ^= 255
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="Could not unzip uploaded file"):
        create(Code={"ZipFile": bytes(package)})


@pytest.mark.parametrize("name", ["../outside.py", "/etc/outside.py", "inside/../../outside.py", "..\\outside.py"])
def test_a_zip_cannot_reach_outside(lam: Any, create: Create, zipped: Zip, name: str) -> None:
    with pytest.raises(lam.exceptions.InvalidParameterValueException, match="Could not unzip uploaded file"):
        create(Code={"ZipFile": zipped({name: "x = 1"})})


def signed(local_aws: Any, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any], str]:
    """Send what boto3 would refuse to send."""
    credentials = boto3.Session(local_aws.access_key_id, local_aws.secret_access_key).get_credentials()
    request = AWSRequest(method, f"{local_aws.endpoint_url}{path}", data=body)
    SigV4Auth(credentials, "lambda", local_aws.region).add_auth(request)
    plain = urllib.request.Request(request.url, body, dict(request.headers), method=method)
    try:
        with urllib.request.urlopen(plain, timeout=60) as answer:
            return answer.status, json.load(answer), ""
    except urllib.error.HTTPError as failure:
        with failure:
            return failure.code, json.load(failure), failure.headers["x-amzn-ErrorType"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/2015-03-31/functions", b"{not json", 400, "InvalidRequestContentException"),
        ("POST", "/2015-03-31/functions", b"[]", 400, "SerializationException"),
        ("POST", "/2015-03-31/functions", b'{"FunctionName": 7}', 400, "SerializationException"),
        (
            "POST",
            "/2015-03-31/functions",
            b'{"FunctionName": "x", "Code": {"ZipFile": "%"}}',
            400,
            "SerializationException",
        ),
        ("POST", "/2015-03-31/functions", b"{}", 400, "ValidationException"),
        ("GET", "/2015-03-31/functions?MaxItems=many", b"", 400, "SerializationException"),
        ("GET", "/2015-03-31/functions?MaxItems=0", b"", 400, "ValidationException"),
        ("GET", "/2015-03-31/functions?Marker=%C3%BC", b"", 400, "InvalidParameterValueException"),
        ("GET", "/2015-03-31/nothing", b"", 404, "UnknownOperationException"),
        ("PATCH", "/2015-03-31/functions", b"", 404, "UnknownOperationException"),
    ],
)
def test_what_no_sdk_would_send(local_aws: Any, method: str, path: str, body: bytes, status: int, code: str) -> None:
    assert signed(local_aws, method, path, body)[::2] == (status, code)


def test_missing_members_are_named(local_aws: Any) -> None:
    _, body, _ = signed(local_aws, "POST", "/2015-03-31/functions", b"{}")
    assert body["message"].startswith("3 validation errors detected: Value null at 'functionName' failed to satisfy")


def test_unknown_members_are_ignored(local_aws: Any, lam: Any, create: Create) -> None:
    name = create()["FunctionName"]
    path = f"/2015-03-31/functions/{name}/configuration"
    status, body, _ = signed(local_aws, "PUT", path, b'{"Timeout": 8, "Invented": {"x": 1}, "Handler": null}')
    assert (status, body["Timeout"], body["Handler"]) == (200, 8, "app.handler")


def test_errors_have_a_request_id(lam: Any) -> None:
    with pytest.raises(lam.exceptions.ResourceNotFoundException) as failure:
        lam.get_function(FunctionName=f"control-{os.urandom(4).hex()}")
    response = failure.value.response
    assert response["Type"] == "User"
    assert len(response["ResponseMetadata"]["RequestId"]) == 36
