"""The state of an unfinished training on disk, so that a killed run goes on where it was."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from latentbench.core import artifacts, locks, orphans
from latentbench.core.errors import LatentbenchError
from latentbench.core.orphans import OrphanedError


class CheckpointError(LatentbenchError):
    """A file does not hold the state of the training that would go on from it."""


class Checkpoint:
    """The one file that holds the newest state of a training. `locked` makes one.

    Args:
        path: the file.
        interval_s: seconds between two saves, at least.
        ancestors: numbers of the processes whose death ends the training, as `orphans.ancestors_until` gives them.
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
        return orphans.is_orphan(self._ancestors) or time.monotonic() - self._saved_at >= self._interval_s

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
        if orphans.is_orphan(self._ancestors):
            raise OrphanedError(f"{orphans.DIED}; its state is kept, run it again to go on")


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
