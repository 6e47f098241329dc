"""A notebook as a single HTML file that opens offline."""

from __future__ import annotations

import warnings
from typing import Any

from jinja2 import pass_context
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from lithops_magic.notebook.export.formulas import Formulas, latex

# nbconvert's usual template, without the four scripts that it loads from content delivery networks, and with the colors
# of its dark theme for browsers that ask for dark colors.
_TEMPLATE = """\
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}<meta name="generator" content="lithops-magic">{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block html_head_css -%}
{{ resources.include_css("static/theme-dark.css")
   | replace('<style type="text/css">', '<style type="text/css" media="screen and (prefers-color-scheme: dark)">') }}
<style>
  :root { color-scheme: light dark; }
  main { max-width: 64rem; margin: 0 auto; padding: 1rem; }
  .jp-OutputArea-output, .jp-InputArea-editor { overflow-x: auto; }
  .jp-RenderedHTML { padding-left: var(--jp-code-padding); }
  .jp-RenderedImage img { max-width: 100%; height: auto; }
  math { font-size: 1.1em; }
  @media screen and (prefers-color-scheme: dark) { .jp-RenderedImage img { background: #fff; } }
</style>
{%- endblock -%}
{%- block data_latex -%}
<div class="jp-RenderedLatex jp-OutputArea-output" data-mime-type="text/latex">
{{ output.data['text/latex'] | latex }}
</div>
{%- endblock -%}
"""
_MAGICS = {"%%lambda_map": "python", "%%lambda_call": "python"}
"""Cell magics whose body is Python."""


class _Renderer(Formulas, IPythonRenderer):
    """Renders formulas, too."""


class _Exporter(HTMLExporter):
    """nbconvert's exporter with formulas."""

    # Overridden as a whole, because nbconvert's own method creates its renderer itself.
    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Renderer(escape=False, attachments=attachments, embed_images=True, exclude_anchor_links=True)
        return str(MarkdownWithMath(renderer=renderer).render(source))


def to_html(book: NotebookNode, title: str) -> str:
    """Return `book` as a self-contained page."""
    from traitlets.config import Config

    config = Config({"HighlightMagicsPreprocessor": {"enabled": True, "languages": _MAGICS}})
    exporter: Any = _Exporter(  # type: ignore[no-untyped-call]
        raw_template=_TEMPLATE, embed_images=True, exclude_anchor_links=True, config=config
    )
    exporter.register_filter("latex", latex)
    resources: dict[str, Any] = {"metadata": {"name": title}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        page, _ = exporter.from_notebook_node(book, resources)
    return str(page)
