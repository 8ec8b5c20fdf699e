"""The state of an unfinished training on disk, so that a killed run goes on where it was."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from latentbench import artifacts, locks
from latentbench.errors import LatentbenchError

_DIED = "the run that started this stage has died; its state is kept, run it again to go on"


class CheckpointError(LatentbenchError):
    """A file does not hold the state of the training that would go on from it."""


class OrphanedError(LatentbenchError):
    """The process that started this one has died, so nobody would take its results."""


class Checkpoint:
    """The one file that holds the newest state of a training. `locked` makes one.

    Args:
        path: the file.
        interval_s: seconds between two saves, at least.
        ancestors: numbers of the processes whose death ends the training, as `ancestors_until` gives them.
    """

    def __init__(self, path: Path, interval_s: float, ancestors: Sequence[int] = ()) -> None:
        self.path = path
        self._interval_s, self._ancestors = interval_s, list(ancestors)
        self._saved_at = time.monotonic()

    def part(self, name: str) -> "Checkpoint":
        """Return the checkpoint of one of several trainings of the same run; it is removed with this one."""
        return Checkpoint(
            self.path.with_name(f"{self.path.stem}-{name}{self.path.suffix}"), self._interval_s, self._ancestors
        )

    def load(self) -> bytes | None:
        """Return the newest state, or None when there is none.

        Raises:
            ArtifactError: the file cannot be read.
        """
        return artifacts.read_bytes(self.path) if self.path.exists() else None

    def is_due(self) -> bool:
        """Tell whether it is time to save: the interval is over, or an ancestor has died."""
        return self._is_orphan() or time.monotonic() - self._saved_at >= self._interval_s

    def save(self, state: bytes) -> None:
        """Put `state` in the place of the one before; it appears whole or not at all.

        Raises:
            ArtifactError: it cannot be written; the one before stays.
            OrphanedError: it is saved, and there is no use in going on.
        """
        artifacts.write_bytes(self.path, state)
        self._saved_at = time.monotonic()
        self.check_ancestors()

    def check_ancestors(self) -> None:
        """Make sure that there is somebody to take the results.

        Raises:
            OrphanedError: an ancestor has died; the newest state is kept.
        """
        if self._is_orphan():
            raise OrphanedError(_DIED)

    def _is_orphan(self) -> bool:
        number = os.getpid()
        for ancestor in self._ancestors:
            if _parent_of(number) != ancestor:  # another adopts the children of a process that dies
                return True
            number = ancestor
        return False


def ancestors_until(variable: str) -> list[int]:
    """Return the numbers of the parent, its parent and so on, up to the first that lacks an environment variable.

    That is the process that set the variable for those below it, even where a shell or `torchrun` stands between.
    Where the system does not tell other processes' environments (no /proc), it is the parent alone.

    Raises:
        OrphanedError: that process has died already, and another has adopted the one below it.
    """
    numbers = [os.getppid()]
    while _has(numbers[-1], variable):
        parent = _parent_of(numbers[-1])
        if parent is None:
            break
        numbers.append(parent)
    below = numbers[-2] if len(numbers) > 1 else 0
    if os.getsid(numbers[-1]) != os.getsid(below):  # a process starts in the session of its parent
        raise OrphanedError(_DIED)
    return numbers


@contextmanager
def locked(path: Path, interval_s: float, ancestors: Sequence[int] = ()) -> Iterator[Checkpoint]:
    """Yield the checkpoint at `path` for the use of this process alone; remove it when the block ends well.

    It stays where an ancestor has died: then the results are nobody's, and the run that follows goes on from it.
    While another process has it, wait, and say so.

    Raises:
        ArtifactError: the folder cannot be written to.
        OrphanedError: an ancestor has died before the block ended.
    """
    with locks.held(path.with_suffix(".lock"), "is training the same"):
        checkpoint = Checkpoint(path, interval_s, ancestors)
        yield checkpoint
        checkpoint.check_ancestors()
        for kept in path.parent.glob(f"{path.stem}*{path.suffix}"):  # it and its parts
            kept.unlink()


def _parent_of(number: int) -> int | None:
    if number == os.getpid():
        return os.getppid()
    try:
        status = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[1])  # a name in parentheses, which may hold any character, then


def _has(number: int, variable: str) -> bool:
    try:
        environment = Path(f"/proc/{number}/environ").read_bytes()
    except OSError:
        return False
    return any(entry.startswith(f"{variable}=".encode()) for entry in environment.split(b"\0"))
