"""Exact neighbours, against scikit-learn and a search written out."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from latentbench.core.errors import InputError
from latentbench.neighbors import search
from latentbench.neighbors.search import nearest


@pytest.mark.parametrize("p", [1, 2])
def test_neighbours_are_scikit_learns(points: np.ndarray, p: int) -> None:
    found = nearest(points[:300], points[1000:], 10, p=p)
    doubles = points.astype(np.float64)
    peer = NearestNeighbors(n_neighbors=10, algorithm="brute", p=p).fit(doubles[1000:])
    distances, indices = peer.kneighbors(doubles[:300])
    assert np.array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-9)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("d", [1, 3, 97, 200])
@pytest.mark.parametrize("kind", ["spread", "grid", "offset", "tiny", "huge", "constant", "sorted"])
def test_nothing_is_missed_whatever_the_points_are_like(p: int, d: int, kind: str, rng: np.random.Generator) -> None:
    """More points than a tile, so that bounds decide; ties everywhere on the grid."""
    n = search._TILE + 300
    points = rng.normal(size=(n, d)) * 0.9 ** np.arange(d)
    if kind == "grid":
        points = np.round(points * 2)
    points = {
        "offset": points + 1e4,
        "tiny": points * 1e-30,
        "huge": points * 1e30,
        "constant": np.zeros((n, d)),
        "sorted": points[np.argsort(-np.abs(points).sum(axis=1))],  # the nearest come last
    }.get(kind, points)
    queries = points[:: n // 15]
    found = nearest(queries, points, 7, p=p)
    exact = cdist(queries, points, "cityblock" if p == 1 else "euclidean")
    order = np.lexsort((np.broadcast_to(np.arange(n), exact.shape), exact), axis=1)[:, :7]
    np.testing.assert_allclose(found.distances, np.take_along_axis(exact, order, axis=1), rtol=1e-9)
    if kind in ("grid", "constant"):
        assert np.array_equal(found.indices, order), "ties go to the lower index"


@pytest.mark.parametrize("kind", ["spread", "flat", "constant", "uint8"])
def test_points_of_more_coordinates_than_there_are_points_are_bounded_as_well(
    kind: str, rng: np.random.Generator
) -> None:
    points = rng.normal(size=(300, 700)) * 0.98 ** np.arange(700)
    flat = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 700))
    whole = rng.integers(0, 256, (300, 700), dtype=np.uint8)
    points = {"flat": flat, "constant": np.ones((300, 700)), "uint8": whole}.get(kind, points)
    turn = search.Turn.of(points, points)
    np.testing.assert_allclose(turn.axes.T @ turn.axes, np.eye(turn.axes.shape[1]), atol=1e-12)
    assert turn.axes.shape[1] == {"flat": 3, "constant": 0}.get(kind, 96)
    rows = turn.rows(points)
    bounds = (torch.from_numpy(rows) @ search._right(rows)).numpy().astype(np.float64)
    exact = cdist(points.astype(np.float64), points.astype(np.float64))
    assert (bounds - turn.slack <= np.square(exact) / turn.unit).all()
    found = nearest(points, points, 4, exclude_self=True)
    np.fill_diagonal(exact, np.inf)
    np.testing.assert_allclose(found.distances, np.sort(exact, axis=1)[:, :4], rtol=1e-9, atol=1e-9)


def test_a_bound_is_never_above_the_true_distance(points: np.ndarray) -> None:
    queries, others = points[:200], points[200:2000]
    turn = search.Turn.of(queries, others)
    bounds = (torch.from_numpy(turn.rows(queries)) @ search._right(turn.rows(others))).numpy().astype(np.float64)
    exact = cdist(queries.astype(np.float64), others.astype(np.float64), "sqeuclidean") / turn.unit
    assert (bounds - turn.slack <= exact).all()
    assert np.median(bounds / exact) > 0.7, "a bound that rules nothing out"


def test_no_point_is_its_own_neighbour_and_duplicates_are_at_distance_zero(points: np.ndarray) -> None:
    doubled = np.concatenate([points[:50], points[:50]])
    found = nearest(doubled, doubled, 3, exclude_self=True)
    assert np.array_equal(found.indices[:, 0], np.r_[50:100, 0:50])
    assert (found.distances[:, 0] == 0).all()
    assert (found.distances[:, 1] > 0).all()


def test_distances_are_the_same_from_either_end(points: np.ndarray) -> None:
    found = nearest(points[:300], points[:300], 299, exclude_self=True)
    matrix = np.zeros((300, 300))
    np.put_along_axis(matrix, found.indices, found.distances, axis=1)
    assert np.array_equal(matrix, matrix.T)


@pytest.mark.parametrize("p", [1, 2])
def test_whole_numbers_are_searched_as_they_are(images: np.ndarray, p: int) -> None:
    pixels = images[:1500].reshape(1500, -1)
    found = nearest(pixels[:200], pixels, 6, p=p)
    exact = cdist(pixels[:200].astype(float), pixels.astype(float), "cityblock" if p == 1 else "euclidean")
    order = np.lexsort((np.broadcast_to(np.arange(1500), exact.shape), exact), axis=1)[:, :6]
    assert np.array_equal(found.indices, order)
    np.testing.assert_allclose(found.distances, np.take_along_axis(exact, order, axis=1), rtol=1e-12)
    as_floats = nearest(pixels[:200].astype(np.float32), pixels, 6, p=p)
    assert np.array_equal(as_floats.indices, found.indices)


@pytest.mark.parametrize("p", [1, 2])
def test_some_of_the_points_are_not_their_own_neighbours_either(points: np.ndarray, p: int) -> None:
    few = points[:2500].copy()
    few[:30] = few[1000:1030]
    rows = np.r_[5, 29, 1005, 2499, 0]
    found, whole = nearest(few[rows], few, 4, p=p, own=rows), nearest(few, few, 4, p=p, exclude_self=True)
    assert np.array_equal(found.indices, whole.indices[rows])
    assert np.array_equal(found.distances, whole.distances[rows])


def test_arrays_are_searched_however_they_lie_in_memory(images: np.ndarray) -> None:
    pixels = images[:600].reshape(600, -1)[:, ::2]
    expected = nearest(np.ascontiguousarray(pixels), np.ascontiguousarray(pixels), 3, exclude_self=True)
    turned = np.asfortranarray(pixels)
    turned.flags.writeable = False
    for laid in (pixels, turned, pixels.astype(">f4")):
        assert np.array_equal(nearest(laid, laid, 3, exclude_self=True).indices, expected.indices)


def test_own_points_are_of_the_queries(points: np.ndarray) -> None:
    with pytest.raises(InputError, match="each of 5 queries"):
        nearest(points[:5], points, 2, own=np.arange(4))
    with pytest.raises(InputError, match="without exclude_self"):
        nearest(points[:5], points[:5], 2, own=np.arange(5), exclude_self=True)


@pytest.mark.parametrize("k", [0, 10])
def test_an_impossible_k_is_refused(points: np.ndarray, k: int) -> None:
    with pytest.raises(ValueError, match=f"k must be in 1..9 for 10 points, not {k}"):
        nearest(points[:10], points[:10], k, exclude_self=True)


def test_non_finite_coordinates_are_refused(points: np.ndarray) -> None:
    bad = points[:20].copy()
    bad[3, 5] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        nearest(points[:5], bad, 2)


@pytest.mark.parametrize("scale", [1e-200, 1e160])
def test_coordinates_without_squares_are_refused(rng: np.random.Generator, scale: float) -> None:
    points = scale * rng.random((20, 3))
    with pytest.raises(InputError, match="float64 cannot hold the square of that; scale them"):
        nearest(points, points, 2, exclude_self=True)
    assert np.array_equal(
        nearest(points, points, 2, p=1).indices, nearest(points / scale, points / scale, 2, p=1).indices
    )


@pytest.mark.parametrize(("p", "metric"), [(1, "cityblock"), (2, "euclidean")])
def test_closest_pairs_of_parts_are_scipys(p: int, metric: str, rng: np.random.Generator) -> None:
    """Where distances are equal the lower indices count: half the points are whole numbers."""
    points, parts = rng.random((150, 3)), rng.permutation(np.arange(150) % 7)
    points[::2] = rng.integers(0, 3, (75, 3))
    distances = cdist(points, points, metric)
    lower, higher, found = search.closest_pairs(points, parts, p=p)
    pairs = [(one, other) for one in range(7) for other in range(one + 1, 7)]
    for place, (one, other) in enumerate(pairs):
        block = np.where((parts == one)[:, None] & (parts == other), distances, np.inf)
        assert (lower[place], higher[place]) == np.unravel_index(block.argmin(), block.shape)
        assert found[place] == pytest.approx(block.min(), rel=1e-12)
    assert len(found) == len(pairs)


@pytest.mark.parametrize("dims", [3, 120])
def test_among_points_of_several_tiles_each_meets_every_other(dims: int) -> None:
    """Each bound is computed once for both of its points; duplicates stand at tiles' ends, and tell ties."""
    points = np.random.default_rng(0).normal(size=(5000, dims)).astype(np.float32)
    points[[1023, 1024, 2048, 4096, 4999]] = points[7]
    found = search.nearest(points, points, 6, exclude_self=True)
    same = search.nearest(points, points, 7)
    for row in range(len(points)):
        others = [(d, i) for d, i in zip(same.distances[row], same.indices[row], strict=True) if i != row][:6]
        assert found.indices[row].tolist() == [i for _, i in others]
        assert found.distances[row].tolist() == [d for d, _ in others]
