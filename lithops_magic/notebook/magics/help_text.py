"""Formats help texts: 80 columns, with options and their defaults under headings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from lithops_magic.notebook.parse.option import Groups, Option

WIDTH = 80
"""Columns of the narrowest common terminal."""
_USAGE = 22
"""Columns for options; a longer option has its explanation below."""


def help_text(what: str, forms: str, introduction: str, groups: Groups, examples: str = "") -> str:
    """Return the help of a magic; indented parts of `introduction` are left as they are."""
    paragraphs = [part.strip("\n") for part in introduction.split("\n\n")]
    parts = [textwrap.fill(what, WIDTH), forms.rstrip("\n"), *(_wrapped(part) for part in paragraphs if part)]
    parts += ["\n".join((f"{heading}:", *map(_described, options))) for heading, options in groups]
    parts += [f"Examples:\n\n{examples.rstrip()}"] if examples else []
    return "\n\n".join(parts) + "\n"


def flat(options: Iterable[Option]) -> Groups:
    """Return options that are too few to need headings."""
    return (("Options", tuple(options)),)


def _wrapped(paragraph: str) -> str:
    return "\n".join(_filled(paragraph.split("\n")))


def _filled(lines: list[str]) -> Iterator[str]:
    prose: list[str] = []
    for line in [*lines, "    "]:
        if not line.startswith("    "):
            prose.append(line)
            continue
        if prose:
            yield from textwrap.wrap(" ".join(prose), WIDTH, break_long_words=False, break_on_hyphens=False)
        prose = []
        if line.strip():
            yield line


def _described(option: Option) -> str:
    # Tildes keep it together while wrapping.
    default = f" [default:~{option.default.replace(' ', '~')}]" if option.default else ""
    wrapped = textwrap.wrap(option.help + default, WIDTH - _USAGE - 4, break_on_hyphens=False)
    lines = [line.replace("~", " ") for line in wrapped]
    indent = "\n" + " " * (_USAGE + 4)
    usage = f"  {option.usage:{_USAGE}}  "
    if len(option.usage) > _USAGE:
        return indent.join((usage.rstrip(), *lines))
    return usage + indent.join(lines)
