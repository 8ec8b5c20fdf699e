"""Principal components and neighbours of Dask arrays: points in pieces, processed by any number of workers.

The results are those of the same steps in one process: workers run `Moments.of` and the search in cells. Dask uses the
active client, or threads of this process if there is none.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.base import compute
from dask.delayed import delayed

from latentbench.core.errors import InputError, check_finite
from latentbench.neighbors.cells import Cells, among, check, gathered
from latentbench.neighbors.search import Neighbors, Turn
from latentbench.reduction.moments import Moments, joined

if TYPE_CHECKING:
    import dask.array as da

_AT_ONCE = 16  # cells, or chunks, that workers are given at a time: results come back before more are sent


class _InPieces:
    """What the search needs of an array, for one whose pieces are computed on demand.

    Args:
        array: (n, d), with known chunk sizes.
    """

    def __init__(self, array: "da.Array") -> None:
        self._array, self.dtype, self.shape = array, array.dtype, array.shape
        self._ends = np.cumsum(array.chunks[0])
        self._last, self._chunk = -1, np.empty(0)  # the chunk that was computed last

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, key: slice) -> np.ndarray:
        """Return rows; for neighbouring ones each chunk is computed once."""
        start, stop, step = key.indices(len(self))
        rows = np.arange(start, stop, step)
        chunks = np.searchsorted(self._ends, rows, side="right")
        parts = [self._of(int(chunk))[rows[chunks == chunk] - self._start(int(chunk))] for chunk in np.unique(chunks)]
        return np.concatenate(parts)

    def _start(self, chunk: int) -> int:
        return int(self._ends[chunk - 1]) if chunk else 0

    def _of(self, chunk: int) -> np.ndarray:
        if chunk != self._last:
            self._last, self._chunk = chunk, np.asarray(self._array.blocks[chunk].compute())
            check_finite(self._chunk, "coordinates of points")
        return self._chunk


def moments(array: "da.Array", unit: float = 1.0) -> Moments:
    """Return the moments of the rows of an array (n, p), for `PCA.fit_moments`.

    They are joined in the order of its chunks: with other chunk sizes, the last digits differ.

    Args:
        array: float32, float64 or uint8, in chunks of whole rows.
        unit: what coordinates are multiplied by first, such as 1/255 for uint8 pixels.

    Raises:
        InputError: a chunk does not hold whole rows.
    """
    _check_rows(array)
    pieces: Any = array
    blocks = (delayed(_moments_of)(block, unit) for block in pieces.to_delayed().ravel())
    return joined(part for some in _batches(blocks) for part in _computed(some) if part is not None)


def nearest_in_cells(array: "da.Array", k: int, n_probes: int, generator: np.random.Generator) -> Neighbors:
    """Find near points of each row of an array, as `latentbench.neighbors.cells.nearest_in_cells` does.

    The cells are made here, from some 100 numbers of each row; workers search them.

    Args:
        array: (n, d) float32, float64 or uint8, in chunks of whole rows.
        k, n_probes, generator: as there.

    Raises:
        InputError: a chunk does not hold whole rows, k or `n_probes` is out of range, or a coordinate is not finite.
    """
    _check_rows(array)
    n = array.shape[0]
    check(n, k, n_probes)
    points: Any = _InPieces(array)
    cells = Cells.of(points, generator)
    turn = delayed(cells.turn)

    def found() -> Iterator[tuple[np.ndarray, Neighbors]]:
        for some in _batches(cells.pairs(n_probes, k + 1)):
            searches = [delayed(_among)(mine, those, array[mine], array[those], turn, k) for mine, those in some]
            yield from zip((mine for mine, _ in some), _computed(searches), strict=True)

    return gathered(found(), n, k, "neighbours")


def _moments_of(block: np.ndarray, unit: float) -> Moments | None:
    """Return the moments of a chunk, None for an empty one, which filters may leave."""
    if not len(block):
        return None
    return Moments.of(block if unit == 1.0 else block * (unit if block.dtype == np.float64 else np.float32(unit)))


def _among(
    members: np.ndarray, others: np.ndarray, points: np.ndarray, other_points: np.ndarray, turn: Turn, k: int
) -> Neighbors:
    """Rotate the points here rather than send them rotated, and search."""
    return among(members, others, points, other_points, turn.rows(points), turn.rows(other_points), turn, k)


def _computed(tasks: list[Any]) -> tuple[Any, ...]:
    found: tuple[Any, ...] = compute(*tasks)  # type: ignore[no-untyped-call]
    return found


def _batches(items: Any) -> Iterator[list[Any]]:
    found = iter(items)
    while some := list(islice(found, _AT_ONCE)):
        yield some


def _check_rows(array: "da.Array") -> None:
    if array.ndim != 2 or array.numblocks[1] != 1:
        raise InputError(f"points must be an array (n, d) in chunks of whole rows, not in chunks {array.chunks}")
