"""UMAP against umap-learn piece by piece, and by what its maps keep."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE, trustworthiness
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from latentbench.core.errors import InputError
from latentbench.neighbors.search import nearest
from latentbench.reduction import umap
from latentbench.reduction.umap import UMAP

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ImportWarning)  # it would like to have TensorFlow
    from umap import umap_ as peer


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 1,000 images of digits as points, (n, 64) float32, and their labels."""
    points, labels = load_digits(return_X_y=True)
    return points[:1000].astype(np.float32), labels[:1000]


@pytest.fixture(scope="module")
def fitted(digits: tuple[np.ndarray, np.ndarray]) -> UMAP:
    """Return a map of the digits."""
    return UMAP(seed=3).fit(digits[0])


def test_kernels_and_graph_are_umap_learns(
    digits: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("smooth_knn_dist", "compute_membership_strengths"):
        monkeypatch.setattr(peer, name, getattr(peer, name).py_func)  # compiling them takes longer
    points = digits[0][:400].copy()
    points[10:14] = points[9]  # duplicates
    near = nearest(points, points, 9, exclude_self=True)
    with_self = np.c_[np.zeros(400), near.distances].astype(np.float32)
    sigma, rho = peer.smooth_knn_dist(with_self, 10.0)
    ours = umap.smoothed(near.distances)
    np.testing.assert_allclose(ours, (rho, sigma), atol=1e-4)
    graph, _, _ = peer.fuzzy_simplicial_set(
        points,
        10,
        np.random.RandomState(0),
        "euclidean",
        knn_indices=np.c_[np.arange(400), near.indices],
        knn_dists=with_self,
    )
    found = umap.fuzzy_graph(near)
    np.testing.assert_allclose(found.toarray(), graph.toarray(), atol=1e-5)
    np.testing.assert_array_equal(found.toarray(), found.T.toarray())


@pytest.mark.parametrize(("min_dist", "spread"), [(0.1, 1.0), (0.0, 1.0), (0.5, 2.0)])
def test_the_curve_is_umap_learns(min_dist: float, spread: float) -> None:
    assert umap.curve(min_dist, spread) == pytest.approx(peer.find_ab_params(spread, min_dist), rel=1e-6)


@pytest.mark.parametrize("spread", [0.01, 100.0])
def test_the_curve_fits_at_any_scale(spread: float) -> None:
    """A search in the map's own units ends at negative parameters, of which there is no such curve."""
    a, b = umap.curve(0.99 * spread, spread)
    x = np.linspace(0.0, 3.0 * spread, 100)
    wanted = np.where(x < 0.99 * spread, 1.0, np.exp(-(x / spread - 0.99)))
    assert np.abs(1.0 / (1.0 + a * x ** (2.0 * b)) - wanted).max() < 0.15
    assert (a * spread ** (2.0 * b), b) == pytest.approx(umap.curve(0.99, 1.0))


def accuracy(space: np.ndarray, labels: np.ndarray) -> float:
    """Return the accuracy of 5 nearest neighbours, fitted to the first two thirds, on the others."""
    n = 2 * len(labels) // 3
    return float(KNeighborsClassifier(5).fit(space[:n], labels[:n]).score(space[n:], labels[n:]))


def test_a_map_is_as_good_as_t_sne_and_better_than_its_start(
    digits: tuple[np.ndarray, np.ndarray], fitted: UMAP
) -> None:
    points, labels = digits
    start = UMAP(n_epochs=0).fit_transform(points)
    there = TSNE(init="pca", random_state=0, max_iter=500).fit_transform(points)
    scores = {
        name: (trustworthiness(points, flat, n_neighbors=10), accuracy(flat, labels))
        for name, flat in (("start", start), ("umap", fitted.embedding_), ("t-sne", there))
    }
    assert scores["start"][0] < 0.85
    assert scores["start"][1] < 0.7
    assert scores["umap"][0] > scores["t-sne"][0] - 0.01
    assert scores["umap"][1] > max(0.95, scores["t-sne"][1] - 0.02)


def test_equal_seeds_give_equal_bytes(digits: tuple[np.ndarray, np.ndarray], fitted: UMAP) -> None:
    points = digits[0]
    assert clone(fitted).fit_transform(points).tobytes() == fitted.embedding_.tobytes()
    few = [UMAP(seed=seed, n_epochs=5).fit_transform(points[:300]) for seed in (1, 2)]
    assert not np.array_equal(*few)
    # Principal components decide where things are, not the seed.
    assert abs(np.corrcoef(few[0][:, 0], few[1][:, 0])[0, 1]) > 0.9


def test_points_are_placed_between_their_neighbours(
    digits: tuple[np.ndarray, np.ndarray], fitted: UMAP, rng: np.random.Generator
) -> None:
    points = digits[0]
    np.testing.assert_array_equal(fitted.transform(points), fitted.embedding_)
    between = points[:50] + rng.normal(scale=2.0, size=(50, 64)).astype(np.float32)
    distances, indices = NearestNeighbors(n_neighbors=8).fit(points).kneighbors(between)
    expected = np.stack(
        [
            np.average(fitted.embedding_[near], axis=0, weights=1 / far)
            for near, far in zip(indices, distances, strict=True)
        ]
    )
    np.testing.assert_allclose(fitted.transform(between), expected, rtol=1e-4, atol=1e-4)


def test_points_that_are_one_and_the_same_are_mapped(rng: np.random.Generator) -> None:
    points = np.repeat(rng.normal(size=(3, 4)).astype(np.float32), 30, axis=0)
    flat = UMAP(n_epochs=20, n_neighbors=5).fit_transform(points)
    assert np.isfinite(flat).all()
    assert len(np.unique(flat, axis=0)) == 90
    assert np.isfinite(UMAP(n_epochs=2, n_neighbors=5).fit_transform(np.ones((20, 4), np.float32))).all()


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"n_neighbors": 1}, "n_neighbors must be at least 2, not 1"),
        ({"min_dist": 1.0}, "below spread"),
        ({"n_components": 5}, "n_components must be in 1..4"),
        ({"n_epochs": -1}, "n_epochs must be at least 0"),
    ],
)
def test_what_is_out_of_range_is_told(params: dict[str, float], says: str, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match=says):
        UMAP(**params).fit(rng.normal(size=(20, 4)))
