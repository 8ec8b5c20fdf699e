"""A symmetric matrix in half the memory of a square one."""

from pathlib import Path

import numba
import numpy as np

from latentbench import compiled
from latentbench.core import artifacts

_ROWS = 512


class SymmetricMatrix:
    """A symmetric float32 matrix of which only the lower triangle is kept, in blocks of 512 rows.

    Args:
        n: number of rows and columns.
        file: where to keep it, instead of in memory; it is overwritten.
    """

    def __init__(self, n: int, file: Path | None = None) -> None:
        self.n = n
        self._starts = range(0, n, _ROWS)
        sizes = [min(_ROWS, n - start) * min(start + _ROWS, n) for start in self._starts]
        parts = np.split(artifacts.zeros((sum(sizes),), file), np.cumsum(sizes)[:-1])
        self._blocks = [
            part.reshape(-1, min(start + _ROWS, n)) for part, start in zip(parts, self._starts, strict=True)
        ]

    def set_rows(self, indices: np.ndarray, rows: np.ndarray) -> None:
        """Set whole rows (k, n); of two mirrored entries the one below the diagonal counts."""
        for index, row in zip(indices, rows, strict=True):
            block = self._blocks[index // _ROWS]
            block[index % _ROWS] = row[: block.shape[1]]

    def rows(self, indices: np.ndarray) -> np.ndarray:
        """Return whole rows, (k, n) float32."""
        found = np.empty((len(indices), self.n), dtype=np.float32)
        for start, block in zip(self._starts, self._blocks, strict=True):
            end = block.shape[1]
            inside = (indices >= start) & (indices < end)
            found[inside, :end] = block[indices[inside] - start]
            above = indices < start
            found[above, start:end] = block[:, indices[above]].T
        return found

    def times_squares(self, vector: np.ndarray) -> np.ndarray:
        """Multiply the elementwise squares of the matrix by a vector (n,), float64, reading each entry once."""
        n_threads = compiled.use_threads()
        product = np.zeros(self.n)
        for start, block in zip(self._starts, self._blocks, strict=True):
            _add_squares(block, start, vector, product, n_threads)
        return product


@compiled.loop(parallel=True, fastmath={"reassoc", "contract"})
def _add_squares(block: np.ndarray, start: int, vector: np.ndarray, product: np.ndarray, n_threads: int) -> None:
    """Add what a block of rows and its mirror image contribute to a product."""
    n_rows, n_columns = block.shape
    width = (n_columns + n_threads - 1) // n_threads
    of_rows = np.zeros((n_threads, n_rows))
    for thread in numba.prange(n_threads):
        first, last = thread * width, min((thread + 1) * width, n_columns)
        mirrored = min(last, start)  # columns before the block's own rows also represent entries above the diagonal
        for row in range(n_rows):
            total = 0.0
            weight = vector[start + row]
            for column in range(first, mirrored):
                square = np.float64(block[row, column]) * np.float64(block[row, column])
                total += square * vector[column]
                product[column] += square * weight
            for column in range(max(first, mirrored), last):
                total += np.float64(block[row, column]) * np.float64(block[row, column]) * vector[column]
            of_rows[thread, row] = total
    for thread in range(n_threads):
        for row in range(n_rows):
            product[start + row] += of_rows[thread, row]
