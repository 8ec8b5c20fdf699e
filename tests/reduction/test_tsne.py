"""t-SNE: our neighbours give what openTSNE's own exact ones give, and maps keep what they should."""

import numpy as np
import openTSNE
import pytest
from openTSNE import affinity
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from latentbench.core.errors import InputError
from latentbench.neighbors.search import nearest
from latentbench.reduction import tsne
from latentbench.reduction.pca import PCA


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 500 images of digits as points, (n, 64) float32, no two pairs at one distance, and their labels."""
    points, labels = load_digits(return_X_y=True)
    apart = np.random.default_rng(0).normal(scale=0.01, size=(500, 64))
    return (points[:500] + apart).astype(np.float32), labels[:500]


@pytest.fixture(scope="module")
def mapped(digits: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return a map of the first 400."""
    return tsne.fit(digits[0][:400], 2, perplexity=20.0, n_iter=150)


def test_affinities_are_those_of_the_librarys_own_neighbours(digits: tuple[np.ndarray, np.ndarray]) -> None:
    points = digits[0]
    near = nearest(points, points, 30, exclude_self=True)
    theirs = affinity.PerplexityBasedNN(points.astype(np.float64), perplexity=10, method="exact")
    ours = tsne._affinities(near, 10.0, len(points), 1)
    np.testing.assert_allclose(ours.toarray(), theirs.P.toarray(), atol=1e-8)


def test_new_points_go_where_the_library_places_them(digits: tuple[np.ndarray, np.ndarray], mapped: np.ndarray) -> None:
    points = digits[0].astype(np.float64)
    known = affinity.PerplexityBasedNN(points[:400], perplexity=20, method="exact")
    theirs = openTSNE.TSNEEmbedding(mapped, known, negative_gradient_method="bh").transform(points[400:])
    ours = tsne.place(points[400:], points[:400], mapped)
    np.testing.assert_allclose(ours, np.asarray(theirs), atol=1e-3)


def test_classes_lie_apart_as_they_did_not_before(digits: tuple[np.ndarray, np.ndarray], mapped: np.ndarray) -> None:
    points, labels = digits
    assert mapped.shape == (400, 2)
    assert mapped.dtype == np.float32
    flat = PCA(2).fit(points[:400])
    before = KNeighborsClassifier(5).fit(flat.transform(points[:400]), labels[:400])
    after = KNeighborsClassifier(5).fit(mapped, labels[:400])
    placed = tsne.place(points[400:], points[:400], mapped)
    assert before.score(flat.transform(points[400:]), labels[400:]) < 0.6
    assert after.score(placed, labels[400:]) > 0.8


def test_a_point_is_placed_by_itself(digits: tuple[np.ndarray, np.ndarray], mapped: np.ndarray) -> None:
    new = digits[0][400:420]
    together = tsne.place(new, digits[0][:400], mapped)
    alone = np.concatenate([tsne.place(new[[row]], digits[0][:400], mapped) for row in range(3)])
    np.testing.assert_allclose(alone, together[:3], atol=1e-4 * np.ptp(mapped))


def test_equal_points_give_equal_bytes(digits: tuple[np.ndarray, np.ndarray], mapped: np.ndarray) -> None:
    again = tsne.fit(digits[0][:400], 2, perplexity=20.0, n_iter=150)
    assert again.tobytes() == mapped.tobytes()


def test_what_cannot_be_is_told(digits: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(InputError, match="1 or 2 dimensions here, not 3"):
        tsne.fit(digits[0], 3, perplexity=5.0, n_iter=1)
    with pytest.raises(InputError, match="at least 5 points, not 4"):
        tsne.fit(digits[0][:4], 2, perplexity=5.0, n_iter=1)
