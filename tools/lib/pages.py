"""Self-contained HTML pages of tables and figures: one file that opens without a network, on any screen and on paper.

A page is a list of sections. What a section says of its columns and figures is its caller's; how a page looks is
tools/lib/page.html.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pandas as pd

from latentbench.core import artifacts
from latentbench.core.errors import LatentbenchError
from latentbench.evaluation import tables

_TEMPLATE = Path(__file__).with_name("page.html")


class PageError(LatentbenchError):
    """A page would show something that nobody explains."""


@dataclass(frozen=True)
class Picture:
    """A figure of a page.

    Attributes:
        path: of the PNG file.
        name: what it is, in a few words, for those who do not see it.
        meaning: one sentence that says what can be seen in it.
    """

    path: Path
    name: str
    meaning: str


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: its heading.
        explanation: text above the table, in paragraphs that are parted by an empty line.
        table: its first column names the rows; columns `x_lo` and `x_hi` are shown with `x`. A cell that is the name of
            a picture of the page is a link to it.
        meanings: one sentence for each column that is shown; a table has all of them.
        pictures: shown below the table.
        parts: sections below this one, with smaller headings.
        folded: whether the table is folded away until the reader opens it.
    """

    title: str
    explanation: str = ""
    table: pd.DataFrame | None = None
    meanings: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    parts: Sequence["Section"] = ()
    folded: bool = False

    def paragraphs(self) -> list[str]:
        """Return the explanation by paragraph."""
        return [text for text in re.split(r"\n\s*\n", self.explanation.strip()) if text]

    def cells(self) -> tables.Cells | None:
        """Return the cells of the table, if there is one.

        Raises:
            PageError: a column has no meaning.
        """
        if self.table is None:
            return None
        shown = tables.cells(self.table)
        missing = [column for column in shown.columns if column not in self.meanings]
        if missing:
            raise PageError(f"{self.title}: nothing says what {', '.join(missing)} means; a sentence each, please")
        return shown


def render(title: str, introduction: str, facts: Mapping[str, str], sections: Iterable[Section]) -> str:
    """Return a page as HTML.

    Args:
        title: of the page, its only heading of the first level.
        introduction: one paragraph below it.
        facts: what the page is about, such as a commit and versions, by name.
        sections: the page's content; each is an entry of the table of contents.

    Raises:
        PageError: a column of a table has no meaning.
        ArtifactError: a picture is missing.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters["data_uri"] = _data_uri
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    shown = list(sections)
    places = {picture.name: f"figure-{place}" for place, picture in enumerate(_pictures(shown), start=1)}
    return template.render(title=title, introduction=introduction, facts=facts, sections=shown, places=places)


def _pictures(sections: Iterable[Section]) -> Iterator[Picture]:
    for section in sections:
        yield from section.pictures
        yield from _pictures(section.parts)


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(artifacts.read_bytes(path)).decode()}"
