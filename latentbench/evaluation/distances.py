"""How well an embedding keeps distances, and the order of all neighbours: rank correlation, stress and co-ranking.

All scores compare the same n points in two spaces and need n^2 numbers: for large sets, a part is scored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latentbench.core.errors import InputError, check_finite

_N_GROUPS = 20  # of points, over which an interval is taken
_LEAST = 4  # points; with fewer, a neighbourhood is one point or all


class Space:
    """Points in one space, with what the scores need of them.

    Args:
        distances: (n, n) float64, symmetric.

    Raises:
        InputError: there are fewer than 4 points.
    """

    def __init__(self, distances: np.ndarray) -> None:
        if len(distances) < _LEAST:
            raise InputError(f"comparing distances needs at least {_LEAST} points, not {len(distances)}")
        self.distances = distances

    @classmethod
    def of(cls, points: np.ndarray) -> "Space":
        """Return the space of points (n, d) and their Euclidean distances.

        Raises:
            InputError: a coordinate is not finite, or there are fewer than 4 points.
        """
        from scipy.spatial.distance import pdist, squareform

        check_finite(points, "coordinates of points")
        return cls(squareform(pdist(np.asarray(points, dtype=np.float64))))

    def part(self, index: np.ndarray) -> "Space":
        """Return the space of some of the points."""
        return Space(self.distances[np.ix_(index, index)])

    @cached_property
    def pairs(self) -> np.ndarray:
        """The distance of each pair, (n (n - 1) / 2,)."""
        found: np.ndarray = self.distances[np.triu_indices(len(self.distances), 1)]
        return found

    @cached_property
    def ordered(self) -> np.ndarray:
        """The ranks of these distances, from 1; equal ones share their mean rank."""
        from scipy.stats import rankdata

        found: np.ndarray = rankdata(self.pairs)
        return found

    @cached_property
    def places(self) -> np.ndarray:
        """The rank of each point among the neighbours of each, (n, n) int64: 1 for the nearest, 0 for the point itself.

        Among points at the same distance, the lower index comes first.
        """
        apart = self.distances.copy()
        np.fill_diagonal(apart, -1.0)
        order = apart.argsort(axis=1, kind="stable")
        found = np.empty_like(order)
        np.put_along_axis(found, order, np.arange(len(order))[None], axis=1)
        return found


@dataclass(frozen=True)
class Estimate:
    """A score, and the ends of its 95% interval over points."""

    value: float
    low: float
    high: float


def spearman(first: Space, second: Space) -> float:
    """Return Spearman's rank correlation of the distances of all pairs (Spearman 1904); 0 if one set is constant."""
    a, b = (each.ordered - each.ordered.mean() for each in (first, second))
    scale = np.sqrt(np.square(a).sum() * np.square(b).sum())
    return float((a * b).sum() / scale) if scale > 0.0 else 0.0


def stress(first: Space, second: Space) -> float:
    """Return the normalised stress of the second space's distances at their best scale, from 0 to 1.

    sqrt(sum (d - s e)^2 / sum d^2) over all pairs (Kruskal 1964), with the s that minimises it: the unit of distances
    does not matter. 1 if all points of the second space are the same.

    Raises:
        InputError: all points of the first space are the same.
    """
    d, e = first.pairs, second.pairs
    if not d.any():
        raise InputError("stress is undefined when all points are the same")
    squares = np.square(d).sum() * np.square(e).sum()
    return float(np.sqrt(max(0.0, 1.0 - (d * e).sum() ** 2 / squares))) if squares > 0.0 else 1.0


def common_neighbors(first: Space, second: Space) -> np.ndarray:
    """Return how many of each point's K nearest are the same in both spaces, (n, n - 1) int64, for K from 1 on.

    A point is among the K nearest in both once K reaches the larger of its two ranks. Summed over all points, these are
    the sums of the upper left blocks of the co-ranking matrix (Lee & Verleysen 2009).
    """
    n = len(first.places)
    later = np.maximum(first.places, second.places)  # 0 for the point itself
    counts = np.bincount((np.arange(n)[:, None] * n + later).ravel(), minlength=n * n).reshape(n, n)
    found: np.ndarray = counts[:, 1:].cumsum(axis=1)
    return found


def q_nx(common: np.ndarray) -> np.ndarray:
    """Return Q_NX(K), the mean share of the K nearest points that are the same, (n - 1,) (Lee & Verleysen 2009).

    Args:
        common: (n, n - 1), what `common_neighbors` returned.
    """
    shares: np.ndarray = common.mean(axis=0) / np.arange(1, common.shape[1] + 1)
    return shares


def r_nx(common: np.ndarray) -> np.ndarray:
    """Return R_NX(K) for K from 1 to n - 2, (n - 2,): Q_NX beyond chance, 1 where all are the same (Lee et al. 2015).

    ((n - 1) Q_NX(K) - K) / (n - 1 - K). Arguments as for `q_nx`.
    """
    most = common.shape[1]
    k = np.arange(1, most)
    found: np.ndarray = (most * q_nx(common)[:-1] - k) / (most - k)
    return found


def areas(common: np.ndarray) -> np.ndarray:
    """Return each point's own area under R_NX over log K, (n,); their mean is that of all (Lee et al. 2015).

    The mean of R_NX(K) with weights 1 / K, so that small neighbourhoods count most: 1 is perfect, 0 is chance.
    Arguments as for `q_nx`.
    """
    most = common.shape[1]
    k = np.arange(1, most)
    above = (most * common[:, :-1] / k - k) / (most - k)
    found: np.ndarray = above @ (1.0 / k) / (1.0 / k).sum()
    return found


def groups(n: int, generator: np.random.Generator) -> list[np.ndarray]:
    """Split n points into groups at random, 20 if there are enough, each of at least 4: arrays of indices.

    Raises:
        InputError: there are too few for two groups.
    """
    if n < 2 * _LEAST:
        raise InputError(f"an interval needs at least {2 * _LEAST} points, not {n}")
    return np.array_split(generator.permutation(n), min(_N_GROUPS, n // _LEAST))


def of_pairs(
    score: Callable[[Space, Space], float], first: Space, second: Space, parts: Sequence[np.ndarray]
) -> Estimate:
    """Return a score of pairs of points with its interval.

    The score of a single group leaves out the pairs across groups. Where these add little, as in a mean over pairs
    whose error comes from the points (Hoeffding 1948), the mean of the groups' scores varies as much as the score of
    all points, or a little more.

    Args:
        score: such as `spearman`.
        first, second: the spaces.
        parts: what `groups` returned.
    """
    return _over_groups(score(first, second), [score(first.part(each), second.part(each)) for each in parts])


def of_points(values: np.ndarray, parts: Sequence[np.ndarray]) -> Estimate:
    """Return the mean of values (n,) of points with its interval over the same groups."""
    return _over_groups(float(values.mean()), [float(values[each].mean()) for each in parts])


def _over_groups(value: float, by_group: Sequence[float]) -> Estimate:
    """Return a score with Student's t interval, from its values in groups of equal size."""
    from scipy import stats

    n = len(by_group)
    half_width = float(stats.t.ppf(0.975, n - 1) * np.std(by_group, ddof=1) / np.sqrt(n))
    return Estimate(value, max(value - half_width, -1.0), min(value + half_width, 1.0))
