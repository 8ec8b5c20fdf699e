"""A line for each running stage, with the last line of its log, and one for the stages that wait."""

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from tqdm import tqdm

from latentbench.core import progress

if TYPE_CHECKING:
    from tools.lib.engine import Done, Task

_LOG_INTERVAL_S = 60.0
_TAIL = 400  # bytes at the end of a log that are searched for its last line
_N_NAMED = 6


class Board:
    """Lines that are redrawn on a terminal; in a file, a line now and then.

    Args:
        about: returns more lines about the run.
    """

    def __init__(self, about: Callable[[], Sequence[str]] = tuple) -> None:
        self._about, self.is_live = about, sys.stderr.isatty()
        self._lines: list[tqdm[NoReturn]] = []
        self._drawn = time.monotonic()
        self._took, self._expected = 0.0, 0.0
        self.n_done = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in reversed(self._lines):
            line.close()
        self._lines = []

    def started(self, task: "Task") -> None:
        """Say that a task has started, where lines are not redrawn."""
        if not self.is_live:
            gpu = f" on GPU {task.gpu}" if task.gpu else ""
            progress.note(f"{task.name}: started{gpu}")

    def ended(self, done: "Done") -> None:
        """Say that a task is over, and how long it took."""
        took = time.monotonic() - done.task.started
        if done.error is None:
            self.n_done += 1
            if done.task.seconds:
                self._took, self._expected = self._took + took, self._expected + done.task.seconds
        progress.note(f"{done.task.name}: {'done' if done.error is None else 'failed'} after {clock(took)}")

    def left(self, task: "Task") -> float | None:
        """Return the seconds that a task has left, from its last measured time and the speed of this run."""
        if task.seconds is None:
            return None
        ratio = self._took / self._expected if self._expected else 1.0
        ran = time.monotonic() - task.started if task.started else 0.0
        return max(0.0, task.seconds * ratio - ran)

    def show(self, running: Sequence["Task"], waiting: Sequence["Task"]) -> None:
        """Draw the lines."""
        names = [task.name for task in waiting]
        named = ", ".join(names[:_N_NAMED]) + (f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else "")
        last = f"{self.n_done} done, {len(running)} running, {len(waiting)} waiting{': ' if names else ''}{named}"
        if not self.is_live:
            if time.monotonic() - self._drawn >= _LOG_INTERVAL_S:
                self._drawn = time.monotonic()
                for line in (*self._about(), last):
                    progress.note(line)
            return
        texts = [self._line(task) for task in sorted(running, key=lambda task: task.started)]
        texts += [*self._about(), last]
        while len(self._lines) < len(texts):
            self._lines.append(tqdm(bar_format="{desc}", position=len(self._lines), leave=False, dynamic_ncols=True))
        for bar, text in zip(self._lines, texts + [""] * len(self._lines), strict=False):
            bar.set_description_str(text)

    def _line(self, task: "Task") -> str:
        left = self.left(task)
        times = clock(time.monotonic() - task.started) + (f", about {clock(left)} left" if left else "")
        gpu = f" on GPU {task.gpu}" if task.gpu else ""
        return f"{task.name}{gpu} ({times}) {_last_line(task.log)}"


def _last_line(log: Path) -> str:
    """Return the last line of a log; for a progress bar, its newest state."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def clock(seconds: float) -> str:
    """Return a time as people read it, such as 2:05 or 1:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
