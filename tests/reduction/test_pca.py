"""PCA against scikit-learn's."""

import numpy as np
import pytest
from sklearn.decomposition import PCA as Peer
from sklearn.preprocessing import StandardScaler

from latentbench.core.errors import InputError
from latentbench.reduction import gaussian
from latentbench.reduction.moments import Moments, joined
from latentbench.reduction.pca import PCA


def test_components_variances_scores_and_reconstructions_are_scikit_learns(points: np.ndarray) -> None:
    train, test = points[:3000].astype(np.float64), points[3000:3500].astype(np.float64)
    ours, theirs = PCA(40).fit(train), Peer(40, svd_solver="full").fit(train)
    signs = np.sign(np.sum(ours.components_ * theirs.components_, axis=1))
    np.testing.assert_allclose(ours.components_, theirs.components_ * signs[:, None], atol=1e-8)
    np.testing.assert_allclose(ours.variances_[:40], theirs.explained_variance_, rtol=1e-9)
    np.testing.assert_allclose(ours.variance_shares()[:40], theirs.explained_variance_ratio_, rtol=1e-9)
    np.testing.assert_allclose(ours.transform(test), theirs.transform(test) * signs, atol=1e-5)
    back = theirs.inverse_transform(theirs.transform(test))
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(test)), back, atol=1e-5)


def test_standardized_components_are_scikit_learns_on_scaled_points(points: np.ndarray) -> None:
    train, test = points[:2000, 200:400].astype(np.float64), points[2000:2200, 200:400].astype(np.float64)
    scaler = StandardScaler().fit(train)
    ours, peer = PCA(20, scale=scaler.scale_).fit(train), Peer(20, svd_solver="full").fit(scaler.transform(train))
    signs = np.sign(np.sum(ours.components_ * peer.components_, axis=1))
    scores = peer.transform(scaler.transform(test))
    np.testing.assert_allclose(ours.transform(test), scores * signs, atol=1e-5)
    back = scaler.inverse_transform(peer.inverse_transform(scores))
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(test)), back, atol=1e-5)


def test_number_of_components_for_a_share_is_scikit_learns(points: np.ndarray) -> None:
    fitted = PCA(1).fit(points[:2000])
    for share in (0.5, 0.8, 0.95):
        assert fitted.components_for(share) == Peer(share, svd_solver="full").fit(points[:2000]).n_components_
    assert fitted.components_for(1.0) <= 784


@pytest.mark.parametrize("n", [2, 50, 783, 784])
def test_fewer_points_than_coordinates_have_the_same_components(points: np.ndarray, n: int) -> None:
    some = points[:n].astype(np.float64)
    ours = PCA().fit(some)
    m = len(ours.components_)
    theirs = Peer(m, svd_solver="full").fit(some)
    # Directions of next to no variance, as pixels have that hardly change, are of rounding.
    told = theirs.explained_variance_ > 1e-6 * theirs.explained_variance_[0]
    np.testing.assert_allclose(ours.variances_[:m][told], theirs.explained_variance_[told], rtol=1e-8)
    assert ours.variances_[n:].max(initial=0.0) == 0.0
    aligned = np.abs(np.sum(ours.components_ * theirs.components_, axis=1))
    np.testing.assert_allclose(aligned[told], 1.0, atol=1e-6)
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(some)), some, atol=1e-9)
    np.testing.assert_allclose(ours.components_ @ ours.components_.T, np.eye(m), atol=1e-9)


def test_signs_do_not_depend_on_the_order_of_the_points(points: np.ndarray) -> None:
    one, other = PCA(10).fit(points[:1000]), PCA(10).fit(points[:1000][::-1])
    np.testing.assert_allclose(one.components_, other.components_, atol=1e-6)


def test_points_that_are_all_the_same_have_no_variance_to_share() -> None:
    fit = PCA(2).fit(np.full((5, 3), 7.0))
    assert fit.variance_shares().tolist() == [0.0, 0.0, 0.0]
    assert fit.components_for(0.95) == 3


def test_pixels_that_never_change_are_harmless(rng: np.random.Generator) -> None:
    data = np.zeros((30, 5))
    data[:, 1] = rng.random(30)
    fitted = PCA(2).fit(data)
    assert np.isfinite(fitted.transform(data)).all()
    assert fitted.components_for(1.0) == 1


@pytest.mark.parametrize(("n", "m"), [(10, 10), (10, 0), (1, 1)])
def test_impossible_numbers_are_refused(rng: np.random.Generator, n: int, m: int) -> None:
    with pytest.raises(ValueError, match="components|sample"):
        PCA(m).fit(rng.random((n, 20)))


def test_draws_have_the_moments_of_the_kept_components(points: np.ndarray) -> None:
    fitted = PCA(30).fit(points)
    deviations = np.sqrt(fitted.variances_[:30])
    drawn = gaussian.draw(fitted.mean_, fitted.components_, deviations, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(axis=0), fitted.mean_, atol=0.02)
    expected = np.cov(fitted.inverse_transform(fitted.transform(points)).T)
    assert np.linalg.norm(np.cov(drawn.T) - expected) < 0.03 * np.linalg.norm(expected)


@pytest.mark.parametrize("wrong", [0.0, np.nan, np.inf])
def test_an_impossible_scale_is_refused(rng: np.random.Generator, wrong: float) -> None:
    with pytest.raises(ValueError, match="scale must be finite and not zero"):
        PCA(2, scale=np.array([1.0, wrong, 2.0])).fit(rng.random((9, 3)))


def test_large_whole_numbers_stay_apart() -> None:
    numbers = 2**24 + np.arange(9)[:, None]
    assert PCA(1).fit_transform(numbers)[:, 0] == pytest.approx(np.arange(9) - 4.0)


def test_pixels_are_rounded_and_cut_off() -> None:
    points = np.array([[-0.2, 0.5, 1.3, 1 / 255, 0.0, 1.0]])
    assert gaussian.to_pixels(points[:, :4], (1, 2, 2)).tolist() == [[[[0, 128], [255, 1]]]]
    assert gaussian.to_pixels(points, (3, 1, 2)).tolist() == [[[[0, 128]], [[255, 1]], [[0, 255]]]]


def test_moments_of_parts_are_those_of_all(points: np.ndarray) -> None:
    """Far from 0, where sums of squares would lose the digits."""
    far = points[:1000, 300:340].astype(np.float64) + 1e6
    whole = joined(Moments.of(part) for part in np.split(far, [1, 5, 400]))
    assert whole.n == 1000
    np.testing.assert_allclose(whole.mean, far.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(whole.products / 999, np.cov(far.T), atol=1e-9)
    fitted, peer = PCA(5).fit_moments(whole), PCA(5).fit(far)
    np.testing.assert_allclose(fitted.components_, peer.components_, atol=1e-7)


def test_no_points_have_no_moments_and_one_no_components() -> None:
    with pytest.raises(InputError, match="there are no points"):
        joined([])
    with pytest.raises(InputError, match="at least 2 points, not 1"):
        PCA(1).fit_moments(Moments.of(np.ones((1, 3))))
