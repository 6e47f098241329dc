"""Tells which API operation a request is, from botocore's service models, so that requests can be counted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from botocore.loaders import Loader

from lithops_magic.local.front.error_replies import PROTOCOLS
from lithops_magic.local.model import Request

_MODELS = {"elasticfilesystem": "efs"}
"""botocore's model name where it differs from the signing name."""


@dataclass(frozen=True, slots=True)
class _Route:
    operation: str
    path: re.Pattern[str]
    query: Mapping[str, str]
    """Query keys the operation requires; an empty value matches any."""
    headers: frozenset[str]
    weight: tuple[int, int]
    """How specific the route is: required keys, then literal characters of the path."""

    def matches(self, request: Request) -> bool:
        return (
            self.path.fullmatch(request.path) is not None
            and all(key in request.query and value in ("", *request.query[key]) for key, value in self.query.items())
            and all(name in request.headers for name in self.headers)
        )


def counted_name(service: str, request: Request) -> str:
    """Return `s3:PutObject`, with the service's name as in botocore; `Unknown` for an operation its model lacks."""
    return f"{_MODELS.get(service, service)}:{_operation(service, request)}"


def _operation(service: str, request: Request) -> str:
    protocol = PROTOCOLS.get(service, "")
    if protocol in ("query", "ec2"):
        fields = parse_qs(request.body.decode("latin-1"))
        return fields.get("Action", request.query.get("Action", ("Unknown",)))[0]
    if "x-amz-target" in request.headers:
        return request.headers["x-amz-target"].rpartition(".")[2]
    if not protocol:
        return "Unknown"
    candidates = _routes(service).get(request.method, ())
    return next((route.operation for route in candidates if route.matches(request)), "Unknown")


@cache
def _routes(service: str) -> dict[str, list[_Route]]:
    """Return the service's routes by HTTP method, most specific first."""
    model: dict[str, Any] = Loader().load_service_model(_MODELS.get(service, service), "service-2")
    routes: dict[str, list[_Route]] = {}
    for name, described in model["operations"].items():
        members = model["shapes"].get(described.get("input", {}).get("shape"), {})
        routes.setdefault(described["http"]["method"], []).append(
            _route(name, described["http"]["requestUri"], members)
        )
    for same_method in routes.values():
        # Many of S3's operations share a path and differ only in the query keys they require.
        same_method.sort(key=lambda route: route.weight, reverse=True)
    return routes


def _route(name: str, uri: str, shape: Mapping[str, Any]) -> _Route:
    template, _, literal_query = uri.partition("?")
    query = {key: value for key, _, value in (pair.partition("=") for pair in literal_query.split("&")) if key}
    required = [shape["members"][member] for member in shape.get("required", ())]
    query |= {member["locationName"]: "" for member in required if member.get("location") == "querystring"}
    headers = frozenset(member["locationName"].lower() for member in required if member.get("location") == "header")
    pieces = re.split(r"(\{\w+\+?\})", template.rstrip("/"))
    pattern = "".join(_pattern(piece) for piece in pieces)
    literals = sum(len(piece) for piece in pieces if not piece.startswith("{"))
    return _Route(name, re.compile(pattern + "/?", re.DOTALL), query, headers, (len(query) + len(headers), literals))


def _pattern(piece: str) -> str:
    if not piece.startswith("{"):
        return re.escape(piece)
    return ".+" if piece.endswith("+}") else "[^/]+"
