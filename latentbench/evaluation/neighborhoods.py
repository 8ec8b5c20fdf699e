"""How well an embedding keeps neighbourhoods: trustworthiness and continuity (Venna & Kaski 2006)."""

from collections.abc import Sequence

import numba
import numpy as np

from latentbench import compiled
from latentbench.core import progress
from latentbench.core.errors import InputError, check_finite

_BLOCK = 500


def ranks(points: np.ndarray, others: Sequence[np.ndarray], label: str = "ranks") -> list[np.ndarray]:
    """Rank given points by their distance from each point: 1 for its nearest neighbour, 2 for the next.

    Args:
        points: (n, d).
        others: arrays (n, k) of indices; row i names points other than i.
        label: what the progress bar says.

    Returns:
        An array (n, k) int64 for each of `others`.

    Raises:
        InputError: a coordinate is not finite.
    """
    check_finite(points, "coordinates of points")
    compiled.use_threads()
    centred = points - points.mean(axis=0, dtype=np.float64)
    squares = np.square(centred).sum(axis=1)
    found = [np.empty(each.shape, dtype=np.int64) for each in others]
    for start in progress.bar(range(0, len(points), _BLOCK), desc=label, unit="block"):
        block = slice(start, start + _BLOCK)
        distances = squares[block, None] + squares - 2.0 * centred[block] @ centred.T
        distances[np.arange(len(distances)), np.arange(start, start + len(distances))] = np.inf
        for indices, ranked in zip(others, found, strict=True):
            _rank(distances, indices[block], ranked[block])
    return found


def kept_share(ranked: np.ndarray, k: int, n: int) -> float:
    """Return the mean of `kept_shares`: trustworthiness or continuity."""
    return float(kept_shares(ranked, k, n).mean())


def kept_shares(ranked: np.ndarray, k: int, n: int) -> np.ndarray:
    """Return, for each point, 1 minus the normalised excess of the ranks of its first k, (m,) float64.

    Its mean over all n points is trustworthiness (Venna & Kaski 2006, eq. 1) if `ranked` are the ranks in the original
    space of the nearest points in the embedding, and continuity (eq. 2) if it is the other way round. 1 is perfect; a
    random embedding has about 0.5.

    Args:
        ranked: (m, at least k), what `ranks` returned for nearest neighbours.
        k: size of the neighbourhood.
        n: number of points.

    Raises:
        InputError: k is not below n / 2, as the normalisation requires.
    """
    if not 1 <= k < n / 2:
        raise InputError(f"the size of a neighbourhood must be at least 1 and below {n / 2}, not {k}")
    excess = np.maximum(ranked[:, :k] - k, 0).sum(axis=1)
    shares: np.ndarray = 1.0 - 2.0 * excess / (k * (2 * n - 3 * k - 1))
    return shares


@compiled.loop(parallel=True)
def _rank(distances: np.ndarray, others: np.ndarray, ranked: np.ndarray) -> None:
    for row in numba.prange(len(others)):
        for column in range(others.shape[1]):
            limit = distances[row, others[row, column]]
            nearer = 0
            for point in range(distances.shape[1]):
                nearer += distances[row, point] < limit
            ranked[row, column] = nearer + 1
