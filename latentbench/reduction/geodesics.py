"""Geodesic distances: shortest paths along a graph that joins each point to its neighbours."""

import warnings
from collections.abc import Iterator

import numba
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.neighbors import radius_neighbors_graph

from latentbench import compiled
from latentbench.core import progress
from latentbench.core.errors import InputError
from latentbench.neighbors.search import Neighbors, closest_pairs

_LANES = 16  # sources that are processed together: float32 values of one cache line and one vector register
_REACH = 4000  # points around a source, at least, among which the rest of its group is looked for
_REACHES = 4  # as many points as hold a group on average: a group that is not full costs as much as a full one
# Groups of sources yielded at once: at most this many, and this many float32 lengths, but at least one per thread.
_SLAB, _SLAB_NUMBERS = 16, 2**26
_MOST_EDGES = 2**31  # positions in a graph are counted in 32 bits
_MOST_MEETINGS = 10**11  # comparisons of points of different parts, which take an hour


def graph_by_count(near: Neighbors, n_neighbors: int, unit: float = 1.0) -> csr_array:
    """Return the symmetric graph in which each point is joined to its first `n_neighbors`, lengths float64.

    Args:
        near: of each point among the others, at least `n_neighbors`.
        n_neighbors: how many of them are joined.
        unit: what distances are multiplied by.
    """
    n = len(near.indices)
    rows = np.repeat(np.arange(n, dtype=np.int32), n_neighbors)
    columns = near.indices[:, :n_neighbors].astype(np.int32).ravel()
    return _symmetric(rows, columns, (near.distances[:, :n_neighbors] * unit).ravel(), n)


def graph_by_radius(points: np.ndarray, radius: float, p: int, unit: float = 1.0) -> csr_array:
    """Return the symmetric graph in which points (n, d) within `radius` of each other are joined, lengths float64.

    `radius` is in the units of distances after they are multiplied by `unit`. Points are held in memory as floats.
    """
    points = points.astype(np.float32) if points.dtype == np.uint8 else points  # what scikit-learn is fast with
    found = radius_neighbors_graph(points, radius / unit, mode="distance", p=p).tocoo()
    return _symmetric(found.row, found.col, found.data * unit, len(points))


def undirected(graph: csr_array, n: int) -> csr_array:
    """Return a graph (n, n) in which each edge leads both ways, lengths float64; a symmetric one stays as it is.

    scikit-learn's `kneighbors_graph` has edges that lead one way.

    Raises:
        InputError: it has a different number of points, or a length is negative or not finite.
    """
    if graph.shape != (n, n):
        raise InputError(f"the neighbour graph of {n} points must have the shape ({n}, {n}), not {graph.shape}")
    edges = graph.tocoo()
    wrong = np.count_nonzero(~((edges.data >= 0.0) & np.isfinite(edges.data)))
    if wrong:
        raise InputError(f"a neighbour graph's lengths must be finite and not negative; {wrong} of {edges.nnz} are not")
    return _symmetric(edges.row, edges.col, edges.data, n)


def joined(graph: csr_array, points: np.ndarray, p: int, unit: float = 1.0) -> tuple[csr_array, int]:
    """Join each pair of parts of a graph by their shortest edge; return it and how many parts there were.

    As scikit-learn's Isomap does.

    Args:
        graph: (n, n) symmetric.
        points: (n, d), between which the lengths of new edges are measured.
        p: 2 for Euclidean distance, 1 for the sum of absolute differences.
        unit: what distances between points are multiplied by.

    Raises:
        InputError: the parts are so many and so large that comparing their points would take hours.

    Warns:
        UserWarning: there was more than one part.
    """
    n_parts, parts = connected_components(graph, directed=False)
    if n_parts == 1:
        return graph, 1
    sizes = np.bincount(parts).astype(np.float64)
    if (len(parts) ** 2 - np.square(sizes).sum()) / 2 > _MOST_MEETINGS:
        raise InputError(f"the neighbour graph has {n_parts} parts, too many to join: use more neighbours")
    warnings.warn(
        f"the neighbour graph has {n_parts} parts; joining each pair by its shortest connection", stacklevel=3
    )
    edges = graph.tocoo()
    low, high, apart = closest_pairs(points, parts, p=p, label="joining the parts")
    bridges = (low, high, apart * unit)
    rows, columns, lengths = ([old, new] for old, new in zip((edges.row, edges.col, edges.data), bridges, strict=True))
    whole = _symmetric(np.concatenate(rows), np.concatenate(columns), np.concatenate(lengths), len(points))
    return whole, int(n_parts)


