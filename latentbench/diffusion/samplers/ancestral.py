"""Draws from the posterior: Ho et al. 2020, algorithm 2, with the variance of eq. 7."""

import torch
from torch import Tensor

from latentbench.diffusion.process import posterior
from latentbench.diffusion.samplers.base import Draws, Position

CALLS = 1
DRAWS: Draws = "always"


def advance(at: Position) -> Tensor:
    """Return the noisy data (n, ...) at the lower level."""
    levels = (torch.tensor([level], dtype=torch.float64) for level in (at.level, at.lower))
    mean, deviation = posterior(at.x0, at.y, *levels)
    return mean + deviation.item() * at.fresh()
