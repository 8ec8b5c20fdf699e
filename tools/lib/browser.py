"""A headless Chromium that draws in software and connects only to this machine, for tests and benchmarks."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

MISSING = "no Chromium is on PATH: install it (apt-get install chromium, or your system's package) and run this again"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = (
    "--no-sandbox",  # a container has no other user to run the sandbox as
    "--enable-unsafe-swiftshader",  # WebGL without a GPU, for the peers of the benchmark
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


def find() -> Path | None:
    """Return the Chromium executable, or None if there is none."""
    return next((Path(path) for name in _NAMES if (path := shutil.which(name))), None)


@contextmanager
def running(program: Path) -> Iterator[Browser]:
    """Start Chromium with a profile of its own, and close it at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
