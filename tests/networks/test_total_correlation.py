"""The total correlation of a Gaussian is known; its estimate is a mixture's density, which scipy computes too."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from latentbench.networks import total_correlation
from latentbench.networks.vaes import base as vaes


def test_the_estimate_is_that_of_densities_computed_one_by_one() -> None:
    generator = np.random.default_rng(0)
    mean, log_var = generator.normal(size=(2, 60, 3))
    draws = mean[:55] + np.exp(0.5 * log_var[:55]) * generator.normal(size=(55, 3))
    terms = []
    for draw in draws:
        normal = [stats.multivariate_normal(m, np.diag(np.exp(v))) for m, v in zip(mean, log_var, strict=True)]
        joint = logsumexp([each.logpdf(draw) for each in normal]) - np.log(60)
        alone = [
            np.log(np.mean(stats.norm(mean[:, axis], np.exp(0.5 * log_var[:, axis])).pdf(draw[axis])))
            for axis in range(3)
        ]
        terms.append(joint - sum(alone))
    found = total_correlation.estimate(*(torch.tensor(each) for each in (draws, mean, log_var)))
    assert found.item() == pytest.approx(np.mean(terms), abs=1e-10)


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_of_a_gaussian_it_is_the_known_one(correlation: float) -> None:
    """Half the variance along each direction is of posteriors, half of their means: together q(z) is the Gaussian."""
    generator = np.random.default_rng(1)
    n, spread = 3000, 1.0 - correlation  # the most that posteriors of a diagonal covariance can have of it
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    mean = generator.multivariate_normal(np.zeros(2), covariance - (spread - 0.05) * np.eye(2), n)
    log_var = np.full((n, 2), np.log(spread - 0.05))
    draws = mean + np.exp(0.5 * log_var) * generator.normal(size=(n, 2))
    found = total_correlation.estimate(*(torch.tensor(each) for each in (draws, mean, log_var)))
    assert found.item() == pytest.approx(-0.5 * np.log(1.0 - correlation**2), abs=0.06)


def test_a_batch_of_apart_posteriors_says_its_size_and_a_single_one_nothing() -> None:
    mean = 1000.0 * torch.arange(8.0)[:, None].expand(8, 3)
    assert total_correlation.estimate(mean, mean, torch.zeros(8, 3)).item() == pytest.approx(2 * np.log(8), abs=1e-4)
    same = torch.zeros(8, 3)
    assert total_correlation.estimate(torch.randn(8, 3), same, same).item() == pytest.approx(0.0, abs=1e-5)


def test_the_loss_weighs_it_apart_and_is_that_of_a_vae_at_one() -> None:
    torch.manual_seed(0)
    network = vaes.build("dense", (1, 12, 10), 4).eval()
    images, noise = torch.rand(9, 1, 12, 10), torch.randn(9, 4)
    plain = vaes.negative_elbo(network, images, noise, 2.0)
    apart = total_correlation.negative_elbo(network, images, noise, 2.0, 5.0)
    for name in ("reconstruction", "kl"):
        assert torch.equal(apart[name], plain[name])
    mean, log_var = network.posterior(images)
    correlation = total_correlation.estimate(vaes.reparameterise(mean, log_var, noise), mean, log_var)
    torch.testing.assert_close(apart["total_correlation"], correlation)
    torch.testing.assert_close(apart["loss"], plain["loss"] + 2.0 * 4.0 * correlation)
    assert torch.equal(total_correlation.negative_elbo(network, images, noise, 2.0, 1.0)["loss"], plain["loss"])
