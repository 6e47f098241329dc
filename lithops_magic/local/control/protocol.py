"""Lambda's REST protocol in both directions, driven by botocore's own service model."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from lithops_magic.local.control.validation import check_request_size
from lithops_magic.local.model import Request, Response, ServiceError

_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "float": (int, float),
    "boolean": (bool,),
}


@dataclass(frozen=True, slots=True)
class _Route:
    path: re.Pattern[str]
    labels: tuple[str, ...]
    query: frozenset[tuple[str, str]]
    operation: OperationModel


class Protocol:
    """Maps requests to operations and parameters, and results and errors to responses."""

    def __init__(self) -> None:
        self.service = ServiceModel(Loader().load_service_model("lambda", "service-2"), "lambda")
        self._routes: dict[str, list[_Route]] = {}
        for name in self.service.operation_names:
            operation = self.service.operation_model(name)
            self._routes.setdefault(operation.http["method"], []).append(_route(operation))
        for routes in self._routes.values():
            # Routes with the same path differ in the query parameters they require: the most specific one has to be
            # tried first.
            routes.sort(key=lambda route: -len(route.query))

    def parse(self, request: Request) -> tuple[OperationModel, dict[str, Any]]:
        """Return a request's operation and parameters; unknown members are ignored, as on AWS."""
        for route in self._routes.get(request.method, ()):
            match = route.path.fullmatch(request.path)
            if match and all(value in request.query.get(key, ()) for key, value in route.query):
                check_request_size(request, route.operation.name)
                labels = dict(zip(route.labels, map(unquote, match.groups()), strict=True))
                return route.operation, _parameters(route.operation.input_shape, request, labels)
        text = f"No Lambda operation has this address: {request.method} {request.path}"
        raise ServiceError("UnknownOperationException", text, status=404)

    def reply(self, operation: OperationModel, result: Mapping[str, Any]) -> Response:
        status = int(operation.http.get("responseCode", 200))
        headers = {"Content-Type": "application/json", "x-amzn-RequestId": str(uuid.uuid4())}
        body: dict[str, Any] = {}
        members = operation.output_shape.members if operation.output_shape else {}
        for name, value in result.items():
            member = members[name]
            if member.serialization.get("location") == "statusCode":
                status = value
            elif value is not None:
                body[name] = _encode(value, member)
        return Response(status, json.dumps(body).encode() if members and status != 204 else b"", headers)

    def error(self, error: ServiceError) -> Response:
        """AWS's JSON error; members and status come from the model where it knows the code."""
        shape = self.service.shape_for(error.code) if error.code in self.service.shape_names else None
        status, body = error.status, dict(error.members)
        if isinstance(shape, StructureShape):
            modeled = shape.metadata.get("error", {})
            status = modeled.get("httpStatusCode", status)
            if error.typed:
                body["Type"] = "User" if status < 500 else "Service"
            # The model spells it in both ways.
            body["Message" if "Message" in shape.members else "message"] = error.message
        else:
            body["message"] = error.message
        headers = {
            "Content-Type": "application/json",
            "x-amzn-RequestId": str(uuid.uuid4()),
            "x-amzn-ErrorType": error.code,
            **error.headers,
        }
        return Response(status, json.dumps(body).encode(), headers)


def _route(operation: OperationModel) -> _Route:
    path, _, query = operation.http["requestUri"].partition("?")
    labels = tuple(label.rstrip("+") for label in re.findall(r"{([^}]+)}", path))
    pieces = re.split(r"({[^}]+})", path.rstrip("/"))
    pattern = "".join(_label_pattern(piece) if piece.startswith("{") else re.escape(piece) for piece in pieces)
    pairs = frozenset((key, value) for key, _, value in (item.partition("=") for item in query.split("&") if item))
    return _Route(re.compile(f"{pattern}/?"), labels, pairs, operation)


def _label_pattern(label: str) -> str:
    return "(.+)" if label.endswith("+}") else "([^/]+)"


def _parameters(shape: StructureShape | None, request: Request, labels: Mapping[str, str]) -> dict[str, Any]:
    if shape is None:
        return {}
    params: dict[str, Any] = {}
    payload = shape.serialization.get("payload")
    document = {} if payload else _json_object(request.body)
    for name, member in shape.members.items():
        if name == payload:
            params[name] = request.body
        elif member.serialization.get("location"):
            value = _located(member, request, labels, name)
            if value is not None:
                params[name] = value
        elif document.get(name) is not None:
            params[name] = _decode(document[name], member)
    return params


def _located(member: Shape, request: Request, labels: Mapping[str, str], name: str) -> Any:
    location, key = member.serialization["location"], member.serialization.get("name", name)
    if location == "uri":
        return _from_text(labels[key], member)
    if location == "header":
        text = request.headers.get(key.lower())
        return None if text is None else _from_text(text, member)
    values = request.query.get(key, ())
    if isinstance(member, ListShape):
        return list(values) or None
    return _from_text(values[-1], member) if values else None


def _from_text(text: str, shape: Shape) -> Any:
    if shape.type_name in ("integer", "long"):
        try:
            return int(text)
        except ValueError:
            raise ServiceError("SerializationException", f"'{text}' can not be converted to an Integer") from None
    return text == "true" if shape.type_name == "boolean" else text


def strict_json(text: bytes) -> Any:
    """Parse JSON as the standard defines it: without NaN and the infinities, which Python accepts."""
    return json.loads(text, parse_constant=_not_json)


def _not_json(name: str) -> float:
    raise ValueError(f"Non-standard token '{name}'")


def _json_object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        document = strict_json(body)
    except ValueError as error:
        text = f"Could not parse request body into json: {error}"
        raise ServiceError("InvalidRequestContentException", text) from None
    if not isinstance(document, dict):
        raise ServiceError("SerializationException", "Start of structure or map found where not expected.")
    return document


def _decode(value: Any, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        _expect(value, dict, shape)
        found = ((name, value.get(name), member) for name, member in shape.members.items())
        return {name: _decode(item, member) for name, item, member in found if item is not None}
    if isinstance(shape, ListShape):
        _expect(value, list, shape)
        return [_decode(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        _expect(value, dict, shape)
        return {key: _decode(item, shape.value) for key, item in value.items()}
    if shape.type_name == "blob":
        return _decode_blob(value)
    if shape.type_name in ("double", "float") and type(value) is int:
        return float(value)
    for kind in _SCALARS.get(shape.type_name, ()):
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
    raise _unexpected(value, shape)


def _expect(value: Any, kind: type, shape: Shape) -> None:
    if not isinstance(value, kind):
        raise _unexpected(value, shape)


def _unexpected(value: Any, shape: Shape) -> ServiceError:
    text = f"{type(value).__name__.upper()}_VALUE cannot be converted to {shape.type_name.title()}"
    return ServiceError("SerializationException", text)


def _decode_blob(value: Any) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise ServiceError("SerializationException", "Blob is not valid base64.") from None


def _encode(value: Any, shape: Shape) -> Any:
    if isinstance(shape, StructureShape):
        return {key: _encode(item, shape.members[key]) for key, item in value.items() if item is not None}
    if isinstance(shape, ListShape):
        return [_encode(item, shape.member) for item in value]
    if isinstance(shape, MapShape):
        return {key: _encode(item, shape.value) for key, item in value.items()}
    return value.timestamp() if isinstance(value, datetime) else value
