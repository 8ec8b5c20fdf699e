"""From noise to data along falling noise levels.

Each file beside this one is a sampler: it has the file's name and defines `advance`, which takes one step, how many
network calls a step makes (`CALLS`), and whether steps draw noise (`DRAWS`: always, never, or as `eta` says).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from latentbench import plugins
from latentbench.core.errors import InputError
from latentbench.diffusion.denoising import Denoise
from latentbench.diffusion.process import noise

PACKAGE = "latentbench.diffusion.samplers"

Draws = Literal["always", "never", "by eta"]


@dataclass(frozen=True)
class Step:
    """Where a sampler is after a step.

    Attributes:
        level: the noise level reached; 0 at the end.
        y: (n, ...) the noisy data at that level; at the end the samples.
        x0: (n, ...) the estimate of x_0 that the step used.
    """

    level: float
    y: Tensor
    x0: Tensor


@dataclass(frozen=True)
class Position:
    """What a sampler knows when it takes a step.

    Attributes:
        denoise: estimates x_0.
        level, lower: noise levels that the step goes from and to, both above 0.
        y: (n, ...) the noisy data at `level`.
        x0: (n, ...) the estimate of x_0 there.
        before: level and estimate of the previous step; None at the first.
        eta: the share of fresh noise.
        generators: for that noise, one for each sample.
    """

    denoise: Denoise
    level: float
    lower: float
    y: Tensor
    x0: Tensor
    before: tuple[float, Tensor] | None
    eta: float
    generators: Sequence[torch.Generator]

    def fresh(self) -> Tensor:
        """Draw noise for each sample, (n, ...)."""
        return noise(self.generators, *self.y.shape[1:]).to(self.y)


def names() -> list[str]:
    """Return the names of all samplers, in alphabetical order."""
    return plugins.names(PACKAGE)


def n_steps(sampler: str, calls: int) -> int:
    """Return how many steps a sampler can take with this many network calls; the last step always takes one."""
    each: int = plugins.load("latentbench.diffusion.samplers", sampler).CALLS
    return (calls - 1) // each + 1


def n_calls(sampler: str, at_most: int) -> int:
    """Return how many network calls a sampler makes when it may make `at_most`."""
    each: int = plugins.load("latentbench.diffusion.samplers", sampler).CALLS
    return each * (n_steps(sampler, at_most) - 1) + 1


def start(generators: Sequence[torch.Generator], shape: Sequence[int], level: float) -> Tensor:
    """Draw where samples start, (n, *shape): pure noise, as x_t of Ho et al. 2020 is at the largest level."""
    return sqrt(1.0 + level**2) * noise(generators, *shape)


@torch.no_grad()
def sample(
    denoise: Denoise,
    path: Sequence[float],
    y: Tensor,
    sampler: str = "dpm_solver",
    eta: float = 0.0,
    generators: Sequence[torch.Generator] = (),
) -> Iterator[Step]:
    """Yield a step for each level of the path but the first.

    Args:
        denoise: estimates x_0.
        path: falling levels; `y` is at the first, and 0 may come last.
        y: (n, ...), such as from `start`.
        sampler: how to go from level to level, one of `names()`.
        eta: the share of fresh noise, for samplers that draw it by eta.
        generators: for that noise, one for each sample; needed if there is any.

    Raises:
        InputError: there is no such sampler, `eta` is out of range or given to a sampler without it, or there is not
            one generator for each sample.
    """
    chosen = plugins.load("latentbench.diffusion.samplers", sampler)
    if not 0.0 <= eta <= 1.0:
        raise InputError(f"eta must be in 0..1, not {eta:g}")
    if eta and chosen.DRAWS != "by eta":
        able = [name for name in names() if plugins.load("latentbench.diffusion.samplers", name).DRAWS == "by eta"]
        raise InputError(f"eta is an option of the sampler {', '.join(able)}, not of {sampler}")
    if (eta or chosen.DRAWS == "always") and len(generators) != len(y):
        raise InputError(f"a sampler that draws fresh noise needs {len(y)} generators, not {len(generators)}")
    before: tuple[float, Tensor] | None = None
    for level, lower in pairwise(path):
        x0 = call(denoise, y, level)
        y = x0 if lower == 0.0 else chosen.advance(Position(denoise, level, lower, y, x0, before, eta, generators))
        before = level, x0
        yield Step(lower, y, x0)


def last(steps: Iterator[Step]) -> Step:
    """Take all steps, and return the last without keeping the earlier ones."""
    for step in steps:
        newest = step
    return newest


def call(denoise: Denoise, y: Tensor, level: float) -> Tensor:
    """Return the estimate of x_0 when all of y (n, ...) is at one level."""
    return denoise(y, torch.full((len(y),), level, dtype=torch.float64))
