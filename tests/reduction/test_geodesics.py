"""Neighbour graphs and shortest ways along them, against SciPy and scikit-learn."""

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, diags_array
from scipy.sparse.csgraph import shortest_path
from sklearn.neighbors import kneighbors_graph, radius_neighbors_graph

from latentbench.core.errors import InputError
from latentbench.neighbors.search import nearest
from latentbench.reduction import geodesics


def graph_of(points: np.ndarray, k: int) -> geodesics.csr_array:
    return geodesics.graph_by_count(nearest(points, points, k, exclude_self=True), k)


def all_ways(graph: geodesics.csr_array, sources: np.ndarray) -> np.ndarray:
    found = np.full((len(sources), graph.shape[0]), np.nan)
    for places, ways in geodesics.shortest_paths(graph, sources):
        assert np.isnan(found[places]).all(), "each source comes once"
        found[places] = ways
    return found


@pytest.mark.parametrize("n_sources", [1, 37, 2000])
def test_ways_are_scipys(points: np.ndarray, n_sources: int) -> None:
    few = points[:2000]
    graph, n_parts = geodesics.joined(graph_of(few, 5), few, 2)
    assert n_parts == 1
    sources = np.random.default_rng(1).permutation(2000)[:n_sources]
    ours = all_ways(graph, sources)
    theirs = shortest_path(kneighbors_graph(few.astype(np.float64), 5, mode="distance"), directed=False)[sources]
    np.testing.assert_allclose(ours, theirs, rtol=2e-6)


def test_ways_are_right_on_a_random_graph_with_lengths_of_all_sizes(rng: np.random.Generator) -> None:
    """Lengths that say nothing of where the points are: the order of one source is no help to another."""
    n = 300
    edges = rng.integers(0, n, (900, 2))
    edges = np.r_[edges, np.c_[np.arange(n - 1), np.arange(1, n)]]
    graph = geodesics._symmetric(edges[:, 0], edges[:, 1], 10.0 ** rng.uniform(-3, 3, len(edges)), n)
    ours = all_ways(graph, np.arange(n))
    np.testing.assert_allclose(ours, shortest_path(graph, directed=False), rtol=1e-5)


def test_parts_are_joined_by_their_shortest_connections() -> None:
    line = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 30.0, 31.0])[:, None]
    with pytest.warns(UserWarning, match="3 parts"):
        graph, n_parts = geodesics.joined(graph_of(line, 1), line, 2)
    assert n_parts == 3
    ways = all_ways(graph, np.arange(8))
    np.testing.assert_allclose(ways, np.abs(line - line.T), rtol=1e-6)


def test_duplicates_stay_joined(points: np.ndarray) -> None:
    doubled = np.concatenate([points[:200], points[:200]])
    graph, _ = geodesics.joined(graph_of(doubled, 12), doubled, 2)
    ways = all_ways(graph, np.arange(400))
    assert np.diagonal(ways[:200, 200:]).max() < 1e-30
    np.testing.assert_allclose(ways[:200], ways[200:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("p", [1, 2])
def test_a_graph_by_radius_is_scikit_learns(points: np.ndarray, p: int) -> None:
    radius = {1: 90.0, 2: 7.0}[p]
    ours = geodesics.graph_by_radius(points[:300], radius, p)
    theirs = radius_neighbors_graph(points[:300].astype(np.float64), radius, mode="distance", p=p)
    assert 600 < ours.nnz < 80_000
    np.testing.assert_allclose(ours.toarray(), theirs.toarray(), rtol=1e-4, atol=1e-4)


def test_slabs_of_few_groups_hold_the_same_ways(points: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, _ = geodesics.joined(graph_of(points[:400], 8), points[:400], 2)
    sources = np.arange(0, 400, 5)
    whole = np.empty((len(sources), 400), np.float32)
    for places, rows in geodesics.shortest_paths(graph, sources):
        whole[places] = rows
    monkeypatch.setattr(geodesics, "_SLAB_NUMBERS", 1)
    slabs = [(places, rows.copy()) for places, rows in geodesics.shortest_paths(graph, sources)]
    assert len(slabs) > 1
    assert all(np.array_equal(rows, whole[places]) for places, rows in slabs)


def test_sources_that_are_far_apart_are_followed_together(monkeypatch: pytest.MonkeyPatch) -> None:
    n, followed = 40_000, []

    def follow(*parts: Any) -> None:
        followed.append((parts[4] >= 0).sum(axis=1).tolist())
        parts[5][:] = 0

    monkeypatch.setattr(geodesics, "_follow_groups", follow)
    chain = csr_array(diags_array([np.ones(n - 1)] * 2, offsets=[-1, 1]))
    list(geodesics.shortest_paths(chain, np.arange(0, n, n // 16)))
    assert followed == [[16]]


def test_parts_that_take_hours_to_join_are_refused(points: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    far = np.concatenate([points[:60], points[60:120] + 50])
    monkeypatch.setattr(geodesics, "_MOST_MEETINGS", 60 * 60 - 1)
    with pytest.raises(InputError, match="has 2 parts, too many to join: use more neighbours"):
        geodesics.joined(graph_of(far, 5), far, 2)
