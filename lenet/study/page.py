"""Markdown -> one HTML page that needs no other file, for wide, narrow and printed pages, light and dark."""

import base64
import itertools
import re
from pathlib import Path

import markdown

SCRIPT = Path(__file__).with_name("table.js")
LONG = 50  # rows
STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --page: #ffffff; --line: #d0d7de; --shade: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --page: #0d1117; --line: #30363d; --shade: #161b22; } }
body { margin: 0 auto; max-width: 1100px; padding: 1rem; color: var(--ink); background: var(--page);
       font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
img { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
.wide img { max-width: none; }
.pictures { margin: 1rem 0; display: flex; flex-wrap: wrap; gap: 1rem; align-items: start; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border: 1px solid var(--line); text-align: right; vertical-align: top; }
th { background: var(--shade); }
th:first-child, td:first-child { font-weight: 600; text-align: left; }
th[aria-sort]::after { content: " ↓"; } th[aria-sort="ascending"]::after { content: " ↑"; }
a { color: inherit; }
pre, code { background: var(--shade); } pre { white-space: pre-wrap; }
@media (max-width: 700px) { /* a row of a table is a list of its cells, each after its column's name */
  thead { display: none; } table, tbody, tr { display: block; } tr { margin-bottom: .8rem; }
  td { display: flex; justify-content: space-between; gap: 1rem; } td:empty { display: none; }
  td::before { content: attr(data-label); font-weight: 400; text-align: left; } }
@media print { :root { color-scheme: light; --ink: #000; --page: #fff; } body { max-width: none; font-size: 10pt; }
  table { font-size: 8pt; } th, td { padding: .1rem .25rem; } .scroll { overflow: visible; }
  .wide img { max-width: 100%; } .pictures img { max-width: 48%; } h2, h2 + p { break-after: avoid; }
  .pictures, .wide, tr, table:not(.long) { break-inside: avoid; } }
"""


def page(text: str, folder: Path) -> str:
    """Return the page of a Markdown text, whose first line is the title, with its SVG files, from `folder`, inside."""

    def inline(match: re.Match[str]) -> str:
        content = base64.b64encode((folder / match[1]).read_bytes()).decode()
        return f'src="data:image/svg+xml;base64,{content}"'

    body = markdown.markdown(text, extensions=["tables"])
    body = re.sub(r'src="([^"]+\.svg)"', inline, body)
    body = re.sub(r"<table>.*?</table>", _labelled, body, flags=re.DOTALL)
    body = re.sub(r"(<table.*?</table>)", r'<div class="scroll">\1</div>', body, flags=re.DOTALL)
    if 'class="long"' in body:
        body += f"\n<script>\n{SCRIPT.read_text(encoding='utf-8')}</script>"
    title = text.partition("\n")[0].removeprefix("# ")
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n{body}\n</html>\n"
    )


def _labelled(table: re.Match[str]) -> str:
    """A table whose cells say their column, for a narrow page; a long one is sorted and paged by a script."""
    names = [re.sub("<.*?>", "", name) for name in re.findall(r"<th.*?>(.*?)</th>", table[0])]
    columns = itertools.cycle(names)

    def labelled(cell: re.Match[str]) -> str:
        content = cell[2] and f"<span>{cell[2]}</span>"  # one item beside the label, whatever is in it
        return f'<td data-label="{next(columns)}"{cell[1]}>{content}</td>'

    named = re.sub(r"<td(.*?)>(.*?)</td>", labelled, table[0], flags=re.DOTALL)
    return named.replace("<table>", '<table class="long">') if named.count("<tr>") > LONG else named
