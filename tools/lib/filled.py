"""The parts of pages that come from the run and the code: text between marks, which can be read without a build.

A mark is a comment: `number: NAME` before a number, as `tools.lib.numbers` names it; and on lines of their own
`table: FILE; rows: ...; columns: ...; format: ...` (all but the file may be left out), `include: FILE` for Markdown
that the run wrote, and `generated: NAME` for what `tools.lib.reference_pages` writes. A comment `end` closes each.
"""

import os
import re
from pathlib import Path

from latentbench.core import artifacts
from latentbench.evaluation import columns
from tools.lib import numbers, reference_pages

_NUMBER = re.compile(r"(<!-- number: (\S+) -->).*?(<!-- end -->)")
_BLOCK = re.compile(
    r"^(?P<mark><!-- (?P<kind>table|include|generated): (?P<what>[^\n]*?) -->)\n.*?^(?P<end><!-- end -->)$",
    re.MULTILINE | re.DOTALL,
)
_MARKED = re.compile(r"<!-- (?:number|table|include|generated): [^\n]*? -->.*?<!-- end -->", re.DOTALL)
_COLUMNS = "docs/reference/columns.md"


def filled(text: str, root: Path, page: Path) -> str:
    """Return the text of a page with its marks filled in from the files below `root` and from the code.

    Args:
        text: of the page.
        root: where the files of the run are.
        page: path of the page in the project, for relative links.

    Raises:
        NumberError: there is no such number or table.
        ReferencePageError: nothing generates a page of this name.
        ArtifactError: an included file is missing.
    """

    def block(match: re.Match[str]) -> str:
        kind, what = match["kind"], match["what"]
        if kind == "table":
            content = _table(what, root, page)
        elif kind == "include":
            content = artifacts.read_bytes(root / what).decode().strip()
        else:
            content = reference_pages.written(what)
        return f"{match['mark']}\n\n{content}\n\n{match['end']}"

    text = _NUMBER.sub(lambda match: match[1] + numbers.number(root, match[2]) + match[3], text)
    return _BLOCK.sub(block, text)


def unfilled(text: str) -> str:
    """Return the text of a page without its marks and the text between them."""
    return _MARKED.sub("", text)


def _table(asked: str, root: Path, page: Path) -> str:
    file, *parts = asked.split("; ")
    options = dict(part.split(": ", 1) for part in parts)
    unknown = set(options) - {"rows", "columns", "format"}
    if unknown:
        raise numbers.NumberError(f"{asked}: there is no option {', '.join(sorted(unknown))}")
    rows, shown = (options.get(name, "").replace(",", " ").split() for name in ("rows", "columns"))
    cells = numbers.table(root, file, rows=rows, columns=shown, spec=options.get("format", ".4g"))
    to_columns = os.path.relpath(_COLUMNS, page.parent)
    heads = [f"[`{name}`]({to_columns}#{name})" if name in columns.BY_NAME else f"`{name}`" for name in cells.columns]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "---:|" * (len(heads) - 1)]
    lines += [f"| {' | '.join(map(_cell, row))} |" for row in cells.rows]
    return "\n".join([*lines, "", f"From `{file}`."])


def _cell(text: str) -> str:
    """Return a cell in Markdown, with an interval that does not break over lines."""
    value, bracket, ends = text.partition(" [")
    return (value + bracket + ends.replace(", ", ",\N{NO-BREAK SPACE}")).replace("|", "\\|")
