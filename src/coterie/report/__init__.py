"""The report: what the marts say, as one HTML page that opens offline, or as Markdown.

`gather` reads the marts as plain words and numbers, `render_html` and `render_markdown` write
them. The page asks for nothing outside itself and has no script.
"""

from __future__ import annotations

from coterie.report.content import gather
from coterie.report.pages import render_html, render_markdown

__all__ = ["gather", "render_html", "render_markdown"]
