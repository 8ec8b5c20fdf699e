"""From noise to data along falling noise levels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log, sqrt
from typing import Literal

import torch
from torch import Tensor

from latentbench.diffusion.denoising import Denoise
from latentbench.diffusion.process import noise, posterior
from latentbench.errors import InputError

Sampler = Literal["ancestral", "ddim", "heun", "dpm_solver"]


@dataclass(frozen=True)
class Step:
    """Where a sampler is after a step.

    Attributes:
        level: noise level that it has come to; 0 at the end.
        y: (n, ...) the noisy data at that level; at the end the samples.
        x0: (n, ...) the estimate of x_0 that the step went by.
    """

    level: float
    y: Tensor
    x0: Tensor


def n_steps(sampler: Sampler, calls: int) -> int:
    """Return how many steps a sampler can take with so many network calls: Heun's take two, but for the last."""
    return (calls + 1) // 2 if sampler == "heun" else calls


def n_calls(sampler: Sampler, at_most: int) -> int:
    """Return how many network calls a sampler makes of those that it is given."""
    return 2 * n_steps(sampler, at_most) - 1 if sampler == "heun" else at_most


def start(generators: Sequence[torch.Generator], shape: Sequence[int], level: float) -> Tensor:
    """Draw where samples begin, (n, *shape): noise alone, as x_t of Ho et al. 2020 has it at the largest level."""
    return sqrt(1.0 + level**2) * noise(generators, *shape)


@torch.no_grad()
def sample(
    denoise: Denoise,
    path: Sequence[float],
    y: Tensor,
    sampler: Sampler = "dpm_solver",
    eta: float = 0.0,
    generators: Sequence[torch.Generator] = (),
) -> Iterator[Step]:
    """Yield a step for each level of the path but the first.

    "ancestral" draws from the posterior (Ho et al. 2020, algorithm 2, with the variance of eq. 7). "ddim" is Song et
    al. 2021, eq. 12 and 16: with `eta` 0 deterministic, with 1 ancestral. "heun" is algorithm 1 of Karras et al. 2022
    without noise, of second order. "dpm_solver" is DPM-Solver++(2M), algorithm 2 of Lu et al. 2022, of second order
    with one call a step.

    Args:
        denoise: estimates x_0.
        path: falling levels, the first of which `y` has; 0 may come last.
        y: (n, ...), such as from `start`.
        sampler: how to go from level to level.
        eta: the share of fresh noise, of "ddim" alone.
        generators: of that noise, one for each sample; needed where there is any.

    Raises:
        InputError: `eta` is out of range or given for another sampler, or there is not a generator for each sample.
    """
    if not 0.0 <= eta <= 1.0:
        raise InputError(f"eta must be in 0..1, not {eta:g}")
    if eta and sampler != "ddim":
        raise InputError(f"eta belongs to the sampler ddim, not to {sampler}")
    if (eta or sampler == "ancestral") and len(generators) != len(y):
        raise InputError(f"a sampler with fresh noise needs {len(y)} generators, not {len(generators)}")
    before: tuple[float, Tensor] | None = None  # level and estimate of the step before
    for level, lower in pairwise(path):
        x0 = estimate = call(denoise, y, level)
        ratio = lower / level
        if lower == 0.0:
            y = x0
        elif sampler == "ancestral":
            mean, deviation = posterior(x0, y, *(torch.tensor([at], dtype=torch.float64) for at in (level, lower)))
            y = mean + deviation.item() * noise(generators, *y.shape[1:]).to(y)
        elif eta:
            fresh = eta * lower * sqrt(1.0 - ratio**2)
            y = x0 + sqrt(lower**2 - fresh**2) / level * (y - x0) + fresh * noise(generators, *y.shape[1:]).to(y)
        elif sampler == "heun":
            slope = (y - x0) / level
            ahead = y + (lower - level) * slope
            y = y + (lower - level) / 2.0 * (slope + (ahead - call(denoise, ahead, lower)) / lower)
        else:
            if sampler == "dpm_solver" and before is not None:
                share = log(level / lower) / (2.0 * log(before[0] / level))
                estimate = x0 + share * (x0 - before[1])
            y = estimate + ratio * (y - estimate)
        before = level, x0
        yield Step(lower, y, x0)


def last(steps: Iterator[Step]) -> Step:
    """Take all steps, and return the last without keeping those before."""
    for step in steps:
        newest = step
    return newest


def call(denoise: Denoise, y: Tensor, level: float) -> Tensor:
    """Return the estimate of x_0 where all of y (n, ...) is at one level."""
    return denoise(y, torch.full((len(y),), level, dtype=torch.float64))
