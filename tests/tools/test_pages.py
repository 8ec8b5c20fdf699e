"""A page shows what its tables say, to everyone, and asks for nothing from elsewhere."""

import os
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from latentbench.evaluation import tables
from tools.lib import browser, pages
from tools.lib.pages import Card, Picture, Section, Strip, Strips


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
    with pytest.raises(pages.PageError, match="Scores: nothing explains the columns y"):
        pages.render("Title", "Words.", {}, [more])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Return a running Chromium."""
    program = browser.find()
    if program is None and not os.environ.get("CI"):  # there, a missing browser is a failure
        pytest.skip(f"the page was not tested: {browser.MISSING}")
    assert program is not None, browser.MISSING
    with browser.running(program) as running:
        yield running


@pytest.fixture
def shown(tmp_path: Path, images_of_a_page: Path) -> Path:
    """Return the file of a page with cards, rows of pictures, and a folded section whose table has ten columns."""
    picture = Picture(images_of_a_page, "a picture", "What it says.")
    lines = [{"row": row, "x": x, "x_lo": x, "x_hi": x} for row, x in (("b", 10.0), ("a", 9.0), ("c", None))]
    table = pd.DataFrame(lines).assign(**{f"more_{i}": range(3) for i in range(8)})
    meanings = {str(name): "A number." for name in table}
    below = Section("Below", "", table.iloc[:, :4], meanings, pictures=[picture], folded=True)
    numbers = {"left": "9", "right": "none"}
    sections = [
        Section("In short", cards=[Card("Best at x", "b", ["By 1."])]),
        Section("Side by side", strips=Strips(("left", "right"), [Strip("a", {"left": picture}, numbers)])),
        Section("Scores", "Words.", table, meanings, parts=[below], folded=True, first=("row", "more_7")),
    ]
    path = tmp_path / "page.html"
    path.write_text(pages.render("Title", "How to read it.", {"commit": "abc"}, sections, "A note."), encoding="utf-8")
    return path


@pytest.fixture
def images_of_a_page(tmp_path: Path) -> Path:
    """Return a PNG of one pixel."""
    from PIL import Image

    Image.new("L", (8, 2)).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def column(page: Page, place: int) -> list[str]:
    return page.locator(f"#section-3-table tbody tr > :nth-child({place})").all_inner_texts()


def test_a_reader_opens_sorts_and_asks_for_columns_by_keyboard(chromium: Browser, shown: Path) -> None:
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url))
    page.goto(shown.as_uri())
    heads = page.locator("#section-3-table thead th")
    assert not heads.first.is_visible(), "the section is folded"
    page.get_by_role("link", name="Scores").focus()
    page.keyboard.press("Enter")
    heads.first.wait_for(state="visible")  # the page unfolds it once it comes to it
    assert [heads.nth(i).inner_text() for i in range(heads.count()) if heads.nth(i).is_visible()] == [
        "row", "x", *(f"more_{i}" for i in range(5)), "more_7",
    ]  # fmt: skip
    page.get_by_label("Show all 10 columns").focus()
    page.keyboard.press("Space")
    heads.nth(9).wait_for(state="visible")
    heads.nth(7).wait_for(state="visible")
    assert all(heads.nth(i).is_visible() for i in range(10))
    assert column(page, 1) == ["b", "a", "c"]
    page.get_by_role("button", name="x", exact=True).focus()
    page.keyboard.press("Enter")
    assert (column(page, 1), heads.nth(1).get_attribute("aria-sort")) == (["a", "b", "c"], "ascending")
    page.keyboard.press("Enter")
    assert (column(page, 1), heads.nth(1).get_attribute("aria-sort")) == (["b", "a", "c"], "descending")
    page.get_by_role("button", name="row", exact=True).first.click()
    assert (column(page, 1), heads.nth(1).get_attribute("aria-sort")) == (["a", "b", "c"], None)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert said == [shown.as_uri()]
    page.close()


def test_paper_has_all_that_the_screen_folds_away(chromium: Browser, shown: Path) -> None:
    page = chromium.new_page()
    page.goto(shown.as_uri())
    page.emulate_media(media="print")
    heads = page.locator("#section-3-table thead th")
    assert all(heads.nth(i).is_visible() for i in range(10))
    assert page.locator("#section-3-1 img").is_visible()
    assert not page.get_by_label("Show all 10 columns").is_visible()
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_in_the_way_of_assistive_technology(chromium: Browser, shown: Path, scheme: str) -> None:
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(shown.as_uri())
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    context.close()
