"""Markdown -> one HTML page that needs no other file, for wide and narrow screens, light and dark."""

import base64
import re
from pathlib import Path

import markdown

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --page: #ffffff; --line: #d0d7de; --shade: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --page: #0d1117; --line: #30363d; --shade: #161b22; } }
body { margin: 0 auto; max-width: 1280px; padding: 1rem; color: var(--ink); background: var(--page);
       font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
img { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
.wide img { max-width: none; }
.pictures { margin: 1rem 0; display: flex; flex-wrap: wrap; gap: 1rem; align-items: start; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .7rem; border: 1px solid var(--line); text-align: left; vertical-align: top; }
th { background: var(--shade); }
td:first-child { font-weight: 600; }
td a { color: inherit; }
td:nth-child(2) { min-width: 12rem; }
td:nth-child(n + 3) { white-space: nowrap; }
pre, code { background: var(--shade); white-space: pre-wrap; }
"""


def page(text: str, folder: Path) -> str:
    """Return the page of a Markdown text, whose first line is the title, with its PNG files, from `folder`, inside."""

    def inline(match: re.Match[str]) -> str:
        return f'{match[1]}="data:image/png;base64,{base64.b64encode((folder / match[2]).read_bytes()).decode()}"'

    body = markdown.markdown(text, extensions=["tables"])
    body = re.sub(r'(src|srcset)="([^"]+\.png)"', inline, body)
    body = body.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
    title = text.partition("\n")[0].removeprefix("# ")
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n{body}\n</html>\n"
    )
