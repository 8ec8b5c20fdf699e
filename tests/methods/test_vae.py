"""What a VAE draws: its mean where pixels are independent given the latents, and pixels where they see each other."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from latentbench import inference
from latentbench.data.dataset import Dataset
from latentbench.methods.base import Effort, Samples
from latentbench.methods.vae import Method
from latentbench.networks.likelihoods import Name
from latentbench.networks.vaes import base
from stages.decoding import Decoded

SHAPE, DIM = (1, 12, 10), 4


class Draws:
    """A density whose draws are known."""

    def __init__(self, latents: np.ndarray) -> None:
        self.latents = latents

    def sample(self, n: int, generator: np.random.Generator) -> np.ndarray:
        del generator
        return self.latents[:n]


def method(likelihood: Name) -> Method:
    torch.manual_seed(0)
    return Method(base.build("conv", SHAPE, DIM, likelihood).eval())


@pytest.fixture(scope="module")
def latents() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(300, DIM)).astype(np.float32)


def in_levels(mean: np.ndarray) -> np.ndarray:
    return inference.to_pixels(torch.from_numpy(mean)).numpy()


@pytest.mark.parametrize("likelihood", ["bernoulli", "discretized_logistic"])
def test_independent_pixels_are_shown_as_their_means(likelihood: Name, latents: np.ndarray) -> None:
    model = method(likelihood)
    np.testing.assert_array_equal(model.sample(latents, seed=1), in_levels(model.decode(latents)))
    np.testing.assert_array_equal(Decoded(model, Draws(latents)).draw(300, 5), in_levels(model.decode(latents)))  # type: ignore[arg-type]


def test_pixels_that_see_their_neighbours_are_drawn(latents: np.ndarray) -> None:
    model = method("autoregressive_logistic")
    assert isinstance(model, Samples)
    drawn = model.sample(latents, seed=1)
    np.testing.assert_array_equal(model.sample(latents, seed=1), drawn)
    assert (model.sample(latents, seed=2) != drawn).mean() > 0.5
    mean = model.decode(latents)
    assert np.abs(drawn / 255 - mean).mean() > 0.01
    # Each of many draws of one latent is another, and together they have its mean.
    same = np.repeat(latents[:1], 3000, axis=0)
    many = model.sample(same, seed=3) / 255
    assert (many[0] != many[1]).any()
    assert np.abs(many.mean(axis=0) - mean[0]).max() < 0.02
    by_density = Decoded(model, Draws(latents))  # type: ignore[arg-type]
    np.testing.assert_array_equal(by_density.draw(300, 5), by_density.draw(300, 5))
    assert (by_density.draw(300, 5) != in_levels(mean)).mean() > 0.5
    assert (by_density.draw(300, 5)[:1] != by_density.draw(300, 6)[:1]).any()


def test_draws_from_the_prior_depend_on_the_seed_alone() -> None:
    model = method("autoregressive_logistic")
    np.testing.assert_array_equal(model.draw(300, 1), model.draw(300, 1))
    assert (model.draw(300, 1) != model.draw(300, 2)).mean() > 0.5
    assert (model.draw(300, 1)[:250] != np.roll(model.draw(300, 1), 1, axis=0)[:250]).any()


def test_a_likelihood_of_grey_pixels_has_a_bound_in_bits_per_dimension(images: np.ndarray) -> None:
    torch.manual_seed(0)
    model = Method(base.build("conv", images.shape[1:], DIM, "autoregressive_logistic").eval())
    effort = SimpleNamespace(importance_samples=20, likelihood_images=30, bound_draws=1)
    found = model.bound(cast(Dataset, SimpleNamespace(test_images=images[:60])), "it", 0, cast(Effort, effort))
    assert found.likelihood == "autoregressive_logistic"
    assert found.parts["importance_gain"] > 0
    assert found.bits_per_dim is not None
    assert found.bits_per_dim.mean() == pytest.approx(found.parts["bits_per_dim"])
    assert found.parts["bits_per_dim"] < 8  # what pixels take without a model
