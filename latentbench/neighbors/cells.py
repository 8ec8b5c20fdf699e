"""Approximate nearest neighbours among many points: an inverted file (Jégou, Douze & Schmid 2011, section 4).

The points are assigned to cells around the centres that k-means finds. The neighbours of a cell's points are looked for
in the cells nearest to it, and there exactly, by the same search as in `nearest`. Neighbours in other cells are missed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from latentbench import compiled
from latentbench.core import progress
from latentbench.core.errors import InputError, check_finite
from latentbench.neighbors import search
from latentbench.neighbors.search import Neighbors, Turn, nearest

_PER_CELL = 32  # points that k-means sees for each cell
_N_ROUNDS = 10  # of k-means
_BLOCK = 8192  # points that are assigned at once


@dataclass(frozen=True)
class Cells:
    """Points in cells.

    Attributes:
        turn: the axes that distances are bounded in.
        rows: (n, at most 99) float32, what `turn.rows` makes of the points.
        members: (n,) int64, the points cell by cell, rising within each.
        starts: (c + 1,) where the cells start in `members`.
        order: (c, c) int64, for each cell all cells by their distance from it, itself first.
    """

    turn: Turn
    rows: np.ndarray
    members: np.ndarray
    starts: np.ndarray
    order: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray, generator: np.random.Generator) -> "Cells":
        """Assign points (n, d) to about the square root of n cells."""
        n = len(points)
        turn = Turn.of(points, points)
        rows = turn.rows(points)
        n_cells = max(1, round(n**0.5))
        sample = np.sort(generator.permutation(n)[: _PER_CELL * n_cells])
        centres = _k_means(rows[sample, :-2], n_cells)
        cell = _nearest_centre(rows[:, :-2], centres)
        members = np.argsort(cell, kind="stable")
        starts = np.r_[0, np.bincount(cell, minlength=n_cells).cumsum()]
        apart = _squares(centres, centres)
        np.fill_diagonal(apart, -np.inf)
        return cls(turn, rows, members, starts, apart.argsort(axis=1, kind="stable"))

    def pairs(self, n_probes: int, least: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the points of each non-empty cell, and those of the cells nearest to it, both rising.

        Args:
            n_probes: how many nearest cells are taken.
            least: more cells are taken until there are at least this many points.
        """
        sizes = self.starts[1:] - self.starts[:-1]
        for cell in np.flatnonzero(sizes).tolist():
            taken = max(n_probes, int(np.searchsorted(sizes[self.order[cell]].cumsum(), least)) + 1)
            yield self._of(cell), np.sort(np.concatenate([self._of(each) for each in self.order[cell, :taken]]))

    def _of(self, cell: int) -> np.ndarray:
        return self.members[self.starts[cell] : self.starts[cell + 1]]


def nearest_in_cells(
    points: np.ndarray,
    k: int,
    n_probes: int,
    generator: np.random.Generator,
    *,
    label: str = "neighbours",
) -> Neighbors:
    """Find most of the k nearest others of each of many points, by Euclidean distance.

    It computes n * `n_probes` * sqrt(n) bounds, where all pairs are n^2 / 2. Besides the points, which may be a memory
    map, it needs memory for some 100 numbers of each.

    Args:
        points: (n, d) float32, float64 or uint8.
        k: 1 to n - 1.
        n_probes: cells that are searched for each point, its own among them.
        generator: for choosing the points that k-means sees.
        label: what the progress bar says.

    Raises:
        InputError: k or `n_probes` is out of range, or a coordinate is not finite.
    """
    check(len(points), k, n_probes)
    check_finite(points, "coordinates of points")
    compiled.use_threads()
    cells = Cells.of(points, generator)

    def found() -> Iterator[tuple[np.ndarray, Neighbors]]:
        for members, others in cells.pairs(n_probes, k + 1):
            rows = cells.rows[members], cells.rows[others]
            yield members, among(members, others, points[members], points[others], *rows, cells.turn, k)

    return gathered(found(), len(points), k, label)


def check(n: int, k: int, n_probes: int) -> None:
    """Refuse a k or an `n_probes` that is impossible for n points.

    Raises:
        InputError: one of them is out of range.
    """
    if not 1 <= k < n:
        raise InputError(f"k must be in 1..{n - 1} for {n} points, not {k}")
    if n_probes < 1:
        raise InputError(f"n_probes must be at least 1, not {n_probes}")


def gathered(parts: Iterable[tuple[np.ndarray, Neighbors]], n: int, k: int, label: str) -> Neighbors:
    """Join the k neighbours of parts of n points, given by index, into those of all, with a progress bar."""
    indices, distances = np.zeros((n, k), np.int64), np.zeros((n, k))
    with progress.counter(total=n, desc=label, unit="point", unit_scale=True, delay=1.0) as bar:
        for members, near in parts:
            indices[members], distances[members] = near.indices, near.distances
            bar.update(len(members))
    return Neighbors(indices, distances)


def among(
    members: np.ndarray,
    others: np.ndarray,
    points: np.ndarray,
    other_points: np.ndarray,
    rows: np.ndarray,
    other_rows: np.ndarray,
    turn: Turn,
    k: int,
) -> Neighbors:
    """Return the k nearest of `others` to each of `members`, which are among them; indices are those of all points.

    Args:
        members, others: (q,) and (m,) indices of points, the latter rising.
        points, other_points: (q, d) and (m, d), the points themselves.
        rows, other_rows: what `turn.rows` makes of them.
        turn: of all points.
        k: below m.
    """
    own = np.searchsorted(others, members)
    found = search.search(points, other_points, rows, other_rows, turn, own, k)
    return Neighbors(others[found.indices], found.distances)


def recall(points: np.ndarray, near: Neighbors, n: int, generator: np.random.Generator) -> float:
    """Return the share of the true nearest neighbours that were found, of `n` points drawn at random, or of all.

    Args:
        points: (m, d), all points.
        near: of each of them among the others.
        n: how many points are checked.
        generator: for the draw.
    """
    some = np.sort(generator.permutation(len(points))[:n])
    k = near.indices.shape[1]
    true = nearest(points[some], points, k, own=some, label="recall").indices
    shares = [np.isin(one, other).mean() for one, other in zip(true, near.indices[some], strict=True)]
    return float(np.mean(shares))


def _k_means(points: np.ndarray, n_cells: int) -> np.ndarray:
    """Return the centres (n_cells, d) that Lloyd's method (1982) finds in points (n, d), starting from some of them.

    The starting points are spread evenly over the points. A cell that loses all its points keeps its centre.
    """
    centres = points[np.linspace(0, len(points) - 1, n_cells).astype(int)].astype(np.float64)
    for _ in range(_N_ROUNDS):
        cell = _nearest_centre(points, centres.astype(np.float32))
        order = np.argsort(cell, kind="stable")
        filled, starts, counts = np.unique(cell[order], return_index=True, return_counts=True)
        centres[filled] = np.add.reduceat(points[order].astype(np.float64), starts, axis=0) / counts[:, None]
    found: np.ndarray = centres.astype(np.float32)
    return found


def _nearest_centre(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    blocks = (points[start : start + _BLOCK] for start in range(0, len(points), _BLOCK))
    found: np.ndarray = np.concatenate([_squares(block, centres).argmin(axis=1) for block in blocks])
    return found


def _squares(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return squared distances (n, c), up to a number for each point that is the same for all centres."""
    left, right = torch.from_numpy(np.ascontiguousarray(points)), torch.from_numpy(centres)
    found: np.ndarray = torch.addmm(right.square().sum(dim=1), left, right.T, alpha=-2.0).numpy()
    return found
