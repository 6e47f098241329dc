"""Checks a request against the constraints of botocore's model and words violations as AWS does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from lithops_magic.local.model import ServiceError

Limits = Mapping[str, Mapping[str, Any]]

NULLABLE = frozenset({"SubnetId", "SecurityGroupId"})
"""Members of lists that AWS would let be null."""

LAST = frozenset({"CompatibleArchitectures"})
"""Members that AWS's messages name last; all others are in the model's order."""
PLAIN = frozenset({"Runtime"})
"""Members of lists whose own constraint AWS names."""


def check(params: Mapping[str, Any], shape: StructureShape, limits: Limits) -> None:
    """Raise AWS's `ValidationException` naming every violation.

    Parameters
    ----------
    limits
        Constraints by shape name that replace the model's own; None lifts one. ``shown`` is what messages list of
        an ``enum``.
    """
    violations = list(_structure(params, shape, "", limits))
    if violations:
        plural = "s" if len(violations) > 1 else ""
        text = f"{len(violations)} validation error{plural} detected: {'; '.join(violations)}"
        raise ServiceError("ValidationException", text)


def _structure(value: Mapping[str, Any], shape: StructureShape, path: str, limits: Limits) -> Iterator[str]:
    for name in shape.required_members:
        if name not in value:
            yield f"Value null at '{_join(path, name)}' failed to satisfy constraint: Member must not be null"
    for name in sorted(shape.members, key=LAST.__contains__):
        if name in value:
            yield from _member(value[name], shape.members[name], _join(path, name), limits)


def _member(value: Any, shape: Shape, path: str, limits: Limits) -> Iterator[str]:
    if isinstance(shape, StructureShape):
        yield from _structure(value, shape, path, limits)
        return
    for text in _broken(value, shape, limits):
        yield _violation(value, shape, path, text)
    if isinstance(shape, ListShape):
        yield from _list_members(value, shape, path, limits)
    elif isinstance(shape, MapShape):
        yield from _map_members(value, shape, path, limits)


def _list_members(value: list[Any], shape: ListShape, path: str, limits: Limits) -> Iterator[str]:
    if isinstance(shape.member, StructureShape):
        for index, item in enumerate(value, start=1):
            yield from _structure(item, shape.member, f"{path}.{index}.member", limits)
    elif broken := [text for item in value for text in _broken(item, shape.member, limits)]:
        whole = f"Member must satisfy constraint: [{_all(shape.member, limits)}]"
        yield _violation(value, shape, path, broken[0] if shape.member.name in PLAIN else whole)


def _map_members(value: Mapping[str, Any], shape: MapShape, path: str, limits: Limits) -> Iterator[str]:
    if any(any(_broken(key, shape.key, limits)) for key in value):
        texts = ", ".join(_texts(shape.key, limits))
        yield _violation(value, shape, path, f"Map keys must satisfy constraint: [{texts}]")
    if any(any(_broken(item, shape.value, limits)) for item in value.values()):
        yield _violation(value, shape, path, f"Map value must satisfy constraint: [{_all(shape.value, limits)}]")


def _broken(value: Any, shape: Shape, limits: Limits) -> Iterator[str]:
    """The constraints a scalar's value, or a collection's size, breaks."""
    for name, bound in _constraints(shape, limits).items():
        if not _holds(name, bound, value):
            yield _wording(name, bound, shape, limits)


def _holds(name: str, bound: Any, value: Any) -> bool:
    if name == "enum":
        return value in bound
    if name == "pattern":
        return _pattern(bound).fullmatch(value) is not None
    size = value if isinstance(value, int | float) else len(value)
    return bool(size <= bound if name == "max" else size >= bound)


def _wording(name: str, bound: Any, shape: Shape, limits: Limits) -> str:
    if name == "enum":
        shown = limits.get(shape.name, {}).get("shown", bound)
        return f"Member must satisfy enum value set: [{', '.join(shown)}]"
    if name == "pattern":
        return f"Member must satisfy regular expression pattern: {bound}"
    noun = "value" if shape.type_name in ("integer", "long", "double", "float") else "length"
    return f"Member must have {noun} {'less' if name == 'max' else 'greater'} than or equal to {bound}"


def _constraints(shape: Shape, limits: Limits) -> dict[str, Any]:
    stated = {**shape.metadata, **limits.get(shape.name, {})}
    return {key: stated[key] for key in ("max", "min", "pattern", "enum") if stated.get(key) is not None}


def _all(shape: Shape, limits: Limits) -> str:
    texts = _texts(shape, limits)
    return ", ".join(texts if shape.name in NULLABLE else [*texts, "Member must not be null"])


def _texts(shape: Shape, limits: Limits) -> list[str]:
    return [_wording(name, bound, shape, limits) for name, bound in _constraints(shape, limits).items()]


def _violation(value: Any, shape: Shape, path: str, text: str) -> str:
    # AWS leaves sensitive values, such as environment variables, out of its messages.
    shown = "Value" if shape.metadata.get("sensitive") else f"Value '{_show(value)}'"
    return f"{shown} at '{path}' failed to satisfy constraint: {text}"


def _show(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(str(item) for item in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}={item}" for key, item in value.items()) + "}"
    return str(value)


def _join(path: str, name: str) -> str:
    camel = name[0].lower() + name[1:]
    return f"{path}.{camel}" if path else camel


@cache
def _pattern(text: str) -> re.Pattern[str]:
    # Python's re has no Unicode categories; these are the three that the model uses.
    for category, python in ((r"\p{L}", r"\w"), (r"\p{N}", r"\d"), (r"\p{Z}", r"\s")):
        text = text.replace(category, python)
    return re.compile(text)
