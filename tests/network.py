"""Cuts the network off while tests run: this process, the Python processes that it starts, and well-behaved others."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.offline import sitecustomize

NOWHERE = "http://127.0.0.1:9"  # where nothing listens: programs that honour a proxy reach nothing else


def pytest_configure() -> None:
    """Tell the processes that tests start."""
    folder = str(Path(sitecustomize.__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ[name] = os.environ[name.upper()] = NOWHERE
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1,localhost,::1"
    descriptor, os.environ[sitecustomize.ATTEMPTS] = tempfile.mkstemp(prefix="latentbench-network-")
    os.close(descriptor)


def pytest_unconfigure() -> None:
    """Remove the list of attempts."""
    Path(os.environ[sitecustomize.ATTEMPTS]).unlink(missing_ok=True)


@pytest.fixture(autouse=True)
def network_attempts() -> Iterator[Path]:
    """Fail a test that has tried to reach the network, even where what it tests took the refusal for an answer.

    Yields:
        The file with a line for each attempt so far. A test that means to be refused empties it.
    """
    path = Path(os.environ[sitecustomize.ATTEMPTS])
    yield path
    attempts = path.read_text(encoding="utf-8")
    if attempts:
        os.truncate(path, 0)
        pytest.fail(f"the network was asked for:\n{attempts}")
