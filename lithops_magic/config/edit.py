"""Edits YAML as text: replaces, adds or removes one value and keeps all other bytes."""

from __future__ import annotations

import re
from typing import Any

import yaml

from lithops_magic.config.document import NULL, Document, Loader, parse
from lithops_magic.errors import ConfigError

Path = tuple[str | int, ...]
"""Keys in mappings and indices in lists, from the top."""

STEP = 2
"""Spaces per level in added text."""


def write(text: str, path: Path, value: Any) -> str:
    """Return the text with `value` at `path`; in mappings and lists, only differences are changed.

    Raises
    ------
    ConfigError
        The path goes through a YAML alias.
    """
    old = get(parse(text, "configuration"), path)
    if old == value:
        return text
    if isinstance(old, dict) and old and isinstance(value, dict) and value:
        for key, item in value.items():
            # An empty value already means an empty string.
            if key not in old or (old[key] is not None or item != ""):
                text = write(text, (*path, key), item)
        for key in old.keys() - value.keys():
            text = remove(text, (*path, str(key)))
        return text
    if isinstance(old, list) and old and isinstance(value, list) and value:
        return _write_list(text, path, old, value)
    return _put(text, path, value)


def remove(text: str, path: Path) -> str:
    """Return the text without the entry at `path`, and without a mapping or list left empty by that.

    Raises
    ------
    ConfigError
        The path goes through a YAML alias.
    """
    parent = _node(text, path[:-1])
    entries = _entries(parent)
    index = _index(parent, path[-1])
    if index is None:
        raise _by_hand(path)
    if len(entries) == 1 and len(path) > 1:
        # Without its last entry, a block mapping would be null.
        return remove(text, path[:-1])
    start, end = entries[index]
    if not parent.flow_style:
        start, end = _line_start(text, start), _next_line(text, end)
    elif index + 1 < len(entries):
        end = entries[index + 1][0]
    elif index > 0:
        start = entries[index - 1][1]
    else:
        end += len(re.match(r"\s*,?", text[end:]).group())  # type: ignore[union-attr]
    return text[:start] + text[end:]


def get(document: Document, path: Path) -> Any:
    """Return the value at `path`; None if there is none."""
    value: Any = document.data
    for key in path:
        if isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        elif isinstance(value, dict):
            value = value.get(key)
        else:
            return None
    return value


def _write_list(text: str, path: Path, old: list[Any], value: list[Any]) -> str:
    kept = [item for item in old if item in value]
    # Entries that stay keep their comments and their layout: only the others are cut out.
    if kept and kept == value[: len(kept)]:
        for index in reversed([index for index, item in enumerate(old) if item not in value]):
            # From the end, so that the remaining indices stay valid.
            text = remove(text, (*path, index))
        old = kept
    for index in range(len(old), len(value), -1):
        text = remove(text, (*path, index - 1))
    for index, item in enumerate(value):
        text = write(text, (*path, index), item)
    return text


def _put(text: str, path: Path, value: Any) -> str:
    """Replace the node at `path`, or add the missing part of the path."""
    root = yaml.compose(text, Loader)
    if root is None or _is_null(root):
        return _end_line(text) + _lines(_nest(path, value), text)
    assert isinstance(root, yaml.CollectionNode)
    node = root
    for depth, key in enumerate(path):
        index = _index(node, key)
        if index is None:
            return _insert(text, node, key, _nest(path[depth + 1 :], value))
        child = node.value[index][1] if isinstance(node, yaml.MappingNode) else node.value[index]
        missing = path[depth + 1 :]
        if not missing or not isinstance(child, yaml.CollectionNode):
            return _replace(text, node, child, _nest(missing, value))
        if getattr(child, "is_alias", False):
            raise _by_hand(path)
        node = child
    raise _by_hand(path)


def _replace(text: str, parent: yaml.CollectionNode, child: yaml.Node, value: Any) -> str:
    start, end = child.start_mark.index, _end(text, child)
    if isinstance(value, dict | list) and not parent.flow_style and isinstance(parent, yaml.MappingNode):
        # Keep the colon and a comment after the old value on their line; the new block starts on the next line.
        column = parent.value[0][0].start_mark.column
        rest = _line_end(text, end)
        block = _newline(text) + _lines(value, text, column + STEP).rstrip("\r\n")
        return text[:start].rstrip(" ") + text[end:rest] + block + text[rest:]
    # An anchor stays: aliases elsewhere in the file refer to it.
    anchor = re.match(r"&\S+\s+", text[start:end])
    style = child.style if isinstance(child, yaml.ScalarNode) and child.style in ("'", '"') else None
    return text[:start] + (anchor.group() if anchor else "") + _flow(value, style) + text[end:]


