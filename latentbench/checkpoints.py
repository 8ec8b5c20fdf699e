"""The state of an unfinished training run on disk, so that a killed run resumes where it stopped."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from latentbench.core import artifacts, locks, orphans
from latentbench.core.errors import LatentbenchError
from latentbench.core.orphans import OrphanedError


class CheckpointError(LatentbenchError):
    """A file does not hold the state of the training run that would resume from it."""


class Checkpoint:
    """The file that holds the latest state of a training run. `locked` creates one.

    Args:
        path: the file.
        interval_s: minimum number of seconds between two saves.
        ancestors: ids of the processes whose death ends the training, as `orphans.ancestors_until` returns them.
    """

    def __init__(self, path: Path, interval_s: float, ancestors: Sequence[int] = ()) -> None:
        self.path = path
        self._interval_s, self._ancestors = interval_s, list(ancestors)
        self._saved_at = time.monotonic()

    def part(self, name: str) -> "Checkpoint":
        """Return the checkpoint for one of several networks trained in the same run; it is removed with this one."""
        return Checkpoint(
            self.path.with_name(f"{self.path.stem}-{name}{self.path.suffix}"), self._interval_s, self._ancestors
        )

    def load(self) -> bytes | None:
        """Return the latest state, or None if there is none.

        Raises:
            ArtifactError: the file cannot be read.
        """
        return artifacts.read_bytes(self.path) if self.path.exists() else None

    def is_due(self) -> bool:
        """Return whether it is time to save: the interval has passed, or an ancestor has died."""
        return orphans.is_orphan(self._ancestors) or time.monotonic() - self._saved_at >= self._interval_s

    def save(self, state: bytes) -> None:
        """Replace the previous state with `state`; it appears whole or not at all.

        Raises:
            ArtifactError: it cannot be written; the previous state is kept.
            OrphanedError: it is saved, but an ancestor has died: there is no point in continuing.
        """
        artifacts.write_bytes(self.path, state)
        self._saved_at = time.monotonic()
        self.check_ancestors()

    def check_ancestors(self) -> None:
        """Make sure that somebody is still waiting for the results.

        Raises:
            OrphanedError: an ancestor has died; the latest state is kept.
        """
        if orphans.is_orphan(self._ancestors):
            raise OrphanedError(f"{orphans.DIED}; its state is kept: run it again to resume")


@contextmanager
def locked(path: Path, interval_s: float, ancestors: Sequence[int] = ()) -> Iterator[Checkpoint]:
    """Lock the checkpoint at `path` for this process and yield it; remove it when the block succeeds.

    It is kept if an ancestor has died: nobody takes the results then, and the next run resumes from it. While another
    process holds it, wait, and say so.

    Raises:
        ArtifactError: the folder cannot be written to.
        OrphanedError: an ancestor died before the block ended.
    """
    with locks.held(path.with_suffix(".lock"), "is training the same model"):
        checkpoint = Checkpoint(path, interval_s, ancestors)
        yield checkpoint
        checkpoint.check_ancestors()
        for kept in path.parent.glob(f"{path.stem}*{path.suffix}"):  # it and its parts
            kept.unlink()
