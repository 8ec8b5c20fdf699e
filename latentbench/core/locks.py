"""Locks between processes: the operating system releases them when their process ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latentbench.core import progress
from latentbench.core.artifacts import ArtifactError

_UNTIL_NAMED_S = 0.2  # whoever gets a lock writes its process id into the file right after


@contextmanager
def held(path: Path, doing: str) -> Iterator[bool]:
    """Hold the lock file at `path` while the block runs, then remove it; yield whether another process had it first.

    While another process has it, wait, and say so.

    Args:
        path: of the lock file.
        doing: what a process that has it is doing, such as "is training the same model".

    Raises:
        ArtifactError: the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock, waited = _acquire(path, doing)
    except OSError as error:
        raise ArtifactError(f"cannot lock {path}: {error}") from error
    try:
        yield waited
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)


def _acquire(path: Path, doing: str) -> tuple[int, bool]:
    waited = False
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_UNTIL_NAMED_S)
            holder = os.pread(lock, 20, 0).decode()
            progress.note(f"process {holder or 'unknown'} {doing}; waiting for it to end ({path})")
            fcntl.flock(lock, fcntl.LOCK_EX)
            waited = True
        # Whoever had it may have removed the file while we waited: then we hold a lock that nobody sees.
        if _is_at(lock, path):
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock, waited
        os.close(lock)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
