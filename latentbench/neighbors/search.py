"""Exact nearest neighbours: most pairs of points are ruled out by a bound that costs a fraction of their distance.

Rotated so that the first axes carry most of the variance, and cut after p of them, a point x is a head h and a rest of
length r, and |x - y|^2 >= |h_x - h_y|^2 + (r_x - r_y)^2. One matrix product gives this bound for a block of pairs; the
true distance is computed only where the bound is below the k-th distance found so far. If the queries are the points
themselves, each bound is computed once, for both of its points.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
import torch

from latentbench import compiled
from latentbench.core import progress
from latentbench.core.errors import InputError, check_finite

_HEAD = 96  # axes of the bound
_TILE = 1024  # points at a time, which stay in the cache
_BLOCK = 4096  # queries at a time
_SAMPLE = 2000  # points that the axes are found from; any axes are correct, good ones rule out more
_LEAST_SHARE = 1e-10  # of the largest variance along an axis of the bound, if axes are found by products of points
_LANES = 64  # bounds that are compared at once
_LEAST_REACH = 1e-150  # from the mean to the farthest point; squares of less are rounded to zero
_CHUNK = 56  # coordinates of an absolute sum between comparisons with the k-th
_FAST = {"reassoc", "contract", "nsz"}  # sums may be vectorised; infinity keeps its meaning


@dataclass(frozen=True)
class Neighbors:
    """The k nearest points of each query, nearest first, ties broken by the lower index.

    Attributes:
        indices: (n, k) int64 rows of the searched points.
        distances: (n, k) float64.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest(
    queries: np.ndarray,
    points: np.ndarray,
    k: int,
    *,
    p: int = 2,
    exclude_self: bool = False,
    own: np.ndarray | None = None,
    label: str = "neighbours",
) -> Neighbors:
    """Find the exact k nearest points of each query.

    Distances are summed in float64 from differences: duplicates are at distance 0, and d(x, y) = d(y, x). Besides the
    points, which may be a memory map, it needs memory for some 100 numbers of each query.

    Args:
        queries: (n, d) float32, float64 or uint8.
        points: (m, d), likewise.
        k: 1 to m (to m - 1 with `exclude_self` or `own`).
        p: 2 for Euclidean distance, 1 for the sum of absolute differences.
        exclude_self: `queries` are the points themselves, and none is its own neighbour.
        own: (n,) the row of the point that each query is, if they are some of the points: none is its own neighbour.
        label: what the progress bar says.

    Raises:
        InputError: k or p is out of range, or a coordinate is not finite, or so large or small that its square is not;
            or `own` does not fit the queries, or is given with `exclude_self`.
    """
    if own is not None and (exclude_self or len(own) != len(queries)):
        raise InputError(f"own needs one row for each of {len(queries)} queries, without exclude_self")
    available = len(points) - (0 if own is None and not exclude_self else 1)
    if not 1 <= k <= available:
        raise InputError(f"k must be in 1..{available} for {len(points)} points, not {k}")
    if p not in (1, 2):
        raise InputError(f"p must be 1 or 2, not {p}")
    check_finite(points, "coordinates of points")
    if queries is points:
        queries = points = _plain(points)
    else:
        check_finite(queries, "coordinates of queries")
        queries, points = _plain(queries), _plain(points)
    if own is None:
        own = np.arange(len(queries)) if exclude_self else np.full(len(queries), -1)
    compiled.use_threads()
    found = _Found.of(len(queries), k)
    with progress.counter(total=len(queries) * len(points), desc=label, unit="pair", unit_scale=True, delay=1.0) as bar:
        if p == 2:
            turn = Turn.of(queries, points)
            rows = turn.rows(queries)
            _fill(found, queries, points, rows, rows if exclude_self else None, turn, own, bar.update)
        else:
            for tile in range(0, len(points), _TILE):
                n_points = min(_TILE, len(points) - tile)
                for block in range(0, len(queries), _BLOCK):
                    n_queries = min(_BLOCK, len(queries) - block)
                    _merge_absolutes(queries, points, block, n_queries, tile, n_points, own, *found.parts())
                    bar.update(n_queries * n_points)
    return found.neighbors(p)


def _plain(points: np.ndarray) -> np.ndarray:
    """Return points as compiled loops need them: row by row in memory, in native byte order."""
    return np.ascontiguousarray(points, dtype=points.dtype.newbyteorder("="))


@dataclass(frozen=True)
class _Found:
    """The nearest so far: sums of squares or of absolute differences (n, k), and indices."""

    sums: np.ndarray
    indices: np.ndarray

    @classmethod
    def of(cls, n: int, k: int) -> "_Found":
        return cls(np.full((n, k), np.inf), np.zeros((n, k), dtype=np.int64))

    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        return self.sums, self.indices

    def neighbors(self, p: int) -> Neighbors:
        return Neighbors(self.indices, np.sqrt(self.sums) if p == 2 else self.sums)


