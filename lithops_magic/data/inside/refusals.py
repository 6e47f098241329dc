"""Explains S3's refusals, in tasks and the notebook, in one line: the bucket, the missing action, and what to do."""

from __future__ import annotations

import os
from typing import Any

DENIED = ("AccessDenied", "403", "401", "Forbidden", "AllAccessDisabled")
ELSEWHERE = ("PermanentRedirect", "301", "307", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_ACTIONS = {
    "read": ("s3:GetObject", "read", "--bucket"),
    "list": ("s3:ListBucket", "listed", "--bucket"),
    "write": ("s3:PutObject", "written", "--writable-bucket"),
    "delete": ("s3:DeleteObject", "deleted", "--writable-bucket"),
}
"""For each verb: the IAM action, the participle, and the option of `role create` that allows it."""
_JOB_BUCKET = "lithops-magic-"
"""Prefix of job buckets, which `role create` must not be advised to open: they hold what is sent to tasks."""
_OPEN = "lithops-magic/jobs/"
"""Key prefix open to tasks in the job bucket: `aws.storage.names.RESULTS`, which is not shipped with this folder."""
_NO_REASON = ("", "Access Denied", "Forbidden")


def code_of(error: object) -> str:
    """Return S3's error code; for a failed transfer, that of its cause."""
    return str(_said(error).get("Code", ""))


def refusal(error: object, address: str, bucket: str, verb: str) -> str | None:
    """Return what to tell the user; None if S3 does not refuse the account, the bucket or the region.

    Parameters
    ----------
    address
        What it is about, such as ``s3://bucket/key``.
    verb
        What was to be done: read, list, write or delete.
    """
    code = code_of(error)
    if code == "NoSuchBucket":
        return f"there is no bucket {bucket}"
    place = _region(error)
    # For a bucket in another region, this is all that S3 answers to a HEAD request.
    if code in ELSEWHERE or (code == "400" and place):
        return (
            f"the bucket {bucket} is in {place or 'another region'}, and S3 does not forward the request: "
            f"set region{f': {place}' if place else ''} for the job (or its endpoint), or copy {address}"
        )
    return _denied(address, bucket, verb, str(_said(error).get("Message", ""))) if code in DENIED else None


def _denied(address: str, bucket: str, verb: str, message: str) -> str:
    action, done, flag = _ACTIONS[verb]
    reason = "" if message in _NO_REASON else f". S3 says: {' '.join(message.split())}"
    if "AWS_LAMBDA_FUNCTION_NAME" not in os.environ:
        return (
            f"{address} may not be {done}: you need {action} (`lithops-magic policy user {flag} {bucket}` prints it), "
            f"and the bucket's policy must not deny it{reason}"
        )
    if bucket.startswith(_JOB_BUCKET):
        return (
            f"the execution role may not {verb} {address} ({action}): `lithops-magic role create` brings the role up "
            f"to date, and of the job bucket it opens what begins with {_OPEN}{reason}"
        )
    return (
        f"the execution role may not {verb} {address}: `lithops-magic role create {flag} {bucket}` allows it, and "
        f"`lithops-magic policy execution {flag} {bucket}` prints what another role needs ({action}){reason}"
    )


def _said(error: object) -> dict[str, Any]:
    return dict(_response(error).get("Error", {}))


def _region(error: object) -> str:
    headers = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("x-amz-bucket-region") or _said(error).get("Region", ""))


def _response(error: object) -> dict[str, Any]:
    for each in (error, getattr(error, "__context__", None)):
        found = getattr(each, "response", None)
        if isinstance(found, dict):
            return found
    return {}
