"""Formulas as MathML, which browsers render offline; TeX that cannot be converted is left as is."""

from __future__ import annotations

import html
import re
from importlib import import_module

_FORMULA = re.compile(
    r"\$\$(?P<display>.+?)\$\$|\\\[(?P<bracket>.+?)\\\]|\\\((?P<paren>.+?)\\\)"
    r"|(?P<environment>\\begin\{(?P<name>\w+\*?)\}.+?\\end\{(?P=name)\})|(?<![\\$])\$(?P<inline>[^$\n]+?)\$",
    re.DOTALL,
)


def mathml(tex: str, *, display: bool) -> str:
    """Return a formula as MathML that includes its TeX for copying; empty if it cannot be converted."""
    try:
        convert = import_module("latex2mathml.converter").convert
        made: str = convert(tex, display="block" if display else "inline")
    except Exception:  # the converter has no common exception for unknown TeX, and may not be installed
        return ""
    return made.replace("<math ", f'<math alttext="{html.escape(tex)}" ', 1)


def latex(text: str) -> str:
    """Return a LaTeX output, such as SymPy's, as HTML."""
    parts, at = [], 0
    for found in _FORMULA.finditer(text):
        inline = found["inline"] or found["paren"]
        tex = inline or found["display"] or found["bracket"] or found["environment"]
        parts += [html.escape(text[at : found.start()]), mathml(tex, display=not inline) or html.escape(found[0])]
        at = found.end()
    return "".join([*parts, html.escape(text[at:])])


class Formulas:
    """Formula handling for an nbconvert renderer, for use as its first base class."""

    def inline_math(self, body: str) -> str:
        return mathml(body, display=False) or super().inline_math(body)  # type: ignore[misc]

    def block_math(self, body: str) -> str:
        return mathml(body, display=True) or super().block_math(body)  # type: ignore[misc]

    def latex_environment(self, name: str, body: str) -> str:
        whole = f"\\begin{{{name}}}{body}\\end{{{name}}}"
        return mathml(whole, display=True) or super().latex_environment(name, body)  # type: ignore[misc]
