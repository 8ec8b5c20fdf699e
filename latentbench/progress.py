"""Progress bars for long work: live on a terminal, a line now and then in a log file."""

import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

_LOG_INTERVAL_S = 20.0


T = TypeVar("T")


def bar(work: Iterable[T] | None = None, **options: Any) -> "tqdm[T]":
    """Return a tqdm bar over `work` (or one to be updated by hand, with `total`).

    Written to a file instead of a terminal it prints at most every 20 s, so that logs stay short.
    """
    interval = 0.1 if sys.stderr.isatty() else _LOG_INTERVAL_S
    return tqdm(work, mininterval=interval, maxinterval=interval, dynamic_ncols=True, **options)


def note(text: str) -> None:
    """Print one line to the terminal or log, without breaking a bar that is being drawn."""
    tqdm.write(text, file=sys.stderr)
