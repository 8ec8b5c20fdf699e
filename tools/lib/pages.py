"""Self-contained HTML pages of tables and figures: one file that opens without a network, on any screen and on paper.

A page is a list of sections. The caller explains a section's columns and figures; tools/lib/page.html is the layout.
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
N_COLUMNS = 8  # that a table shows until a reader asks for all


class PageError(LatentbenchError):
    """A page would show something without an explanation."""


@dataclass(frozen=True)
class Picture:
    """A figure of a page.

    Attributes:
        source: the PNG file, or its bytes.
        name: what it is, in a few words, for readers who cannot see it.
        meaning: one sentence that says what it shows.
    """

    source: Path | bytes
    name: str
    meaning: str = ""

    def address(self) -> str:
        """Return the picture as a data URL."""
        content = self.source if isinstance(self.source, bytes) else artifacts.read_bytes(self.source)
        return f"data:image/png;base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True)
class Card:
    """An answer that a page begins with.

    Attributes:
        question: what was asked, in a few words.
        answer: in a few words.
        sentences: by how much, and how certainly.
    """

    question: str
    answer: str
    sentences: Sequence[str]


@dataclass(frozen=True)
class Strip:
    """Pictures of one row of a comparison beside its numbers.

    Attributes:
        row: its name.
        pictures: by the name of their column.
        numbers: what is written below each of them, by the same names.
    """

    row: str
    pictures: Mapping[str, Picture]
    numbers: Mapping[str, str]


@dataclass(frozen=True)
class Strips:
    """Rows of pictures; `columns` names the pictures of a row from left to right."""

    columns: Sequence[str]
    rows: Sequence[Strip]


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: its heading.
        explanation: text above the table; an empty line separates paragraphs.
        table: its first column names the rows; columns `x_lo` and `x_hi` are shown with `x`. A cell that is the name of
            a picture on the page becomes a link to it.
        meanings: one sentence for each column; none may be missing.
        pictures: shown below the table.
        parts: sections below this one, with smaller headings.
        folded: whether everything below the heading is folded until the reader opens it.
        first: the columns to show first if a table has more than `N_COLUMNS`; others fill the remaining places.
        cards: answers, above the table.
        strips: pictures of each row, above the table.
    """

    title: str
    explanation: str = ""
    table: pd.DataFrame | None = None
    meanings: Mapping[str, str] = field(default_factory=dict)
    pictures: Sequence[Picture] = ()
    parts: Sequence["Section"] = ()
    folded: bool = False
    first: Sequence[str] = ()
    cards: Sequence[Card] = ()
    strips: Strips | None = None

    def paragraphs(self) -> list[str]:
        """Return the paragraphs of the explanation."""
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
            raise PageError(f"{self.title}: nothing explains the columns {', '.join(missing)}; add a sentence for each")
        return shown

    def later(self, columns: Sequence[str]) -> list[bool]:
        """Return which columns of the table are shown only when a reader asks for all."""
        order = dict.fromkeys([*(name for name in self.first if name in columns), *columns])
        first = list(order)[:N_COLUMNS]
        return [name not in first for name in columns]


def render(title: str, introduction: str, facts: Mapping[str, str], sections: Iterable[Section], note: str = "") -> str:
    """Return a page as HTML.

    Args:
        title: of the page, its only heading of the first level.
        introduction: one paragraph on how to read the page, after the first section.
        facts: what the page is about, such as a commit and versions, by name; they come last.
        sections: the page's content; each is an entry in the table of contents. The first one has the answers.
        note: what readers must know before anything else.

    Raises:
        PageError: a column of a table has no meaning.
        ArtifactError: a picture is missing.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    shown = list(sections)
    places = {picture.name: f"figure-{place}" for place, picture in enumerate(_pictures(shown), start=1)}
    return template.render(
        title=title, introduction=introduction, facts=facts, sections=shown, places=places, note=note
    )


def _pictures(sections: Iterable[Section]) -> Iterator[Picture]:
    for section in sections:
        yield from section.pictures
        yield from _pictures(section.parts)
