"""Writes what the documentation takes from the program: python -m docs.make.

docs/flags.md is made from the parser of main.py. The code in docs/learn.md is cut from the files that it names, its
table is made from docs/differences.jsonl. docs/learn.html is docs/learn.md with the frameworks side by side.
"""

import html
import re
import textwrap
from pathlib import Path

import main
from benchmarks.differences.__main__ import table
from benchmarks.results import read
from lenet.study import page

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "docs"
# "**JAX**", then "<!-- file | how the first line begins | how the last line begins -->", then the code.
PIECE = re.compile(r"\*\*(?P<name>\w+)\*\*\n\n<!-- (?P<source>.*?) -->\n```python\n(?P<code>.*?)```\n\n?", re.DOTALL)
# "<!-- file -->", then the table of what was measured.
TABLE = re.compile(r"<!-- (?P<source>docs/\S+\.jsonl) -->\n(?:\|.*\n)*")
STYLE = """
<style>
body { max-width: 1600px; } body > p, body > ul, body > table { max-width: 900px; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem; }
.columns section { min-width: 0; } .columns h4 { margin: .5rem 0; }
.columns pre { margin: 0; white-space: pre; padding: .6rem; font-size: 12.5px; line-height: 1.45; overflow-x: auto; }
.choice { position: sticky; top: 0; padding: .5rem 0; background: var(--page); } .choice label { margin-right: 1rem; }
body:not(:has(#show-pytorch:checked)) .pytorch, body:not(:has(#show-tensorflow:checked)) .tensorflow,
body:not(:has(#show-keras:checked)) .keras, body:not(:has(#show-jax:checked)) .jax { display: none; }
@media print { .choice { display: none; } }
</style>
"""


def make() -> dict[Path, str]:
    """Return the content of every file that is made."""
    learn = TABLE.sub(_fill, PIECE.sub(_recut, (DOCS / "learn.md").read_text(encoding="utf-8")))
    return {DOCS / "flags.md": flags(), DOCS / "learn.md": learn, DOCS / "learn.html": learn_page(learn)}


def flags() -> str:
    """Return a table of the flags for each group of the parser."""
    text = ["# Flags", "", "    python main.py --help", "", "prints the same. `--log-dir` is taken for `--log_dir`."]
    for group in main.flag_parser()._action_groups:
        if not group._group_actions or group.title == "options":
            continue
        text += ["", f"## {(group.title or '').capitalize()}", "", "| flag | what it does |", "|---|---|"]
        for action in group._group_actions:
            value = f" {action.metavar}" if action.metavar else ""
            value = f" [{value.strip()}]" if action.nargs == "?" else f"{value} ..." if action.nargs == "+" else value
            names = ", ".join(f"`{name}`" for name in action.option_strings[:-1])
            names += (", " if names else "") + f"`{action.option_strings[-1]}{value}`"
            text.append(f"| {names} | {action.help} |")
    return "\n".join(text) + "\n"


def _recut(piece: re.Match[str]) -> str:
    code = cut(*piece["source"].split(" | "))
    return f"**{piece['name']}**\n\n<!-- {piece['source']} -->\n```python\n{code}```\n\n"


def _fill(found: re.Match[str]) -> str:
    return f"<!-- {found['source']} -->\n{table(read(PROJECT / found['source']))}\n"


def cut(file: str, first: str, last: str) -> str:
    """Return a file's lines from the first that begins with `first` to the next that begins with `last`."""
    lines = (PROJECT / file).read_text(encoding="utf-8").splitlines()
    starts = [i for i, line in enumerate(lines) if line.strip().startswith(first)]
    ends = [i for i, line in enumerate(lines) if line.strip().startswith(last) and starts and i >= starts[0]]
    if not ends:
        raise ValueError(f"docs/learn.md: {file} has no lines from '{first}' to '{last}'")
    return textwrap.dedent("\n".join(lines[starts[0] : ends[0] + 1])) + "\n"


def learn_page(learn: str) -> str:
    """Return the page of docs/learn.md, with the frameworks in columns that a reader shows or hides."""
    names = dict.fromkeys(piece["name"] for piece in PIECE.finditer(learn))
    boxes = "".join(
        f'<label><input type="checkbox" id="show-{name.lower()}"{"" if name == "JAX" else " checked"}> {name}</label>'
        for name in names
    )
    sections = PIECE.sub(_section, learn)
    in_columns = re.sub(r"(?:<section .*\n)+", r'<div class="columns">\n\g<0></div>\n\n', sections)
    title, rest = in_columns.split("\n", 1)
    made = page.page(f'{title}\n{STYLE}\n<div class="choice">{boxes}</div>\n{rest}', DOCS)
    return re.sub("<h2>(.*?)</h2>", lambda heading: f'<h2 id="{anchor(heading[1])}">{heading[1]}</h2>', made)


def anchor(heading: str) -> str:
    """Return the name by which a link leads to a heading, as sites for Markdown make it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _section(piece: re.Match[str]) -> str:
    """One column, in one line: the code's own lines are kept as references."""
    code = html.escape(piece["code"].rstrip()).replace("\n", "&#10;")
    name = piece["name"]
    return f'<section class="{name.lower()}"><h4>{name}</h4><pre><code>{code}</code></pre></section>\n'


if __name__ == "__main__":
    for path, content in make().items():
        path.write_text(content, encoding="utf-8")
