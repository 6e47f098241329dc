"""A notebook as one HTML file that opens without a network."""

from __future__ import annotations

import warnings
from typing import Any

from nbconvert import HTMLExporter
from nbformat import NotebookNode

# The template that everybody knows, without the four scripts that it loads from content delivery networks.
_TEMPLATE = """\
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}<meta name="generator" content="lithops-magic">{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
<style>
  main { max-width: 64rem; margin: 0 auto; padding: 1rem; }
  .jp-OutputArea-output, .jp-InputArea-editor { overflow-x: auto; }
  .jp-RenderedHTML { padding-left: var(--jp-code-padding); }
  .jp-RenderedImage img { max-width: 100%; height: auto; }
</style>
{%- endblock -%}
"""


def to_html(book: NotebookNode, title: str) -> str:
    """Return `book` as a page with everything inside; formulas stay as TeX, as MathJax comes from a network."""
    exporter = HTMLExporter(raw_template=_TEMPLATE, embed_images=True, exclude_anchor_links=True)
    resources: dict[str, Any] = {"metadata": {"name": title}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        page, _ = exporter.from_notebook_node(book, resources)
    return str(page)
