"""Progress bars for long work: live on a terminal, a line now and then in a log file."""

import sys
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from tqdm import tqdm

_LOG_INTERVAL_S = 20.0


T = TypeVar("T")


def bar(work: Iterable[T], **options: Any) -> "tqdm[T]":
    """Return a tqdm bar over `work`.

    When written to a file instead of a terminal, it prints at most every 20 s, so that logs stay short.
    """
    return tqdm(work, **_intervals(), **options)


def counter(total: int | None = None, **options: Any) -> "tqdm[NoReturn]":
    """Return a tqdm bar that is updated by hand; `delay` in seconds keeps short work from drawing one."""
    return tqdm(total=total, **_intervals(), **options)


def _intervals() -> dict[str, Any]:
    seconds = 0.1 if sys.stderr.isatty() else _LOG_INTERVAL_S
    return {"mininterval": seconds, "maxinterval": seconds, "dynamic_ncols": True}


def note(text: str) -> None:
    """Print one line to the terminal or log, without breaking a bar that is being drawn."""
    tqdm.write(text, file=sys.stderr)
