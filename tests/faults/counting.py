"""Counts the faults that tests inject, and how many of them the project survives; pytest tells both at the end."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Faults:
    """The faults of one test. A fault that raises out of its block was not survived."""

    def __init__(self) -> None:
        self.injected = 0
        self.survived = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Inject a fault, and check what the project made of it, within this block."""
        self.injected += 1
        yield
        self.survived += 1

    def many(self, injected: int, survived: int) -> None:
        """Count faults that another process injected."""
        self.injected += injected
        self.survived += survived


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> Iterator[Faults]:
    """Return the counter of the faults that a test injects."""
    counter = Faults()
    yield counter
    request.node.user_properties.append(("faults", (counter.injected, counter.survived)))


class Summary:
    """Adds up what the tests counted, in whichever process they ran."""

    def __init__(self) -> None:
        self.injected = 0
        self.survived = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take what a finished test counted."""
        if report.when == "teardown":
            for name, counts in report.user_properties:
                if name == "faults":
                    injected, survived = counts  # type: ignore[misc]  # whatever a test attached
                    self.injected += injected
                    self.survived += survived

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print both sums, where any fault was injected."""
        if self.injected:
            terminalreporter.write_line(f"{self.injected} faults injected, {self.survived} survived")


def pytest_configure(config: pytest.Config) -> None:
    """Register the summary."""
    config.pluginmanager.register(Summary(), "faults-summary")