def search(
    queries: np.ndarray,
    points: np.ndarray,
    of_queries: np.ndarray,
    of_points: np.ndarray,
    turn: "Turn",
    own: np.ndarray,
    k: int,
) -> Neighbors:
    """Find the exact k nearest points of queries that are already rotated, by Euclidean distance.

    Args:
        queries, points: (n, d) and (m, d), row by row in memory.
        of_queries, of_points: what `turn.rows` makes of them.
        turn: of both, or of more points than these.
        own: (n,) the point that each query is, -1 for none.
        k: at most the number of points, not counting the query itself.
    """
    found = _Found.of(len(queries), k)
    _fill(found, queries, points, of_queries, of_points, turn, own)
    return found.neighbors(2)


def _fill(
    found: _Found,
    queries: np.ndarray,
    points: np.ndarray,
    of_queries: np.ndarray,
    of_points: np.ndarray | None,
    turn: "Turn",
    own: np.ndarray,
    done: Callable[[int], object] = lambda _: None,
) -> None:
    """Find the nearest points of queries by Euclidean distance.

    Args:
        found: filled in.
        queries, points, turn, own: as for `search`.
        of_queries, of_points: likewise; None makes the latter tile by tile. If both are one array, the queries are the
            points, and each bound serves both ways.
        done: called with numbers of pairs.
    """
    symmetric = of_points is of_queries
    for tile in range(0, len(points), _TILE):
        those = slice(tile, tile + _TILE)
        right = _right(turn.rows(points[those]) if of_points is None else of_points[those])
        n_points = right.shape[1]
        # Among points themselves, those before the tile have already met it.
        for block in range(tile if symmetric else 0, len(queries), _BLOCK):
            left = torch.from_numpy(of_queries[block : block + _BLOCK])
            bounds: np.ndarray = torch.mm(left, right).numpy()
            known = queries, points, turn.unit, turn.slack
            _merge_squares(bounds, *known, block, tile, own, *found.parts())
            done(len(bounds) * n_points)
            beyond = max(tile + n_points, block)
            if symmetric and beyond < block + len(bounds):
                _merge_transposed(bounds[beyond - block :], *known, tile, beyond, *found.parts())
                done((block + len(bounds) - beyond) * n_points)


