"""A configuration file as text and as a tree that records each scalar's spelling and line."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lithops_magic.errors import ConfigError

NULL, BOOL, INT = "tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int"


class Scalar(str):
    """A scalar exactly as written (so that `012345670123` stays an account number), with its YAML tag and line."""

    tag: str
    line: int

    @classmethod
    def of(cls, node: yaml.ScalarNode) -> Scalar:
        scalar = cls(node.value)
        scalar.tag = node.tag
        scalar.line = node.start_mark.line + 1
        return scalar


class Repeated(yaml.YAMLError):
    """A mapping has a duplicate key."""

    def __init__(self, key: str, first: int, second: int) -> None:
        super().__init__(f"{key!r} is on line {first} and again on line {second}; keep one of them")


MAX_BYTES = 10_000_000
"""Maximum file size in bytes: a larger file is not a configuration, and would take minutes to parse."""


class Loader(yaml.SafeLoader):
    """Constructs Scalars instead of numbers and dates, and distinguishes the position of an alias from its anchor's."""

    # Not CSafeLoader, although it is faster: libyaml composes nodes in C, without this class's `compose_node`.

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Reject a duplicate key: YAML would use the last one and ignore the others."""
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            line = key.start_mark.line + 1
            # An aliased mapping was checked where its anchor is.
            if key.value in seen and not getattr(node, "is_alias", False):
                raise Repeated(key.value, seen[key.value], line)
            seen[key.value] = line
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if not self.check_event(yaml.AliasEvent):
            return super().compose_node(parent, index)
        event = self.peek_event()  # type: ignore[no-untyped-call]
        # A copy, because the anchor's own node must keep its position.
        node = copy.copy(super().compose_node(parent, index))
        if node is not None:
            node.start_mark, node.end_mark = event.start_mark, event.end_mark
            node.is_alias = True  # type: ignore[attr-defined]
        return node


def _construct_scalar(_: Loader, node: yaml.ScalarNode) -> Scalar | None:
    return None if node.tag == NULL else Scalar.of(node)


for _kind in ("null", "bool", "int", "float", "timestamp", "binary", "str"):
    Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _construct_scalar)


@dataclass(frozen=True)
class Document:
    """The text of a configuration."""

    name: str
    """Human-readable origin: a path or an environment variable."""
    text: str
    data: dict[str, Any]

    def fail(self, value: object, text: str) -> ConfigError:
        """Return an error that points at `value` in this text."""
        place = f"{self.name}:{value.line}" if isinstance(value, Scalar) else self.name
        return ConfigError(f"{place}: {text}")


def parse(text: str, name: str) -> Document:
    """Parse YAML (or JSON) text.

    Raises
    ------
    ConfigError
        The text is not YAML, or not a mapping; the message names file, line and column.
    """
    try:
        data = yaml.load(text, Loader)
    except Repeated as error:
        raise ConfigError(f"{name}: {error}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(_explain(error, name)) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: not valid YAML: {reason(error)}.") from None
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: this is not a Lithops configuration: sections such as 'aws_lambda:' are expected.")
    return Document(name, text, data)


def read(path: Path, name: str | None = None) -> Document:
    """Read and parse a file; line endings are kept.

    Raises
    ------
    ConfigError
        The file cannot be read or parsed.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError(f"{name}: the file has more than {MAX_BYTES:,} bytes, too large for a configuration.")
        text = content.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{name}: the file cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: byte {error.start} is not UTF-8 text.") from None
    return parse(text, name)


def reason(error: Exception) -> str:
    """Explain in a few words why a text cannot be parsed."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split()).rstrip(".")


def _explain(error: yaml.YAMLError, name: str) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        what = " ".join(part for part in (error.context, error.problem) if part)
        return f"{name}:{mark.line + 1}:{mark.column + 1}: not valid YAML: {what}."
    return f"{name}: not valid YAML: {' '.join(str(error).split())}."
