"""A page shows what its tables say, to everyone, and asks for nothing from elsewhere."""

from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from latentbench.evaluation import tables
from tools.lib import pages
from tools.lib.pages import Picture, Section


class Seen(HTMLParser):
    """What a browser would find in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.headings: list[int] = []
        self.scopes: list[str | None] = []
        self.addresses: list[str] = []
        self.alternatives: list[str | None] = []
        self.places: list[str | None] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in {"td", "th"}:
            self._in_cell = True
            self.cells.append("")
        if tag in {"h1", "h2", "h3", "h4"}:
            self.headings.append(int(tag[1]))
        if "id" in given:
            self.places.append(given["id"])
        if tag == "th":
            self.scopes.append(given.get("scope"))
        if tag == "img":
            self.alternatives.append(given.get("alt"))
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "action", "data"}]

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"}:
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.cells[-1] += data


@pytest.fixture
def sections(tmp_path: Path) -> list[Section]:
    """Return a section with a table that holds an interval and a bad name, and a picture below it."""
    (tmp_path / "a.png").write_bytes(b"not looked into")
    table = pd.DataFrame({"row": ["<b>a</b> & b", "c"], "x": [0.12345, None], "x_lo": [0.1, None], "x_hi": [0.2, None]})
    table["figure"] = ["what it is", ""]
    below = Section("Below", pictures=[Picture(tmp_path / "a.png", "what it is", "what it says")])
    return [Section("Scores", "One.\n\nTwo.", table, {"row": "a row", "x": "a score", "figure": "b"}, parts=[below])]


def test_cells_are_those_of_the_markdown(sections: list[Section]) -> None:
    seen = Seen(pages.render("Title", "Words.", {"commit": "abc"}, sections))
    assert sections[0].table is not None
    header, _, *rows = tables.markdown(sections[0].table).splitlines()
    assert seen.cells == [cell.strip() for line in (header, *rows) for cell in line.split("|")[1:-1]]
    assert seen.cells[3:6] == ["<b>a</b> & b", "0.1235 (0.1 to 0.2)", "what it is"]


def test_a_page_is_read_by_everyone_and_from_one_file(sections: list[Section]) -> None:
    seen = Seen(pages.render("Title", "Words.", {}, sections))
    assert seen.headings == [1, 2, 3]
    assert seen.scopes == ["col", "col", "col", "row", "row"]
    assert seen.alternatives == ["what it is"]
    assert all(address.startswith(("data:", "#")) for address in seen.addresses)
    assert {"#section-1", "#figure-1"} == {each for each in seen.addresses if each.startswith("#")}
    assert {"section-1", "figure-1"} <= set(seen.places)
    assert sum(address.startswith("data:image/png;base64,") for address in seen.addresses) == 1


def test_a_column_that_nobody_explains_is_refused(sections: list[Section]) -> None:
    assert sections[0].table is not None
    more = Section("Scores", "", sections[0].table.assign(y=1), sections[0].meanings)
    with pytest.raises(pages.PageError, match="Scores: nothing says what y means"):
        pages.render("Title", "Words.", {}, [more])