def closest_pairs(
    points: np.ndarray, parts: np.ndarray, *, p: int = 2, label: str = "parts"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the closest points of each pair of parts, ties broken by the lower indices.

    Args:
        points: (n, d) float32, float64 or uint8.
        parts: (n,) the part of each, in 0..m - 1.
        p: 2 for Euclidean distance, 1 for the sum of absolute differences.
        label: what the progress bar says.

    Returns:
        Indices in the lower part, indices in the higher part, and distances float64, (m (m - 1) / 2,) each.

    Raises:
        InputError: p is neither 1 nor 2, or there are fewer than two parts.
    """
    if p not in (1, 2):
        raise InputError(f"p must be 1 or 2, not {p}")
    compiled.use_threads()
    points, members = np.ascontiguousarray(points), np.argsort(parts, kind="stable")
    ends = np.cumsum(np.r_[0, np.bincount(parts)])
    n_parts = len(ends) - 1
    if n_parts < 2:
        raise InputError("closest pairs need at least two parts")
    found = []
    for first in progress.bar(range(n_parts - 1), desc=label, unit="part", delay=1.0):
        pairs, sums = np.empty((2, n_parts - first - 1), np.int64), np.empty(n_parts - first - 1)
        _meet(points, members, ends, first, p, pairs, sums)
        found.append((*pairs, np.sqrt(sums) if p == 2 else sums))
    lower, higher, distances = (np.concatenate(each) for each in zip(*found, strict=True))
    return lower, higher, distances


@compiled.loop(parallel=True)
def _meet(
    points: np.ndarray,
    members: np.ndarray,
    ends: np.ndarray,
    first: int,
    p: int,
    pairs: np.ndarray,
    sums: np.ndarray,
) -> None:
    """Fill in the closest points of one part and of each higher one, and their sum of squares or differences."""
    for column in numba.prange(len(sums)):
        second = first + 1 + column
        least = np.inf
        for one in members[ends[first] : ends[first + 1]]:
            for other in members[ends[second] : ends[second + 1]]:
                if p == 2:
                    total = _sum_of_squares(points, one, points, other)
                else:
                    total = _sum_of_differences(points, one, other)
                if total < least:
                    least = total
                    pairs[0, column], pairs[1, column] = one, other
        sums[column] = least


@dataclass(frozen=True)
class Turn:
    """The rotated axes in which distances are bounded.

    A bound is the product of a query's row (-2 head, -2 rest, 1, |x|^2) with a point's column (head, rest, |y|^2, 1).

    Attributes:
        centre: (d,) float64, which is subtracted first.
        axes: (d, at most 96) float64, of the head.
        reach: what coordinates are divided by: squared distances are in multiples of its square, so that no float32
            overflows.
        slack: how far, at most, rounding raises a bound above its exact value.
    """

    centre: np.ndarray
    axes: np.ndarray
    reach: float
    slack: float

    @property
    def unit(self) -> float:
        """What squared distances are in multiples of."""
        return self.reach**2

    @classmethod
    def of(cls, queries: np.ndarray, points: np.ndarray) -> "Turn":
        """Find the axes from points (n, d), for distances to them from queries (m, d).

        Raises:
            InputError: they are so close together or so far apart that float64 cannot hold the squares.
        """
        starts = range(0, len(points), _TILE)
        centre = sum(points[start : start + _TILE].sum(axis=0, dtype=np.float64) for start in starts) / len(points)
        reaches, largest = [0.0], []
        for each in (points,) if queries is points else (queries, points):
            squares = [0.0]
            for start in range(0, len(each), _TILE):
                moved = each[start : start + _TILE] - centre
                reaches.append(float(np.abs(moved).max()))
                with np.errstate(over="ignore"):
                    squares.append(float(np.square(moved).sum(axis=1).max()))
            largest.append(max(squares))
        reach = max(reaches)
        if reach and not _LEAST_REACH < reach < 1.0 / _LEAST_REACH:
            raise InputError(
                f"points lie up to {reach:.1e} from their mean: float64 cannot hold the square of that; scale them"
            )
        reach = reach or 1.0
        axes = _main_axes(points[:: -(-len(points) // _SAMPLE)] - centre)
        # A sum of n products is off by at most n roundings of its terms (Higham 2002, section 3.1), which add up to at
        # most twice the two squares; heads, rests and squares are themselves rounded once.
        roundings = (axes.shape[1] + 3 + 8) * float(np.finfo(np.float32).eps) / 2
        slack = roundings * 2.0 * (largest[0] + largest[-1]) / reach**2
        return cls(centre, axes, reach, slack)

    def rows(self, points: np.ndarray) -> np.ndarray:
        """Return the rows of points (n, d) as queries, (n, at most 99) float32.

        Computed in float64 until the end: the length of the rest is a small difference of squares.
        """
        width = self.axes.shape[1]
        rows = np.ones((len(points), width + 3), np.float32)
        for start in range(0, len(points), _TILE):
            block = slice(start, start + _TILE)
            moved = (points[block] - self.centre) / self.reach
            heads = moved @ self.axes
            whole = np.square(moved).sum(axis=1)
            rest = whole - np.square(heads).sum(axis=1)
            rows[block, :width], rows[block, width] = heads, np.sqrt(rest.clip(min=0.0))
            rows[block, -1] = whole
        rows[:, : width + 1] *= -2.0
        return rows


def _main_axes(sample: np.ndarray) -> np.ndarray:
    """Return the axes (d, at most 96) along which centred points (m, d) vary most, orthonormal."""
    m, d = sample.shape
    if m >= d:
        _, axes = np.linalg.eigh(sample.T @ sample)
        main: np.ndarray = axes[:, ::-1][:, :_HEAD]
        return main
    # For large images, the products of m points are far fewer than those of d pixels.
    squares, sides = np.linalg.eigh(sample @ sample.T)
    kept = squares > _LEAST_SHARE * max(squares[-1], 0.0)  # less is rounding, without a direction
    spans = sample.T @ sides[:, kept][:, ::-1][:, :_HEAD]
    axes, _ = np.linalg.qr(spans)
    return axes


def _right(rows: np.ndarray) -> torch.Tensor:
    """Return the columns of points, given their rows."""
    columns = np.empty(rows.shape[::-1], np.float32)
    columns[:-2] = rows[:, :-2].T * np.float32(-0.5)
    columns[-2], columns[-1] = rows[:, -1], 1.0
    # torch multiplies: our own loops ran twice as fast next to its threads as next to NumPy's.
    return torch.from_numpy(columns)


@compiled.loop(parallel=True, fastmath=_FAST)
def _merge_squares(
    bounds: np.ndarray,
    queries: np.ndarray,
    points: np.ndarray,
    unit: float,
    slack: float,
    first_query: int,
    first_point: int,
    own: np.ndarray,
    sums: np.ndarray,
    indices: np.ndarray,
) -> None:
    """Merge points (columns of the bounds) into the nearest of queries (rows)."""
    for row in numba.prange(bounds.shape[0]):
        query = first_query + row
        ceiling, width = np.inf, bounds.shape[1] // sums.shape[1]
        if sums[query, -1] == np.inf and width > 1:
            # In the first tile, k points, each of least bound in its part, limit how far the k-th can be.
            ceiling = 0.0
            for part in range(sums.shape[1]):
                best, least = 0, np.float32(np.inf)
                for column in range(part * width, (part + 1) * width):
                    if bounds[row, column] < least and first_point + column != own[query]:
                        best, least = column, bounds[row, column]
                ceiling = max(ceiling, _sum_of_squares(queries, query, points, first_point + best))
        limit = np.float32(min(ceiling, sums[query, -1]) / unit + slack)
        for start in range(0, bounds.shape[1], _LANES):
            end = min(start + _LANES, bounds.shape[1])
            if _n_below(bounds[row, start:end], limit) == 0:
                continue
            for column in range(start, end):
                point = first_point + column
                if bounds[row, column] > limit or point == own[query]:
                    continue
                total = _sum_of_squares(queries, query, points, point)
                if total < sums[query, -1]:
                    _insert(sums, indices, query, total, point)
                    limit = np.float32(min(ceiling, sums[query, -1]) / unit + slack)


@compiled.loop(parallel=True, fastmath=_FAST)
def _merge_transposed(
    bounds: np.ndarray,
    queries: np.ndarray,
    points: np.ndarray,
    unit: float,
    slack: float,
    first_query: int,
    first_point: int,
    sums: np.ndarray,
    indices: np.ndarray,
) -> None:
    """Merge points (rows of the bounds) into the nearest of queries (columns); none is both."""
    n_groups = (bounds.shape[1] + _LANES - 1) // _LANES
    for group in numba.prange(n_groups):
        start = group * _LANES
        end = min(start + _LANES, bounds.shape[1])
        limits = np.empty(end - start, np.float32)
        for column in range(start, end):
            limits[column - start] = np.float32(sums[first_query + column, -1] / unit + slack)
        for row in range(bounds.shape[0]):
            if _n_below_each(bounds[row, start:end], limits) == 0:
                continue
            for column in range(start, end):
                if bounds[row, column] > limits[column - start]:
                    continue
                query = first_query + column
                total = _sum_of_squares(queries, query, points, first_point + row)
                if total < sums[query, -1]:
                    _insert(sums, indices, query, total, first_point + row)
                    limits[column - start] = np.float32(sums[query, -1] / unit + slack)


# Counting without a branch, in 32 bits, takes a fraction of the time of checking each.
@compiled.loop(fastmath=_FAST)
def _n_below(bounds: np.ndarray, limit: np.float32) -> np.int32:
    count = np.int32(0)
    for place in range(bounds.shape[0]):
        count += np.int32(bounds[place] <= limit)
    return count


@compiled.loop(fastmath=_FAST)
def _n_below_each(bounds: np.ndarray, limits: np.ndarray) -> np.int32:
    count = np.int32(0)
    for place in range(bounds.shape[0]):
        count += np.int32(bounds[place] <= limits[place])
    return count


@compiled.loop(fastmath=_FAST)
def _sum_of_squares(queries: np.ndarray, query: int, points: np.ndarray, point: int) -> float:
    total = 0.0
    for axis in range(points.shape[1]):
        difference = np.float64(queries[query, axis]) - np.float64(points[point, axis])
        total += difference * difference
    return total


@compiled.loop(fastmath=_FAST)
def _sum_of_differences(points: np.ndarray, one: int, other: int) -> float:
    total = 0.0
    for axis in range(points.shape[1]):
        total += abs(np.float64(points[one, axis]) - np.float64(points[other, axis]))
    return total


@compiled.loop(parallel=True, fastmath=_FAST)
def _merge_absolutes(
    queries: np.ndarray,
    points: np.ndarray,
    first_query: int,
    n_queries: int,
    first_point: int,
    n_points: int,
    own: np.ndarray,
    sums: np.ndarray,
    indices: np.ndarray,
) -> None:
    for row in numba.prange(n_queries):
        query = first_query + row
        for point in range(first_point, first_point + n_points):
            if point == own[query]:
                continue
            total, axis = 0.0, 0
            while axis < points.shape[1] and total <= sums[query, -1]:  # what is already too far is not summed further
                end = min(axis + _CHUNK, points.shape[1])
                for one in range(axis, end):
                    total += abs(np.float64(queries[query, one]) - np.float64(points[point, one]))
                axis = end
            if total < sums[query, -1]:
                _insert(sums, indices, query, total, point)


@compiled.loop()
def _insert(sums: np.ndarray, indices: np.ndarray, query: int, total: float, point: int) -> None:
    """Insert a point into the k nearest so far, after equally near ones: points come in order of their index."""
    place = sums.shape[1] - 1
    while place > 0 and sums[query, place - 1] > total:
        sums[query, place], indices[query, place] = sums[query, place - 1], indices[query, place - 1]
        place -= 1
    sums[query, place], indices[query, place] = total, point
