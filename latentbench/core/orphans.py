"""Whether those who started a process are still alive: without them, nobody takes its results or guards its writes."""

import os
from collections.abc import Sequence
from pathlib import Path

from latentbench.core.errors import LatentbenchError

DIED = "the run that started this stage has died"


class OrphanedError(LatentbenchError):
    """The process that started this one has died, so nobody would take its results."""


def ancestors_until(variable: str) -> list[int]:
    """Return the ids of the parent, its parent and so on, up to the first that lacks an environment variable.

    That is the process that set the variable for its descendants, even with a shell or `torchrun` in between. Where the
    system does not show other processes' environments (no /proc), it is only the parent.

    Raises:
        OrphanedError: that process has already died, and another has adopted the one below it.
    """
    numbers = [os.getppid()]
    while _has(numbers[-1], variable):
        parent = _parent_of(numbers[-1])
        if parent is None:
            break
        numbers.append(parent)
    below = numbers[-2] if len(numbers) > 1 else 0
    if os.getsid(numbers[-1]) != os.getsid(below):  # a process starts in the session of its parent
        raise OrphanedError(DIED)
    return numbers


def is_orphan(ancestors: Sequence[int]) -> bool:
    """Return whether one of these has died: the parent of this process, its parent, and so on."""
    number = os.getpid()
    for ancestor in ancestors:
        if _parent_of(number) != ancestor:  # another process adopts the children of one that dies
            return True
        number = ancestor
    return False


def check(ancestors: Sequence[int]) -> None:
    """Make sure that none of these has died.

    Raises:
        OrphanedError: one has.
    """
    if is_orphan(ancestors):
        raise OrphanedError(DIED)


def _parent_of(number: int) -> int | None:
    if number == os.getpid():
        return os.getppid()
    try:
        status = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[1])  # after a name in parentheses, which may hold any character


def _has(number: int, variable: str) -> bool:
    try:
        environment = Path(f"/proc/{number}/environ").read_bytes()
    except OSError:
        return False
    return any(entry.startswith(f"{variable}=".encode()) for entry in environment.split(b"\0"))
