"""Loops compiled by Numba, on as many threads as all else."""

import numba

from latentbench import threads


def use_threads() -> int:
    """Let compiled loops use the threads that `threads.use` set, as far as there are; return how many."""
    allowed = threads.in_use()
    count: int = min(allowed, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(count)
    threads.use(allowed)  # as Numba starts its threads, it lets OpenMP, and so torch, use all cores
    return count
