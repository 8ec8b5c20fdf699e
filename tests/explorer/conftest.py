"""One browser and one server of the small run's page, which the tests of this folder share."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from latentbench import explore
from tests.explorer.session import Session
from tests.pipeline.workspace import Workspace
from tools.lib import browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Return a running Chromium."""
    program = browser.find()
    assert program is not None, browser.MISSING
    with browser.running(program) as running:
        yield running


@pytest.fixture(scope="session")
def address(finished: Workspace, chromium: Browser) -> Iterator[str]:  # noqa: ARG001 - no browser, no run needed
    """Return where the page of the small run is served."""
    serving = explore.server(finished.folder / "data" / "explorer", 0)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    yield f"http://{explore.HOST}:{serving.server_port}/"
    serving.shutdown()
    serving.server_close()
    thread.join()


@pytest.fixture
def session(chromium: Browser, address: str) -> Iterator[Session]:
    """Return an empty page of its own, which must write nothing to the console and ask no other machine."""
    opened = Session(chromium, address)
    yield opened
    opened.close()
    assert not opened.strangers, "the page asked other machines"
    assert not opened.said, "the page wrote to the console"
