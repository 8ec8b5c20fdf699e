"""A tab of the browser with the explorer in it."""

import os
import time
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Locator, Request, Route

from latentbench import explore

_PATIENCE = 60.0  # s, on a machine that is busy
_SLOWER = float(os.environ.get("LATENTBENCH_SLOW_BROWSER", "1"))  # times that the page's scripts take as long


class Session:
    """A tab, and what it said and asked for.

    Attributes:
        page: of Playwright.
        said: what was written to the console, and errors that nobody caught.
        strangers: addresses on other machines that were asked for.
    """

    def __init__(self, chromium: Browser, address: str, **options: Any) -> None:
        self._address = address
        self._context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        self._context.route("**/*", self._guard)
        self.page = self._context.new_page()
        if _SLOWER != 1:
            devtools = self._context.new_cdp_session(self.page)
            devtools.send("Emulation.setCPUThrottlingRate", {"rate": _SLOWER})
        self.said: list[str] = []
        self.strangers: list[str] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", self._watch)

    def open(self, fragment: str = "") -> None:
        """Load the page with a part after "#", and wait until its first image is decoded."""
        self.page.goto("about:blank")  # a change after "#" alone would not load it again
        self.page.goto(f"{self._address}#{fragment}")
        self.page.locator(".pane[data-decoded]").first.wait_for()
        self.page.evaluate("latentbench.imagesReady")
        self.settle()

    def close(self) -> None:
        """Close the tab."""
        self._context.close()

    def pane(self, index: int = 0) -> dict[str, Any]:
        """Return what a pane shows."""
        shown: dict[str, Any] = self.page.evaluate("index => latentbench.panes[index]", index)
        return shown

    def settle(self, index: int = 0) -> dict[str, Any]:
        """Wait until a pane's image is that of its latent, and return what it shows."""

        def settled() -> bool:
            shown = self.pane(index)
            return shown["decoded"] is not None and shown["decoded"]["latent"] == shown["latent"]

        self.until(settled)
        return self.pane(index)

    def until(self, true: Any, what: str = "") -> None:
        """Wait until a function returns what is true; the page's policy keeps Playwright from waiting within it."""
        end = time.monotonic() + _PATIENCE
        while not true():
            assert time.monotonic() < end, f"never true: {what or true}"
            time.sleep(0.02)

    def fragment(self) -> str:
        """Return the part of the address after "#", once it is written."""
        self.page.wait_for_timeout(400)
        return urlsplit(self.page.url).fragment

    def hold(self, pattern: str) -> list[Route]:
        """Let requests wait; those that came are in the list, and go on by `continue_`."""
        held: list[Route] = []

        def keep(route: Route) -> None:
            held.append(route)

        self.page.route(pattern, keep)
        return held

    def map(self, pane: str = "a") -> Locator:
        """Return the map of a pane."""
        return self.page.locator(f"[data-pane={pane}] .map")

    def place(self, x: float, y: float, pane: str = "a") -> tuple[float, float]:
        """Return where on the screen a share of the map's width and height is."""
        box = self.map(pane).bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def draw(self, right: float, down: float, steps: int) -> None:
        """Draw a line on the sheet, so many pixels of the screen to the right and down, in so many steps."""
        sheet = self.page.get_by_label("Sheet to draw on")
        sheet.scroll_into_view_if_needed()
        box = sheet.bounding_box()
        assert box is not None
        x, y = box["x"] + 60, box["y"] + 60
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + right, y + down, steps=steps)
        self.page.mouse.up()

    def shown(self, pane: str = "a") -> int:
        """Return how many images the map shows."""
        self.page.wait_for_timeout(50)
        return int(self.map(pane).get_attribute("data-count") or -1)

    def notices(self) -> str:
        """Return the messages that are shown."""
        return self.page.locator("#notices").inner_text()

    def announced(self, text: str) -> None:
        """Wait until screen readers are told something."""
        self.until(lambda: text in (self.page.locator("#announcements").text_content() or ""))

    def _guard(self, route: Route) -> None:
        if self._is_here(route.request.url):
            route.continue_()
        else:
            route.abort()

    def _watch(self, request: Request) -> None:
        if not self._is_here(request.url):
            self.strangers.append(request.url)

    def _hear(self, message: ConsoleMessage) -> None:
        self.said.append(f"{message.type}: {message.text}")

    def _is_here(self, url: str) -> bool:
        return urlsplit(url).hostname == explore.HOST or url.startswith(("data:", "blob:", "about:"))
