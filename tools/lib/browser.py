"""A headless Chromium that draws in software and reaches nothing but this machine, for tests and benchmarks."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

MISSING = "no Chromium is on PATH: install it (apt-get install chromium, or your system's package) and run this again"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",  # there is no user to start one for in a container
    "--enable-unsafe-swiftshader",  # WebGL without a GPU, for the peers of the benchmark
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


def find() -> Path | None:
    """Return the program of Chromium, or None where there is none."""
    return next((Path(path) for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def running(program: Path) -> Iterator[Browser]:
    """Start Chromium with a profile of its own, and end it in the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
