"""Mixtures of Gaussians against scikit-learn's, on principal components of real images."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture

from latentbench import plugins
from latentbench.core.errors import InputError
from latentbench.densities import gaussian, mixture
from latentbench.densities.base import Options
from latentbench.reduction.pca import PCA

N = 2500


@pytest.fixture(scope="module")
def latents(points: np.ndarray) -> np.ndarray:
    """Return the first principal components of 3,000 images, (n, 8) float32; N of them are fitted to."""
    return PCA(8).fit(points[:3000]).transform(points[:3000])


@pytest.fixture(scope="module")
def standardized(latents: np.ndarray) -> np.ndarray:
    train = latents[:N].astype(np.float64)
    scaled: np.ndarray = (train - train.mean(axis=0)) / train.std(axis=0)
    return scaled


@pytest.fixture(scope="module")
def start(standardized: np.ndarray) -> mixture.Density:
    """Return three Gaussians, one for each third of the points."""
    return mixture.maximise(standardized, np.eye(3)[np.arange(N) * 3 // N])


def covariances(density: mixture.Density) -> np.ndarray:
    found: np.ndarray = density.factors @ density.factors.transpose(0, 2, 1)
    return found


def peer_of(density: mixture.Density) -> GaussianMixture:
    """Return scikit-learn's mixture with the same Gaussians, about to take one step."""
    return GaussianMixture(
        len(density.weights),
        weights_init=density.weights,
        means_init=density.means,
        precisions_init=np.linalg.inv(covariances(density)),
        max_iter=1,
        reg_covar=mixture._RIDGE,
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_step_of_the_fit_is_scikit_learns(start: mixture.Density, standardized: np.ndarray) -> None:
    peer = peer_of(start).fit(standardized)
    for points, close in ((standardized, 1e-9), (standardized.astype(np.float32), 1e-4)):
        ours = mixture.maximise(standardized, start.shares(points))
        np.testing.assert_allclose(ours.weights, peer.weights_, rtol=close)
        np.testing.assert_allclose(ours.means, peer.means_, atol=close)
        np.testing.assert_allclose(covariances(ours), peer.covariances_, atol=close)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_log_densities_are_scikit_learns_and_scipys(start: mixture.Density, standardized: np.ndarray) -> None:
    peer = peer_of(start).fit(standardized)
    ours = mixture.Density(peer.weights_, peer.means_, np.linalg.cholesky(peer.covariances_))
    np.testing.assert_allclose(ours.log_prob(standardized), peer.score_samples(standardized), rtol=1e-10)
    np.testing.assert_allclose(ours.shares(standardized), peer.predict_proba(standardized), atol=1e-10)
    each = [
        weight * multivariate_normal(mean, covariance).pdf(standardized)
        for weight, mean, covariance in zip(ours.weights, ours.means, covariances(ours), strict=True)
    ]
    np.testing.assert_allclose(ours.log_prob(standardized), np.log(np.sum(each, axis=0)), rtol=1e-8)


def test_a_fit_is_as_likely_as_scikit_learns(
    latents: np.ndarray, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best of three each, to the end: both depend on their starts by half a nat."""
    monkeypatch.setattr(mixture, "_TOLERANCE", 1e-3)
    fits = [mixture.fit(latents[:N], latents[N:], 6, rng, "test") for _ in range(3)]
    ours, candidate = max(fits, key=lambda each: each[1].validation_nats)
    ridge = mixture._RIDGE * latents[:N].var(axis=0).mean()
    peer = GaussianMixture(6, n_init=3, random_state=0, reg_covar=ridge).fit(latents[:N])
    assert ours.log_prob(latents[N:]).mean() > peer.score(latents[N:]) - 0.1
    assert candidate.validation_nats == pytest.approx(ours.log_prob(latents[N:]).mean(), abs=1e-9)
    assert candidate.train_nats == pytest.approx(ours.log_prob(latents[:N]).mean(), abs=1e-9)
    one, _ = mixture.fit(latents[:N], latents[N:], 1, rng, "test")
    assert candidate.validation_nats > one.log_prob(latents[N:]).mean() + 0.5


def test_one_gaussian_has_the_moments_of_what_it_is_fitted_to(latents: np.ndarray, rng: np.random.Generator) -> None:
    found, (candidate,) = gaussian.Density.fit(latents[:N], latents[N:], Options([2, 6]), rng, "test")
    assert candidate.components == 1
    covariance = np.cov(latents[:N], rowvar=False, bias=True)
    covariance += mixture._RIDGE * np.diag(covariance).mean() * np.eye(8)
    np.testing.assert_allclose(found.means[0], latents[:N].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(covariances(found)[0], covariance, atol=1e-6 * covariance.max())
    drawn = found.sample(200_000, rng)
    np.testing.assert_allclose(np.cov(drawn, rowvar=False), covariance, atol=0.02 * covariance.max())


def test_the_number_of_components_is_that_of_the_likeliest_validation_latents(
    latents: np.ndarray, rng: np.random.Generator
) -> None:
    few = latents[:200]  # 60 Gaussians of 8 dimensions have more numbers than these
    found, candidates = mixture.Density.fit(few, latents[N:], Options([1, 3, 60]), rng, "test")
    assert [each.components for each in candidates] == [1, 3, 60]
    best = max(candidates, key=lambda each: each.validation_nats)
    assert len(found.weights) == best.components == 3
    assert max(candidates, key=lambda each: each.train_nats).components == 60


def test_draws_come_from_the_components_by_their_weights(rng: np.random.Generator) -> None:
    means = np.array([[0.0, 0.0], [100.0, 0.0]])
    factors = np.array([[[1.0, 0.0], [0.5, 0.2]], [[2.0, 0.0], [0.0, 3.0]]])
    density = mixture.Density(np.array([0.2, 0.8]), means, factors)
    drawn = density.sample(100_000, rng)
    second = drawn[:, 0] > 50
    assert second.mean() == pytest.approx(0.8, abs=0.01)
    for own, mean, factor in zip((~second, second), means, factors, strict=True):
        np.testing.assert_allclose(drawn[own].mean(axis=0), mean, atol=0.05)
        np.testing.assert_allclose(np.cov(drawn[own], rowvar=False), factor @ factor.T, atol=0.1)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_scale_of_latents_changes_nothing_else(latents: np.ndarray, scale: float) -> None:
    plain, moved = (
        mixture.fit(each[:N], each[N:], 4, np.random.default_rng(0), "test")[0]
        for each in (latents.astype(np.float64), scale * (latents + 5.0))
    )
    expected = plain.log_prob(latents[N:]) - 8 * np.log(scale)
    np.testing.assert_allclose(moved.log_prob(scale * (latents[N:] + 5.0)), expected, atol=1e-3)


def test_latents_that_carry_nothing_do_not_decide_how_the_others_are_fitted(latents: np.ndarray) -> None:
    noise = 1e-2 * np.random.default_rng(1).normal(size=(len(latents), 40))
    plain, padded = (
        mixture.fit(each[:N], each[N:], 4, np.random.default_rng(0), "test")[0]
        for each in (latents, np.c_[latents, noise])
    )
    first = mixture.Density(padded.weights, padded.means[:, :8], padded.factors[:, :8, :8])
    assert first.log_prob(latents[N:]).mean() == pytest.approx(plain.log_prob(latents[N:]).mean(), abs=0.3)


def test_a_latent_that_says_nothing_stays_as_it_is(latents: np.ndarray, rng: np.random.Generator) -> None:
    dead = np.c_[latents, np.full(len(latents), 0.25, dtype=np.float32)]
    found, candidate = mixture.fit(dead[:N], dead[N:], 4, rng, "test")
    assert np.isfinite(candidate.validation_nats)
    drawn = found.sample(500, rng)
    assert drawn[:, -1].mean() == pytest.approx(0.25, abs=0.02)
    assert drawn[:, -1].std() < 0.05 * drawn.std()


def test_what_is_kept_comes_back(start: mixture.Density, standardized: np.ndarray) -> None:
    for name in plugins.names("latentbench.densities"):
        again = plugins.load("latentbench.densities", name).Density.load(start.arrays())
        np.testing.assert_array_equal(again.log_prob(standardized), start.log_prob(standardized))


def test_latents_that_cannot_be_fitted_to_are_told(latents: np.ndarray, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="20 Gaussians needs at least 20 latents, not 19"):
        mixture.fit(latents[:19], latents[N:], 20, rng, "test")
    wrong = latents.copy()
    wrong[7, 3] = np.nan
    with pytest.raises(InputError, match="latents hold NaN or infinity in 1 of 2500 rows, first in row 7"):
        mixture.fit(wrong[:N], latents[N:], 2, rng, "test")
