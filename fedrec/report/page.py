"""The pieces of a self-contained HTML page: no script, no font and no picture from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RowsOf = Callable[[Sequence[str]], Iterable[Sequence[str]]]  # rows of cells for some settings
GENERATOR = '<meta name="generator" content="fedrec report">'

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #5b6472; --line: #dfe3e8; --paper: #ffffff; --card: #f6f7f9;
  --accent: #0072b2; --warn: #a34700; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaee; --soft: #a3acb8; --line: #39414c; --paper: #14171b;
  --card: #1d2228; --accent: #6cb8e6; --warn: #f0a35c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .8rem; border-top: 2px solid var(--accent); }
h3 { font-size: 1.02rem; margin: 1.8rem 0 .4rem; }
p { margin: .4rem 0; max-width: 48rem; }
.soft { color: var(--soft); font-size: .9rem; }
.warn { color: var(--warn); }
code, pre { font: .85rem/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .7rem .8rem;
  white-space: pre-wrap; margin: .5rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; margin: .5rem 0;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td:first-child { font-weight: 600; }
@media (min-width: 46.01rem) { .scroll td:nth-child(n+3) { white-space: nowrap; } }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: .8rem; }
figure { margin: 0; padding: .4rem; background: #ffffff; border: 1px solid var(--line); border-radius: 6px; }
figure img { display: block; width: 100%; height: auto; }
.scroll { overflow-x: auto; }
details { margin: .6rem 0; } details td { overflow-wrap: anywhere; } summary { cursor: pointer; color: var(--accent); }
@media (max-width: 46rem) {
  body { padding: 1rem .8rem 3rem; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, td { display: block; width: 100%; }
  tr { background: var(--card); border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0;
    padding: .4rem .7rem; }
  td { display: flex; justify-content: space-between; gap: 1rem; padding: .15rem 0; border: 0; text-align: right; }
  td::before { content: attr(data-label); color: var(--soft); text-align: left; }
  td:first-child { text-align: left; padding-bottom: .3rem; } td:first-child::before { content: none; }
}
"""


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page.

    Args:
        title: Of the window; text.
        parts: HTML of the body.
    """
    body = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{GENERATOR}
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def heading(level: int, text: str) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph.

    Args:
        text: Text; what stands between backticks is shown as code.
        kind: ``soft``, ``warn`` or nothing.
    """
    pieces = [f"<code>{escape(part)}</code>" if i % 2 else escape(part) for i, part in enumerate(text.split("`"))]
    return f'<p class="{kind}">' + "".join(pieces) + "</p>" if kind else "<p>" + "".join(pieces) + "</p>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that becomes one card per row on a narrow screen.

    Args:
        head: Names of the columns; the first names the rows.
        rows: Text of the cells.
    """
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>"
        + "".join(f'<td data-label="{escape(name)}">{escape(cell)}</td>' for name, cell in zip(head, row, strict=True))
        + "</tr>\n"
        for row in rows
    )
    return f'<div class="scroll"><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>'


def figures(drawn: Mapping[str, Figure]) -> str:
    """Figures side by side, below each other on a narrow screen.

    Args:
        drawn: Figures by what they show, in words; embedded as SVG, the same bytes every time.
    """
    from matplotlib import rc_context  # takes a second to import, and a page without figures does not need it

    shown = []
    for text, figure in drawn.items():
        file = io.BytesIO()
        with rc_context({"svg.hashsalt": "fedrec"}):
            figure.savefig(file, format="svg", metadata={"Date": None})
        data = base64.b64encode(file.getvalue()).decode()
        shown.append(f'<figure><img alt="{escape(text)}" src="data:image/svg+xml;base64,{data}"></figure>')
    return '<div class="figures">' + "\n".join(shown) + "</div>"


def verbatim(text: str) -> str:
    """Text with its own line breaks."""
    return f"<pre>{escape(text.rstrip())}</pre>"


def folded(summary: str, part: str) -> str:
    """A part that opens on demand.

    Args:
        summary: Always visible; text.
        part: HTML.
    """
    return f"<details><summary>{escape(summary)}</summary>\n{part}\n</details>"
