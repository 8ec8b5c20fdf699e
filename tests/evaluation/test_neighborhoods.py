"""Trustworthiness and continuity at perfect, useless and hand-computed embeddings, and against scikit-learn."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from latentbench.evaluation import neighborhoods
from latentbench.neighbors.search import nearest


def kept(original: np.ndarray, embedding: np.ndarray, k: int) -> tuple[float, float]:
    """Return trustworthiness and continuity."""
    n = len(original)
    near_original = nearest(original, original, k, exclude_self=True).indices
    near_embedding = nearest(embedding, embedding, k, exclude_self=True).indices
    (there,) = neighborhoods.ranks(original, [near_embedding])
    (back,) = neighborhoods.ranks(embedding, [near_original])
    return neighborhoods.kept_share(there, k, n), neighborhoods.kept_share(back, k, n)


@pytest.mark.parametrize("k", [5, 15, 50])
def test_they_are_scikit_learns(points: np.ndarray, k: int) -> None:
    few = points[:700].astype(np.float64)
    flat = PCA(2).fit_transform(few)
    trust, continuity = kept(few, flat, k)
    assert trust == pytest.approx(trustworthiness(few, flat, n_neighbors=k), abs=1e-9)
    assert continuity == pytest.approx(trustworthiness(flat, few, n_neighbors=k), abs=1e-9)


def test_they_are_what_the_definition_says(rng: np.random.Generator) -> None:
    """Written out with sorted lists and sets, as in the paper."""
    original, embedding, k = rng.normal(size=(40, 5)), rng.normal(size=(40, 2)), 4
    orders = [np.argsort(cdist(space, space) + np.diag(np.full(40, np.inf)), axis=1) for space in (original, embedding)]
    expected = []
    for first, second in (orders, orders[::-1]):
        excess = 0
        for i in range(40):
            for j in set(second[i, :k]) - set(first[i, :k]):
                excess += list(first[i]).index(j) + 1 - k
        expected.append(1 - 2 * excess / (40 * k * (80 - 3 * k - 1)))
    assert kept(original, embedding, k) == pytest.approx(expected, abs=1e-12)


def test_a_perfect_and_a_shuffled_embedding(points: np.ndarray, rng: np.random.Generator) -> None:
    few = points[:500]
    assert kept(few, 3 * few[:, ::-1], 10) == (1.0, 1.0)
    shuffled = kept(few, few[rng.permutation(500)], 10)
    assert all(0.4 < value < 0.6 for value in shuffled)


def test_four_points_by_hand() -> None:
    # The embedding exchanges the third and the fourth point.
    original = np.array([[0.0], [1.0], [3.0], [7.0], [20.0]])
    embedding = np.array([[0.0], [1.0], [7.0], [3.0], [20.0]])
    (there,) = neighborhoods.ranks(original, [nearest(embedding, embedding, 1, exclude_self=True).indices])
    assert there[:, 0].tolist() == [1, 1, 3, 2, 2]
    assert neighborhoods.kept_share(there, 1, 5) == pytest.approx(1 - 2 * 4 / (5 * (10 - 3 - 1)))
    # Ranks of 2 and 3 miss the neighbourhood by 1 and by 2.
    misses = np.array([0, 0, 2, 1, 1])
    assert neighborhoods.kept_shares(there, 1, 5).tolist() == pytest.approx((1 - misses * 2 / 6).tolist())


def test_a_neighbourhood_of_half_the_points_is_refused() -> None:
    with pytest.raises(ValueError, match=r"below 5\.0, not 5"):
        neighborhoods.kept_share(np.ones((10, 5), dtype=np.int64), 5, 10)
