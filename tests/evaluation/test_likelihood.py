"""Bounds on likelihoods against a linear-Gaussian model, whose posterior and likelihood are known exactly."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, distributions

from latentbench.core.errors import InputError
from latentbench.evaluation import likelihood
from latentbench.networks.likelihoods import Likelihood
from latentbench.networks.vaes import base as vaes

N_PIXELS, N_LATENTS, NOISE = 6, 3, 0.4


class Gaussian(Likelihood):
    """p(x | z) = N(x; output, NOISE^2 I)."""

    proper_on_grey = True

    def mean(self, output: Tensor) -> Tensor:
        return output

    def nats(self, output: Tensor, images: Tensor) -> Tensor:
        return -distributions.Normal(output, NOISE).log_prob(images).sum(dim=1)


class Linear:
    """x = W z + b + noise, W with orthogonal columns, so that the true posterior has a diagonal covariance.

    Its approximate posterior is the true one, the mean shifted by `shift` and the variance multiplied by `widen`.
    """

    def __init__(self, shift: float = 0.0, widen: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(3)
        random = torch.randn(N_PIXELS, N_PIXELS, generator=generator, dtype=torch.float64)
        orthogonal = torch.linalg.qr(random).Q[:, :N_LATENTS]
        self.weight = orthogonal * torch.tensor([1.5, 0.7, 0.2], dtype=torch.float64)
        self.bias = torch.linspace(-1, 1, N_PIXELS, dtype=torch.float64)
        self.shift, self.widen = shift, widen
        self.likelihood = Gaussian()

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        variances = 1 / (1 + self.weight.square().sum(dim=0) / NOISE**2)
        mean = (images - self.bias) @ self.weight / NOISE**2 * variances
        return mean + self.shift, (self.widen * variances).log().expand_as(mean)

    def output(self, latents: Tensor) -> Tensor:
        return latents @ self.weight.T + self.bias

    def exact(self) -> distributions.MultivariateNormal:
        covariance = self.weight @ self.weight.T + NOISE**2 * torch.eye(N_PIXELS, dtype=torch.float64)
        return distributions.MultivariateNormal(self.bias, covariance)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def data() -> Tensor:
    torch.manual_seed(5)
    return Linear().exact().sample((230,))  # more than two batches


@pytest.mark.parametrize("n_samples", [1, 7])
def test_with_the_true_posterior_every_weight_is_the_likelihood(data: Tensor, n_samples: int) -> None:
    """p(x, z) / q(z | x) is then p(x) whatever z is: one sample is enough, if every constant and sign is right."""
    model = Linear()
    bounds = likelihood.importance_bounds(model, data, n_samples, seeded())
    assert bounds.dtype == torch.float64
    assert torch.allclose(bounds, model.exact().log_prob(data), rtol=1e-10)


def test_with_the_true_posterior_the_evidence_lower_bound_is_the_likelihood(data: Tensor) -> None:
    model = Linear()
    parts = likelihood.parts(model, data, seeded(), n_draws=1)
    error = parts.bounds() - model.exact().log_prob(data)
    assert error.abs().max() > 0.1  # unlike the weights above, one draw of the expectation has an error
    assert abs(error.mean()) < 4 * error.std() / math.sqrt(len(data))
    many = likelihood.parts(model, data, seeded(), n_draws=2000)
    assert (many.bounds() - model.exact().log_prob(data)).abs().max() < 0.25
    assert torch.equal(many.kl, parts.kl)


def test_parts_are_the_integrals_that_they_stand_for(data: Tensor) -> None:
    model = Linear(shift=0.3, widen=1.7)
    parts = likelihood.parts(model, data, seeded(), n_draws=4000)
    mean, log_var = model.posterior(data)
    # E_q |x - W z - b|^2 = |x - W m - b|^2 + sum_j v_j |w_j|^2, since the columns of W are orthogonal.
    squares = (data - model.output(mean)).square().sum(dim=1) + log_var.exp() @ model.weight.square().sum(dim=0)
    expected = squares / (2 * NOISE**2) + N_PIXELS * math.log(NOISE * math.sqrt(2 * math.pi))
    assert torch.allclose(parts.reconstruction, expected, rtol=0.03, atol=0.15)
    posterior = distributions.Normal(mean, (0.5 * log_var).exp())
    prior = distributions.Normal(torch.zeros(1).double(), torch.ones(1).double())
    assert torch.allclose(parts.kl, distributions.kl_divergence(posterior, prior))
    assert torch.equal(parts.means, mean)


def test_with_a_wrong_posterior_the_bound_is_below_and_rises_to_the_likelihood(data: Tensor) -> None:
    model = Linear(shift=0.3, widen=1.7)
    exact = model.exact().log_prob(data).mean().item()
    elbo = likelihood.parts(model, data, seeded(), n_draws=200).bounds().mean().item()
    one = likelihood.importance_bounds(model, data.repeat(30, 1), 1, seeded())
    assert one.mean().item() == pytest.approx(elbo, abs=0.08)
    assert elbo < exact - 0.3
    many = [likelihood.importance_bounds(model, data, k, seeded(k), block=100).mean().item() for k in (4, 16, 64, 500)]
    found = [elbo, *many]
    assert found == sorted(found)
    assert many[-2] < exact
    assert many[-1] == pytest.approx(exact, abs=0.03)


def test_the_size_of_a_block_changes_nothing(data: Tensor) -> None:
    model = Linear(shift=0.3, widen=1.7)
    whole, *others = (likelihood.importance_bounds(model, data, 23, seeded(), block=size) for size in (23, 1, 7, 100))
    for other in others:
        assert torch.allclose(other, whole, rtol=1e-12)
    assert not torch.allclose(likelihood.importance_bounds(model, data, 23, seeded(1)), whole, rtol=1e-6)


def test_weights_far_beyond_the_range_of_exponentials_add_up(data: Tensor) -> None:
    far = data[:5] + 200
    bounds = likelihood.importance_bounds(Linear(), far, 5, seeded())
    assert bounds.max() < -10_000
    assert torch.allclose(bounds, Linear().exact().log_prob(far), rtol=1e-8)


def test_latents_that_say_nothing_are_not_active() -> None:
    means = torch.randn(2000, 4, generator=seeded()) * torch.tensor([1.0, 0.2, 0.05, 0.0]) + 3
    parts = likelihood.Parts(torch.zeros(2000), torch.zeros(2000, 4), means)
    assert parts.active_units() == 2  # variances 1 and 0.04, of which the square root would hide 0.05^2


def test_there_is_no_bound_for_bernoulli_on_grey(images: np.ndarray) -> None:
    grey = torch.tensor(images[:120]).float() / 255
    network = vaes.build("dense", (1, 28, 28), 3).eval()
    assert not likelihood.is_proper(network.likelihood, grey)
    with pytest.raises(InputError, match="bernoulli gives grey pixels no likelihood"):
        likelihood.importance_bounds(network, grey, 2, seeded())
    assert likelihood.importance_bounds(network, grey.round(), 2, seeded()).max() < 0
    logistic = vaes.build("dense", (1, 28, 28), 3, "discretized_logistic").eval()
    assert likelihood.is_proper(logistic.likelihood, grey)
    bounds = likelihood.importance_bounds(logistic, grey, 2, seeded())
    assert bounds.shape == (120,)
    assert not bounds.requires_grad


@pytest.mark.parametrize("channels", [1, 3])
def test_the_model_of_a_network_agrees_with_its_own_parts(images: np.ndarray, channels: int) -> None:
    """One importance sample is one draw of the bound: over many, the means agree."""
    some = torch.tensor(images[: 20 * channels]).reshape(20, channels, 28, 28).float() / 255
    network = vaes.build("dense", (channels, 28, 28), 3, "discretized_logistic").eval()
    elbo = likelihood.parts(network, some, seeded(), n_draws=300).bounds().mean()
    single = likelihood.importance_bounds(network, some.repeat(300, 1, 1, 1), 1, seeded(1)).view(300, 20).mean(dim=1)
    assert abs(single.mean() - elbo) < 4 * single.std() * math.sqrt(2 / 300)


def test_bits_for_each_pixel() -> None:
    """A uniform guess among 256 values costs 8 bits for each pixel."""
    assert likelihood.bits_per_dim(784 * math.log(256), 784) == pytest.approx(8)
    assert likelihood.bits_per_dim(torch.tensor([0.0, 10 * math.log(2)]), 10).tolist() == pytest.approx([0, 1])


def test_intervals_hold_the_mean_as_often_as_they_say() -> None:
    values = torch.randn(4000, 50, generator=seeded(), dtype=torch.float64).exp().log1p()
    truth = values.mean().item()
    found = [likelihood.mean_with_interval(row) for row in values]
    assert found[0].value == pytest.approx(values[0].mean().item())
    assert np.mean([each.low <= truth <= each.high for each in found]) == pytest.approx(0.95, abs=0.015)
