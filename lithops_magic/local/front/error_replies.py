"""Words the front end's own errors as the addressed service would: XML or JSON, with that service's error code."""

from __future__ import annotations

import json
import re
from uuid import uuid4
from xml.sax.saxutils import escape

from lithops_magic.local.front.credentials import Reason
from lithops_magic.local.model import Request, Response

PROTOCOLS = {
    "s3": "rest-xml",
    "iam": "query",
    "sts": "query",
    "ec2": "ec2",
    "logs": "json",
    "lambda": "rest-json",
    "elasticfilesystem": "rest-json",
}
"""Wire protocol by signing name (botocore's service models, `metadata.protocol`)."""

_JSON_CODES = {
    Reason.UNSIGNED: "MissingAuthenticationTokenException",
    Reason.MALFORMED: "IncompleteSignatureException",
    Reason.UNKNOWN_KEY: "UnrecognizedClientException",
    Reason.BAD_TOKEN: "UnrecognizedClientException",
    Reason.MISMATCH: "InvalidSignatureException",
    Reason.SKEWED: "InvalidSignatureException",
    Reason.EXPIRED: "InvalidSignatureException",
    Reason.PAYLOAD: "InvalidSignatureException",
}
_QUERY_CODES = {
    Reason.UNSIGNED: "MissingAuthenticationToken",
    Reason.MALFORMED: "IncompleteSignature",
    Reason.UNKNOWN_KEY: "InvalidClientTokenId",
    Reason.BAD_TOKEN: "InvalidClientTokenId",
    Reason.MISMATCH: "SignatureDoesNotMatch",
    Reason.SKEWED: "RequestTimeTooSkewed",
    Reason.EXPIRED: "RequestExpired",
    Reason.PAYLOAD: "SignatureDoesNotMatch",
}
_CODES = {
    "json": _JSON_CODES,
    "rest-json": _JSON_CODES,
    "query": _QUERY_CODES,
    "ec2": dict.fromkeys(Reason, "AuthFailure") | {Reason.SKEWED: "RequestExpired"},
    "rest-xml": {
        Reason.UNSIGNED: "AccessDenied",
        Reason.MALFORMED: "AuthorizationHeaderMalformed",
        Reason.UNKNOWN_KEY: "InvalidAccessKeyId",
        Reason.BAD_TOKEN: "InvalidToken",
        Reason.MISMATCH: "SignatureDoesNotMatch",
        Reason.SKEWED: "RequestTimeTooSkewed",
        Reason.EXPIRED: "AccessDenied",
        Reason.PAYLOAD: "XAmzContentSHA256Mismatch",
    },
}


def protocol_of(request: Request, service: str | None) -> str:
    """Return the wire protocol of `service`, or for an unsigned request the likeliest one."""
    if service in PROTOCOLS:
        return PROTOCOLS[service]
    if "x-amz-target" in request.headers:
        return "json"
    if re.match(r"/\d{4}-\d\d-\d\d/", request.path):
        return "rest-json"
    is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    return "query" if is_form and request.path == "/" else "rest-xml"


def refusal(reason: Reason, request: Request, service: str | None) -> Response:
    """Return the 403 for a request that is not correctly signed."""
    protocol = protocol_of(request, service)
    return error(protocol, 403, _CODES[protocol][reason], reason.value)


def error(protocol: str, status: int, code: str, message: str) -> Response:
    """Return an error response in the shape of `protocol`."""
    request_id = str(uuid4())
    headers = {"x-amzn-requestid": request_id}
    if protocol in ("json", "rest-json"):
        headers |= {"content-type": "application/json", "x-amzn-errortype": code}
        return Response(status, json.dumps({"__type": code, "message": message}).encode(), headers)
    fault = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    identifier = f"<RequestId>{request_id}</RequestId>"
    bodies = {
        "rest-xml": f"<Error>{fault}{identifier}</Error>",
        "ec2": f"<Response><Errors><Error>{fault}</Error></Errors><RequestID>{request_id}</RequestID></Response>",
        "query": f"<ErrorResponse><Error><Type>Sender</Type>{fault}</Error>{identifier}</ErrorResponse>",
    }
    headers["content-type"] = "application/xml"
    return Response(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{bodies[protocol]}'.encode(), headers)
