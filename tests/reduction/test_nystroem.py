"""Kernel PCA by landmarks, against scikit-learn's own and its Nyström features."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.decomposition import KernelPCA as Peer
from sklearn.kernel_approximation import Nystroem

from latentbench.core.errors import InputError
from latentbench.reduction import nystroem
from latentbench.reduction.nystroem import KernelPCA


def assert_same_up_to_signs(ours: np.ndarray, theirs: np.ndarray) -> None:
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours, theirs * signs, atol=2e-5 * np.abs(theirs).max())


def test_with_all_points_as_landmarks_it_is_scikit_learns_kernel_pca(points: np.ndarray) -> None:
    few, new = points[:200], points[200:260]
    scale = nystroem.median_distance(few)
    ours = KernelPCA.fit(few, few, 8, scale)
    theirs = Peer(8, kernel="rbf", gamma=1 / (2 * scale**2)).fit(few.astype(np.float64))
    assert_same_up_to_signs(ours.scores(few), theirs.transform(few))
    assert_same_up_to_signs(ours.scores(new), theirs.transform(new))
    np.testing.assert_allclose(ours.variances, theirs.eigenvalues_ / 199, rtol=1e-6)


def test_with_some_landmarks_it_is_pca_of_scikit_learns_features(points: np.ndarray) -> None:
    few, new = points[:300].astype(np.float64), points[300:340].astype(np.float64)
    theirs = Nystroem(gamma=0.01, n_components=40, random_state=0).fit(few)
    landmarks = few[theirs.component_indices_]
    ours = KernelPCA.fit(few, landmarks, 6, 50**0.5)
    components = PCA(6, svd_solver="full").fit(theirs.transform(few))
    assert_same_up_to_signs(ours.scores(new), components.transform(theirs.transform(new)))


def test_scores_of_the_fitted_points_are_centred_uncorrelated_and_signed(points: np.ndarray) -> None:
    ours = KernelPCA.fit(points[:5000], points[:30], 5, 10.0)  # more than one block of points
    scores = ours.scores(points[:5000]).astype(np.float64)
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.cov(scores.T), np.diag(ours.variances), atol=1e-6)
    assert (np.diff(ours.variances) <= 0).all()
    largest = np.abs(ours.projection).argmax(axis=0)
    assert (ours.projection[largest, np.arange(5)] > 0).all()
    np.testing.assert_array_equal(ours.scores(points[:50], 2), ours.scores(points[:50])[:, :2])


def test_duplicates_among_landmarks_change_nothing(points: np.ndarray) -> None:
    twice = np.r_[points[:20], points[:20]]
    once = KernelPCA.fit(points[:100], points[:20], 4, 10.0)
    assert_same_up_to_signs(KernelPCA.fit(points[:100], twice, 4, 10.0).scores(points), once.scores(points))


def test_the_median_distance_is_scipys(points: np.ndarray) -> None:
    assert nystroem.median_distance(points[:90]) == pytest.approx(np.median(pdist(points[:90].astype(np.float64))))


def test_what_cannot_be_is_told(points: np.ndarray) -> None:
    few = points[:10]
    for n_components, bandwidth, says in ((11, 1.0, r"1\.\.10, the landmarks, not 11"), (2, 0.0, "above 0, not 0.0")):
        with pytest.raises(InputError, match=says):
            KernelPCA.fit(few, few, n_components, bandwidth)
    with pytest.raises(InputError, match="landmarks hold NaN or infinity in 1 of 10 rows"):
        KernelPCA.fit(few, np.where(np.arange(10)[:, None] == 3, np.nan, few), 2, 1.0)
    with pytest.raises(InputError, match="2 points, not 1"):
        KernelPCA.fit(few[:1], few, 2, 1.0)
    with pytest.raises(InputError, match="2 points, not 1"):
        nystroem.median_distance(few[:1])
