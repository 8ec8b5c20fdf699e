"""The variational bound on the likelihood of images, with its parts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentbench import inference
from latentbench.diffusion.denoising import Denoise
from latentbench.diffusion.process import noised
from latentbench.networks.likelihoods import DiscretizedLogistic

# Maps an estimate and x_0, (n, ...) each, to -log p(x_0 | estimate), (n,) nats.
Nats = Callable[[Tensor, Tensor], Tensor]

_FIT_STEPS, _FIT_RATE = 100, 0.1


@dataclass(frozen=True)
class Bound:
    """Upper bound on the negative log-likelihood of each image, in nats: the sum of its parts, (n,) float64 each.

    Attributes:
        prior: for the largest level, against the noise that sampling starts from.
        denoising: for the steps in between.
        reconstruction: for the pixels, given the smallest level.
    """

    prior: Tensor
    denoising: Tensor
    reconstruction: Tensor

    def total(self) -> Tensor:
        """Return the bound (n,)."""
        return self.prior + self.denoising + self.reconstruction


def bound(
    denoise: Denoise, x0: Tensor, levels: Sequence[float], nats: Nats, n_draws: int, generator: torch.Generator
) -> Bound:
    """Return the bound of Ho et al. 2020, eq. 5, for a chain of ancestral steps through all the levels.

    The sum over steps is estimated without bias from `n_draws` steps per image. These are spread evenly over the
    logarithm of the level and shifted by a random amount. So the error over images is smaller than with independent
    draws, and a standard error computed from the images' values is conservative.

    Args:
        denoise: estimates x_0.
        x0: images (n, ...) in [-1, 1].
        levels: of the chain, rising.
        nats: likelihood of x_0 given its estimate at the smallest level, such as `fit_pixels` returns.
        n_draws: steps drawn for each image.
        generator: for the steps and the noise.
    """
    steps = torch.tensor(levels, dtype=torch.float64)
    return Bound(
        prior=_prior(x0, steps[-1]),
        denoising=_denoising(denoise, x0, steps, n_draws, generator),
        reconstruction=nats(_at_level(denoise, x0, levels[0], generator), x0).double(),
    )


def _prior(x0: Tensor, level: Tensor) -> Tensor:
    """Return the divergence of q(x_T | x_0) from N(0, I), in the coordinates of Ho et al. 2020."""
    signal = 1.0 / (1.0 + level.square())
    squares = x0.double().square().flatten(1).sum(dim=1)
    n_numbers = x0[0].numel()
    # log1p(-signal) + signal is at most -signal^2 / 2, which a plain logarithm would lose to rounding.
    return 0.5 * (signal * squares + n_numbers * (-signal - torch.log1p(-signal)))


def _denoising(denoise: Denoise, x0: Tensor, levels: Tensor, n_draws: int, generator: torch.Generator) -> Tensor:
    """Estimate sum_i (1 / s_{i-1}^2 - 1 / s_i^2) |x_0 - D(y_i, s_i)|^2 / 2 (Kingma et al. 2021, eq. 13)."""
    widths = levels.log().diff()  # of step i from s_i down to s_{i-1}
    ends = widths.cumsum(dim=0) / widths.sum()
    totals = torch.zeros(len(x0), dtype=torch.float64)
    for _ in range(n_draws):
        order = torch.randperm(len(x0), generator=generator)
        shift = torch.rand(1, generator=generator, dtype=torch.float64)
        places = (order + shift) / len(x0)
        chosen = torch.searchsorted(ends, places, right=True).clamp(max=len(widths) - 1)
        level, lower = levels[chosen + 1], levels[chosen]
        weight = 0.5 * (lower.square().reciprocal() - level.square().reciprocal())
        share = widths[chosen] / widths.sum()
        eps = torch.randn(x0.shape, generator=generator)
        estimates = _estimates(denoise, noised(x0, level, eps), level)
        errors = (estimates - x0).double().square().flatten(1).sum(dim=1)
        totals += weight / share * errors
    return totals / n_draws


def fit_pixels(denoise: Denoise, x0: Tensor, level: float, generator: torch.Generator) -> Nats:
    """Return a likelihood of pixels given the smallest level: a logistic around the estimate of each.

    Its scale, one for each channel of each pixel, is fitted to images (n, c, h, w) in [-1, 1], which must not be test
    images.
    """
    estimates = _at_level(denoise, x0, level, generator)
    logistic = DiscretizedLogistic(x0.shape[1:])
    optimiser = torch.optim.Adam(logistic.parameters(), lr=_FIT_RATE)
    for _ in range(_FIT_STEPS):
        optimiser.zero_grad()
        loss = logistic.nats(_to_unit(estimates), _to_unit(x0)).mean()
        loss.backward()
        optimiser.step()
    logistic.requires_grad_(False)
    return lambda estimate, images: logistic.nats(_to_unit(estimate), _to_unit(images))


def _at_level(denoise: Denoise, x0: Tensor, level: float, generator: torch.Generator) -> Tensor:
    at = torch.full((len(x0),), level, dtype=torch.float64)
    return _estimates(denoise, noised(x0, at, torch.randn(x0.shape, generator=generator)), at)


@torch.no_grad()
def _estimates(denoise: Denoise, y: Tensor, level: Tensor) -> Tensor:
    batches = zip(y.split(inference.BATCH), level.split(inference.BATCH), strict=True)
    return torch.cat([denoise(some, at) for some, at in batches])


def _to_unit(x0: Tensor) -> Tensor:
    return (x0 + 1.0) / 2.0
