"""The variational bound, on data whose entropy is known."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from latentbench.diffusion import bounds, schedules
from latentbench.diffusion.process import beside
from tests.diffusion import gaussian

VALUES = 2.0 * torch.tensor([0, 3, 130, 255]) / 255.0 - 1.0
SHARES = torch.tensor([0.5, 0.2, 0.2, 0.1])


def ideal(y: Tensor, level: Tensor) -> Tensor:
    """Return E[x_0 | y] of pixels that are independently one of VALUES, with probabilities SHARES."""
    logits = SHARES.log().double() - (y[..., None] - VALUES).double().square() / (
        2.0 * beside(level, y).double().square()[..., None]
    )
    return (logits.softmax(dim=-1) * VALUES).sum(dim=-1).to(y)


@pytest.mark.parametrize("image_shape", [(1, 5, 5), (3, 3, 3)])
def test_the_bound_comes_down_to_the_entropy_of_pixels(image_shape: tuple[int, int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    n_values = math.prod(image_shape)
    drawn = torch.multinomial(SHARES, 400 * n_values, replacement=True, generator=generator)
    pixels = VALUES[drawn].reshape(400, *image_shape)
    entropy = -(SHARES * SHARES.log()).sum().item() * n_values
    found = {}
    for n_steps in (50, 1000):
        levels = torch.logspace(-2.5, 2, n_steps, dtype=torch.float64).tolist()
        score = bounds.fit_pixels(ideal, pixels, levels[0], generator)
        nats = bounds.bound(ideal, pixels, levels, score, 20, generator).total()
        error = nats.std().item() / math.sqrt(400)
        found[n_steps] = nats.mean().item()
        assert found[n_steps] > entropy - 3 * error
    assert found[1000] < found[50]
    assert found[1000] < 1.05 * entropy


def test_the_bound_is_exact_for_gaussian_data_in_many_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    x0 = gaussian.MEAN + gaussian.DEVIATION * torch.randn(2000, 6, generator=generator)
    entropy = 6 * 0.5 * math.log(2 * math.pi * math.e * gaussian.DEVIATION**2)
    levels = torch.logspace(-1.5, 1.5, 2000, dtype=torch.float64).tolist()
    posterior = Normal(0.0, (1 / gaussian.DEVIATION**2 + 1 / levels[0] ** 2) ** -0.5)

    def score(estimate: Tensor, x0: Tensor) -> Tensor:
        return -posterior.log_prob(x0 - estimate).sum(dim=1)

    nats = bounds.bound(gaussian.denoise, x0, levels, score, 200, generator).total()
    assert nats.mean().item() == pytest.approx(entropy, abs=0.2)


def test_the_estimate_over_steps_has_no_bias() -> None:
    x0 = gaussian.MEAN + gaussian.DEVIATION * torch.randn(500, 4, generator=torch.Generator().manual_seed(1))
    levels = schedules.make("linear", 30).levels.tolist()
    sums = torch.zeros(500, dtype=torch.float64)
    generator = torch.Generator().manual_seed(2)
    for lower, level in pairwise(levels):
        for _ in range(20):
            y = x0 + level * torch.randn(x0.shape, generator=generator)
            estimate = gaussian.denoise(y, torch.full((500,), level, dtype=torch.float64))
            errors = (estimate - x0).double().square().sum(dim=1)
            sums += 0.5 * (1 / lower**2 - 1 / level**2) * errors / 20
    drawn = bounds.bound(gaussian.denoise, x0, levels, lambda _, x0: x0[:, 0], 200, generator).denoising
    assert drawn.mean().item() == pytest.approx(sums.mean().item(), rel=0.02)