def _insert(text: str, node: yaml.CollectionNode, key: str | int, value: Any) -> str:
    entries = _entries(node)
    entry = {key: value} if isinstance(node, yaml.MappingNode) else [value]
    if not node.flow_style:
        column = node.value[0][0].start_mark.column if isinstance(node, yaml.MappingNode) else node.start_mark.column
        end = _line_end(text, entries[-1][1])
        return text[:end] + _newline(text) + _lines(entry, text, column).rstrip("\r\n") + text[end:]
    inner = _flow(entry)[1:-1]
    if not entries:
        start = text.index("{" if isinstance(node, yaml.MappingNode) else "[", node.start_mark.index) + 1
        return text[:start] + inner + text[start:]
    end = entries[-1][1]
    return f"{text[:end]}, {inner}{text[end:]}"


def _node(text: str, path: Path) -> yaml.CollectionNode:
    node: yaml.Node | None = yaml.compose(text, Loader)
    for key in path:
        index = _index(node, key)
        if index is None or getattr(node, "is_alias", False):
            raise _by_hand(path)
        assert isinstance(node, yaml.CollectionNode)
        node = node.value[index][1] if isinstance(node, yaml.MappingNode) else node.value[index]
    if not isinstance(node, yaml.CollectionNode) or getattr(node, "is_alias", False):
        raise _by_hand(path)
    return node


def _index(node: yaml.Node | None, key: str | int) -> int | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int):
        return key if key < len(node.value) else None
    if isinstance(node, yaml.MappingNode):
        # YAML uses the last of two equal keys.
        found = [index for index, (name, _) in enumerate(node.value) if name.value == key]
        return found[-1] if found else None
    return None


def _entries(node: yaml.CollectionNode) -> list[tuple[int, int]]:
    """Return where each entry of a mapping or list begins and ends in the text."""
    text = node.start_mark.buffer or ""
    if isinstance(node, yaml.MappingNode):
        return [(key.start_mark.index, _end(text, value)) for key, value in node.value]
    return [(item.start_mark.index, _end(text, item)) for item in node.value]


def _end(text: str, node: yaml.Node) -> int:
    """Return where the node's own text ends; PyYAML's end mark of a block is after the comments that follow it."""
    if getattr(node, "is_alias", False) or not isinstance(node, yaml.CollectionNode) or node.flow_style:
        start, end = node.start_mark.index, node.end_mark.index
        return start + len(text[start:end].rstrip()) if getattr(node, "style", None) in ("|", ">") else end
    last = node.value[-1]
    return _end(text, last[1] if isinstance(node, yaml.MappingNode) else last)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == NULL


def _nest(path: Path, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _by_hand(path: Path) -> ConfigError:
    where = ".".join(str(key) for key in path)
    return ConfigError(f"{where} is shared by a YAML alias or merge: change it in the file by hand.")


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    if end < 0:
        return len(text)
    return end - 1 if text[end - 1 : end] == "\r" and end > index else end


def _next_line(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1


def _end_line(text: str) -> str:
    return text if not text or text.endswith("\n") else text + _newline(text)


_WIDTH = 1 << 20
"""Characters per line: PyYAML must never fold one."""


class _Dumper(yaml.SafeDumper):
    # Equal values are written twice: nobody expects aliases in an edited file.
    def ignore_aliases(self, _: Any) -> bool:
        return True

    # PyYAML would not indent lists below their keys.
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Only the double-quoted style keeps every string on one line.
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(str, _represent_text)


def _lines(value: Any, text: str, column: int = 0) -> str:
    block = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=False, sort_keys=False, allow_unicode=True, indent=STEP, width=_WIDTH
    )
    newline = _newline(text)
    return "".join(" " * column + line + newline for line in block.splitlines())


def _flow(value: Any, style: str | None = None) -> str:
    """Write a value so that it is valid in any context."""
    if style == '"' or (style == "'" and isinstance(value, str) and value.isprintable()):
        inner = yaml.dump(value, Dumper=yaml.SafeDumper, default_style=style, allow_unicode=True, width=_WIDTH)
        return inner.rstrip("\n")
    # Within a list, so that PyYAML quotes what would end a value there; then without the list's brackets.
    return yaml.dump(
        [value], Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=_WIDTH
    ).rstrip("\n")[1:-1]
