"""Loops compiled by Numba, on as many threads as all else."""

import numba

from latentbench import threads


def use_threads() -> int:
    """Let compiled loops use the threads that `threads.use` set, as far as there are; return how many."""
    count: int = min(threads.in_use(), numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(count)
    return count
