"""How many CPU threads the numerical libraries use."""

import os

import torch
from threadpoolctl import threadpool_limits


def use(threads: int | None) -> int:
    """Let torch, NumPy's BLAS and our compiled loops use so many threads; return how many.

    None is all that the process may use.

    Sums in another order round differently, so outputs are byte-identical at equal threads only.
    """
    count = threads or _available()
    torch.set_num_threads(count)
    threadpool_limits(count)
    return count


def in_use() -> int:
    """Return how many threads `use` set, or else torch's own choice."""
    return torch.get_num_threads()


def _available() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
