"""How many CPU threads the numerical libraries use."""

import torch
from threadpoolctl import threadpool_limits

from latentbench import machine


def use(threads: int | None) -> int:
    """Let torch, NumPy's BLAS and our compiled loops use this many threads; return how many.

    None means all that the process may use.

    Sums in another order round differently, so outputs are byte-identical only with the same number of threads.
    """
    count = threads or machine.n_cores()
    torch.set_num_threads(count)
    threadpool_limits(count)
    return count


def in_use() -> int:
    """Return how many threads `use` set, or else torch's own choice."""
    return torch.get_num_threads()
