"""The role `number` and the directive `results-table`: what pages show of the committed run, read as they are built."""

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

from latentbench.evaluation import columns
from tools.lib import numbers

ROOT = Path(__file__).resolve().parents[2]


class Number(SphinxRole):
    """A number of the run: {number}`metrics/headline.json#frechet.pca|.1f`."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return it as text."""
        self.env.note_dependency(str(ROOT / self.text.partition("#")[0]))
        try:
            return [nodes.Text(numbers.number(ROOT, self.text))], []
        except numbers.NumberError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]


class ResultsTable(SphinxDirective):
    """A table of the run, of at most eight columns, with the file it is from below it."""

    option_spec: ClassVar = {
        "file": directives.unchanged_required,
        "rows": directives.unchanged,
        "columns": directives.unchanged,
        "format": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Return the table, and where it is from."""
        file = self.options["file"].strip()
        self.env.note_dependency(str(ROOT / file))
        try:
            cells = numbers.table(
                ROOT,
                file,
                rows=_listed(self.options.get("rows", "")),
                columns=_listed(self.options.get("columns", "")),
                spec=self.options.get("format", ".4g").strip(),
            )
        except numbers.NumberError as error:
            raise self.error(str(error)) from error
        table = nodes.table("", classes=["results"])
        group = nodes.tgroup("", cols=len(cells.columns))
        group += [nodes.colspec("", colwidth=1) for _ in cells.columns]
        head = nodes.row("")
        for name in cells.columns:
            head += nodes.entry("", nodes.paragraph("", "", *self._heading(name)))
        body = nodes.tbody("")
        for line in cells.rows:
            row = nodes.row("")
            row += [nodes.entry("", nodes.paragraph("", "", *_cell(text))) for text in line]
            body += row
        group += [nodes.thead("", head), body]
        table += group
        wrapper = nodes.container("", table, classes=["results-wrapper"])
        source = nodes.paragraph("", "", nodes.Text("From "), nodes.literal("", file), nodes.Text("."))
        source["classes"].append("results-source")
        return [wrapper, source]

    def _heading(self, name: str) -> list[nodes.Node]:
        """Return the name of a column, as a link to its sentence where it has one."""
        if name not in columns.BY_NAME:
            return [nodes.literal("", name)]
        parsed, _ = self.parse_inline(f"{{ref}}`{name} <column-{name.replace('_', '-')}>`")
        return parsed


def _cell(text: str) -> list[nodes.Node]:
    """Return what a cell says, its interval apart."""
    value, bracket, rest = text.partition(" [")
    interval = [nodes.inline("", f"[{rest}", classes=["interval"])] if bracket else []
    return [nodes.Text(f"{value} " if bracket else value), *interval]


def _listed(text: str) -> list[str]:
    """Return what stands in a list: parted by commas or spaces."""
    return text.replace(",", " ").split()


def setup(app: Sphinx) -> dict[str, Any]:
    """Add both to Sphinx."""
    app.add_role("number", Number())
    app.add_directive("results-table", ResultsTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
