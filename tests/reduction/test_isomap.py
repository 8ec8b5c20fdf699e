"""Isomap: against scikit-learn's with every point a landmark, and on shapes whose answer is known."""

import numpy as np
import pytest
from scipy.spatial import procrustes
from sklearn.datasets import make_s_curve
from sklearn.manifold import Isomap as Peer

from latentbench.reduction import isomap, pca


def test_with_every_point_a_landmark_it_is_scikit_learns(points: np.ndarray, rng: np.random.Generator) -> None:
    train, test = points[:400].astype(np.float64), points[400:500].astype(np.float64)
    peer = Peer(n_neighbors=10, n_components=3, eigen_solver="dense").fit(train)
    ours = isomap.fit(train.astype(np.float32), 10, 3, 400, rng)
    np.testing.assert_allclose(ours.geodesics, peer.dist_matrix_, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours.eigenvalues, peer.kernel_pca_.eigenvalues_, rtol=1e-4)
    assert procrustes(ours.embedding, peer.embedding_)[2] < 1e-6
    signs = np.sign(np.sum(ours.embedding * peer.embedding_, axis=0))
    placed = ours.transform(test.astype(np.float32), train.astype(np.float32), 10)
    np.testing.assert_allclose(placed * signs, peer.transform(test), atol=1e-3)


def test_landmarks_tend_to_the_full_embedding(points: np.ndarray) -> None:
    train = points[:600]
    full = isomap.fit(train, 10, 2, 600, np.random.default_rng(0)).embedding
    disparities = [
        procrustes(full, isomap.fit(train, 10, 2, m, np.random.default_rng(0)).embedding)[2] for m in (10, 60, 400)
    ]
    assert disparities[0] > disparities[1] > disparities[2]
    assert disparities[2] < 1e-3


def test_the_s_curve_is_unrolled_where_pca_cannot() -> None:
    shape, along = make_s_curve(1000, random_state=0)
    shape = shape.astype(np.float32)
    unrolled = isomap.fit(shape, 35, 2, 200, np.random.default_rng(0)).embedding
    flat = pca.fit(shape, 2).transform(shape)

    def correlation(embedding: np.ndarray) -> float:
        return max(abs(np.corrcoef(embedding[:, axis], along)[0, 1]) for axis in range(2))

    assert correlation(unrolled) > 0.99
    assert correlation(flat) < 0.95


def test_separate_parts_are_joined_by_their_shortest_edge() -> None:
    line = np.arange(10, dtype=np.float32)
    shape = np.stack([np.r_[line, line + 20, line + 100], np.zeros(30, dtype=np.float32)], axis=1)
    with pytest.warns(UserWarning, match="has 3 parts"):
        graph, n_parts = isomap.neighbor_graph(shape, 2)
    assert n_parts == 3
    assert graph[9, 10] == graph[10, 9] == 11
    assert graph[19, 20] == 71
    with pytest.warns(UserWarning, match="has 3 parts"):
        fitted = isomap.fit(shape, 2, 1, 30, np.random.default_rng(0))
    assert fitted.geodesics[0].tolist() == pytest.approx(shape[:, 0].tolist())
    assert fitted.residual_variance == pytest.approx(0.0, abs=1e-6)


def test_duplicates_stay_connected() -> None:
    line = np.repeat(np.arange(12, dtype=np.float32), 2)[:, None]
    fitted = isomap.fit(line, 3, 1, 24, np.random.default_rng(0))
    assert fitted.n_parts == 1
    np.testing.assert_allclose(np.abs(np.diff(fitted.embedding[::2, 0])), 1.0, atol=1e-4)


@pytest.mark.parametrize(
    ("k", "m", "landmarks", "says"),
    [(20, 2, 10, "k must be in"), (3, 10, 10, "n_components"), (3, 2, 21, "n_landmarks"), (3, 0, 10, "n_components")],
)
def test_impossible_numbers_are_refused(rng: np.random.Generator, k: int, m: int, landmarks: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        isomap.fit(rng.random((20, 4), dtype=np.float32), k, m, landmarks, rng)


def test_more_dimensions_than_there_are_is_refused() -> None:
    line = np.arange(20, dtype=np.float32)[:, None]
    with pytest.raises(ValueError, match="dimensions, fewer than n_components = 15"):
        isomap.fit(line, 2, 15, 20, np.random.default_rng(0))