def _symmetric(rows: np.ndarray, columns: np.ndarray, lengths: np.ndarray, n: int) -> csr_array:
    # A sparse graph treats a stored zero as no edge, so duplicates are joined by the smallest length there is.
    lengths = np.maximum(lengths, np.finfo(np.float32).tiny)
    directed = csr_array((lengths, (rows, columns)), shape=(n, n))
    graph = csr_array(directed.maximum(directed.T))
    graph.sort_indices()
    return graph


def shortest_paths(
    graph: csr_array, sources: np.ndarray, label: str = "geodesics"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the lengths of the shortest paths from sources to every point, exact up to the rounding of float32 sums.

    Sources are taken in groups of 16 that lie near each other. Dijkstra's algorithm runs once per group, from its first
    source. The order in which it settles the points is nearly right for the other sources too. So all sixteen are
    relaxed along it together, with one vector instruction per edge, again and again until nothing changes: then every
    distance satisfies Bellman's equation.

    Args:
        graph: (n, n) symmetric in one part, with positive lengths.
        sources: (m,) indices of points.
        label: what the progress bar says.

    Yields:
        Positions (k,) in `sources`, and the path lengths (k, n) float32 from those; each position once.

    Raises:
        InputError: the graph has 2^31 edges or more.
    """
    if graph.nnz >= _MOST_EDGES:
        raise InputError(f"a graph of {graph.nnz:,} edges is too large: it must have fewer than 2^31")
    n_threads = compiled.use_threads()
    edges = graph.indptr.astype(np.int32), graph.indices.astype(np.int32), graph.data
    n = graph.shape[0]
    reach = min(n, max(_REACH, _REACHES * _LANES * n // max(1, len(sources))))
    groups = _groups(*edges, sources.astype(np.int64), reach)
    n_groups = min(len(groups), max(n_threads, min(_SLAB, _SLAB_NUMBERS // (_LANES * n))))
    ways = np.empty((n_groups * _LANES, n), dtype=np.float32)
    with progress.counter(total=len(sources), desc=label, unit="source", delay=1.0) as bar:
        for start in range(0, len(groups), n_groups):
            slab = groups[start : start + n_groups]
            _follow_groups(*edges, sources, slab, ways, n_threads)
            filled = np.flatnonzero(slab.ravel() >= 0)
            yield slab.ravel()[filled], ways[filled]
            bar.update(len(filled))


@compiled.loop()
def _groups(
    starts: np.ndarray, targets: np.ndarray, lengths: np.ndarray, sources: np.ndarray, reach: int
) -> np.ndarray:
    """Group each source with the nearest ones, among so many points, that are in no group yet: -1 for none."""
    n = len(starts) - 1
    position = np.full(n, -1, np.int64)
    for i in range(len(sources)):
        position[sources[i]] = i
    distance, order = np.empty(n), np.empty(n, np.int32)
    keys, items = np.empty(len(targets) + 1), np.empty(len(targets) + 1, np.int32)
    groups = np.full((len(sources), _LANES), -1, np.int64)
    n_groups = 0
    for i in range(len(sources)):
        if position[sources[i]] < 0:
            continue
        settled = _dijkstra(starts, targets, lengths, sources[i], reach, distance, order, keys, items)
        filled = 0
        for rank in range(settled):
            point = order[rank]
            if position[point] >= 0 and filled < _LANES:
                groups[n_groups, filled] = position[point]
                position[point] = -1
                filled += 1
        n_groups += 1
    return groups[:n_groups]


@compiled.loop()
def _dijkstra(
    starts: np.ndarray,
    targets: np.ndarray,
    lengths: np.ndarray,
    source: int,
    limit: int,
    distance: np.ndarray,
    order: np.ndarray,
    keys: np.ndarray,
    items: np.ndarray,
) -> int:
    """Settle up to `limit` points nearest first (Dijkstra 1959): fill `distance` and `order`, return how many.

    `keys` and `items` have room for a binary heap with one entry per edge: a point may be in it several times, and
    counts when it is first taken out.
    """
    distance[:] = np.inf
    distance[source] = 0.0
    keys[0], items[0], size, settled = 0.0, source, 1, 0
    while size > 0 and settled < limit:
        key, point = keys[0], items[0]
        size -= 1
        _sift_down(keys, items, size)
        if key > distance[point]:
            continue
        order[settled] = point
        settled += 1
        for edge in range(starts[point], starts[point + 1]):
            other, way = targets[edge], key + lengths[edge]
            if way < distance[other]:
                distance[other] = way
                place = size
                size += 1
                while place > 0 and keys[(place - 1) // 2] > way:
                    keys[place], items[place] = keys[(place - 1) // 2], items[(place - 1) // 2]
                    place = (place - 1) // 2
                keys[place], items[place] = way, other
    return settled


@compiled.loop()
def _sift_down(keys: np.ndarray, items: np.ndarray, size: int) -> None:
    """Close the gap at the top of a heap with the entry at `size`, its last one."""
    key, item, place = keys[size], items[size], 0
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and keys[child + 1] < keys[child]:
            child += 1
        if keys[child] >= key:
            break
        keys[place], items[place] = keys[child], items[child]
        place = child
    keys[place], items[place] = key, item


@compiled.loop(parallel=True)
def _follow_groups(
    starts: np.ndarray,
    targets: np.ndarray,
    lengths: np.ndarray,
    sources: np.ndarray,
    groups: np.ndarray,
    out: np.ndarray,
    n_threads: int,
) -> None:
    """Fill a row of `out` for each place in `groups` (k, _LANES) that names a source."""
    n = len(starts) - 1
    short_lengths = lengths.astype(np.float32)
    for thread in numba.prange(n_threads):
        distance, order = np.empty(n), np.empty(n, np.int32)
        keys, items = np.empty(len(targets) + 1), np.empty(len(targets) + 1, np.int32)
        ways = np.empty((n, _LANES), np.float32)
        for group in range(thread, len(groups), n_threads):
            _dijkstra(starts, targets, lengths, sources[groups[group, 0]], n, distance, order, keys, items)
            # No path is longer than the one through the first source; rounded up, so that none is too short.
            ways[:] = np.inf
            for lane in range(_LANES):
                if groups[group, lane] >= 0:
                    source = sources[groups[group, lane]]
                    for point in range(n):
                        ways[point, lane] = (distance[point] + distance[source]) * (1.0 + 1e-6)
                    ways[source, lane] = 0.0
            _relax(starts, targets, short_lengths, order, ways)
            for lane in range(_LANES):
                if groups[group, lane] >= 0:
                    for point in range(n):
                        out[group * _LANES + lane, point] = ways[point, lane]


@compiled.loop(fastmath={"nnan"})
def _relax(starts: np.ndarray, targets: np.ndarray, lengths: np.ndarray, order: np.ndarray, ways: np.ndarray) -> None:
    """Shorten paths (n, _LANES) through neighbours, point by point along an order, until none can be shortened."""
    best = np.empty(_LANES, np.float32)
    stale = np.ones(len(order), np.bool_)  # a neighbour's path has changed since the point was last visited
    changed = True
    while changed:
        changed = False
        for point in order:
            if not stale[point]:
                continue
            stale[point] = False
            for lane in range(_LANES):
                best[lane] = ways[point, lane]
            for edge in range(starts[point], starts[point + 1]):
                for lane in range(_LANES):
                    best[lane] = min(best[lane], ways[targets[edge], lane] + lengths[edge])
            shorter = False
            for lane in range(_LANES):
                shorter |= best[lane] < ways[point, lane]
                ways[point, lane] = best[lane]
            if shorter:
                changed = True
                for edge in range(starts[point], starts[point + 1]):
                    stale[targets[edge]] = True
