"""Names and values as NAME=value lines, with secrets hidden."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lithops_magic.config.save_file import HIDDEN, SECRET_NAME


class Unreadable(ValueError):
    """A text in the form that cannot be parsed."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(f"{text} {fix}")
        self.text = text
        self.fix = fix


def write_pairs(pairs: Mapping[str, str]) -> str:
    """Return one line per pair; values are hidden if the name suggests a secret."""
    return "\n".join(f"{_quote(name, '=')}={_shown(name, value)}" for name, value in pairs.items())


def read_pairs(text: str, before: Mapping[str, str]) -> dict[str, str]:
    """Return the pairs in the lines; a hidden value keeps what it was `before`.

    Raises
    ------
    Unreadable
        A line is not a pair, or a name is repeated; the message contains no values.
    """
    pairs: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        name, value = _split(line.strip(), number)
        if name in pairs:
            raise Unreadable(f"{name} is given twice.", "Keep one of the two.")
        if value == HIDDEN and name not in before:
            raise Unreadable(f"The value of {name} is hidden.", "Write it again.")
        pairs[name] = before[name] if value == HIDDEN else _unquote(value)
    return pairs


def _shown(name: str, value: str) -> str:
    return HIDDEN if value and SECRET_NAME.search(name) else _quote(value)


def _quote(text: str, forbidden: str = "\n") -> str:
    """Write a text as JSON if it would not be read back unchanged."""
    # A value equal to HIDDEN would be read as the previous one.
    plain = text == text.strip() and not text.startswith('"') and text.isprintable() and forbidden not in text
    return text if plain and text != HIDDEN else json.dumps(text, ensure_ascii=not text.isprintable())


def _split(line: str, number: int) -> tuple[str, str]:
    if line.startswith('"'):
        try:
            name, end = json.JSONDecoder().raw_decode(line)
        except ValueError:
            raise Unreadable(f"Line {number} has a quotation mark that is not closed.", "Write NAME=value.") from None
        separator, value = line[end : end + 1], line[end + 1 :]
    else:
        name, separator, value = line.partition("=")
    if not separator == "=":
        raise Unreadable(f"Line {number} has no =.", "Write NAME=value.")
    return name.strip() if not line.startswith('"') else name, value.strip()


def _unquote(text: str) -> str:
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text
