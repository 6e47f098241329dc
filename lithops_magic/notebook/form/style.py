"""The form's style sheet, for what neither ipywidgets' layouts nor JupyterLab's themes cover."""

from __future__ import annotations

CLASS = "lithops-magic-form"
_ARROW = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='12' height='8'%3E"
    "%3Cpath d='M1.5 1.5 6 6l4.5-4.5' fill='none' stroke='%23888' stroke-width='1.6'/%3E%3C/svg%3E"
)
"""Mid-gray, visible on light and dark backgrounds; the widgets' own arrow can be black on black."""

CSS = f"""
.{CLASS} {{ container-type: inline-size; padding-right: 8px; box-sizing: border-box; }}
.{CLASS}, .{CLASS} .widget-box {{ overflow: visible; box-sizing: border-box; }}
.{CLASS} .widget-html, .{CLASS} .widget-text, .{CLASS} .widget-textarea, .{CLASS} .widget-dropdown,
.{CLASS} .widget-combobox {{ box-sizing: border-box; min-width: 0; height: auto; }}
.{CLASS} .widget-html-content {{ white-space: normal; overflow-wrap: anywhere; min-width: 0; }}
.{CLASS} .widget-checkbox {{ overflow: visible; height: auto; }}
.{CLASS} .widget-checkbox label {{ white-space: normal; overflow-wrap: anywhere; line-height: 1.4; }}
.{CLASS} select {{
  appearance: none; background: transparent url("{_ARROW}") no-repeat right 8px center; padding-right: 26px;
  color: var(--jp-ui-font-color1, inherit); min-height: 28px; flex: 1 1 auto;
}}
.{CLASS} input:disabled, .{CLASS} select:disabled {{ opacity: 0.6; border-style: dashed; cursor: not-allowed; }}
.{CLASS} select option {{ color: #212121; background: #fff; }}
.{CLASS} .words .widget-html-content, .{CLASS} .listed .widget-html-content {{ line-height: 1.4; }}
.{CLASS} .scrolls {{ max-height: 180px; overflow: hidden auto; }}
.{CLASS} pre, .{CLASS} code {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
.{CLASS} .check {{
  display: grid; grid-template-columns: 7em 10em minmax(0, 1fr); gap: 0 14px; padding: 3px 0 3px 10px;
  border-left: 4px solid transparent; line-height: 1.4; overflow-wrap: anywhere;
}}
.{CLASS} .check.problem {{ border-left-color: var(--jp-error-color1, #c62828); margin-bottom: 4px; }}
.{CLASS} .check.unknown {{ border-left-style: dashed; border-left-color: var(--jp-ui-font-color2, #616161); }}
.{CLASS} .check button {{
  font: inherit; color: inherit; background: transparent; cursor: pointer; padding: 0 8px; margin-left: 6px;
  border: 1px solid var(--jp-border-color1, #9e9e9e); border-radius: 3px;
}}
@container (max-width: 860px) {{
  .{CLASS} .widget-text, .{CLASS} .widget-textarea, .{CLASS} .widget-dropdown, .{CLASS} .widget-combobox {{
    max-width: 70% !important;
  }}
}}
@container (max-width: 620px) {{
  .{CLASS} .widget-text, .{CLASS} .widget-textarea, .{CLASS} .widget-dropdown, .{CLASS} .widget-combobox {{
    flex-direction: column; align-items: stretch; width: 100% !important; max-width: 100% !important;
  }}
  .{CLASS} .widget-label {{ width: auto !important; text-align: left !important; line-height: 1.6; }}
  .{CLASS} .widget-text input, .{CLASS} .widget-combobox input {{ height: 28px; flex: none; }}
  .{CLASS} .indented, .{CLASS} .words {{ margin-left: 2px !important; }}
  .{CLASS} .listed {{ flex-direction: column; }}
  .{CLASS} .listed > .widget-html {{ width: auto !important; }}
  .{CLASS} .listed > .widget-html div, .{CLASS} .fact > :first-child {{ text-align: left !important; }}
  .{CLASS} .fact {{ flex-wrap: wrap; }}
  .{CLASS} .fact > :first-child {{ flex-basis: 100% !important; }}
  .{CLASS} .check {{ grid-template-columns: minmax(0, 1fr); }}
}}
"""
