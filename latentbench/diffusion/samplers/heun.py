"""Heun's method, of second order: Karras et al. 2022, algorithm 1 without noise."""

from torch import Tensor

from latentbench.diffusion.samplers.base import Draws, Position, call

CALLS = 2
DRAWS: Draws = "never"


def advance(at: Position) -> Tensor:
    """Return the noisy data (n, ...) at the lower level."""
    slope = (at.y - at.x0) / at.level
    ahead = at.y + (at.lower - at.level) * slope
    return at.y + (at.lower - at.level) / 2.0 * (slope + (ahead - call(at.denoise, ahead, at.lower)) / at.lower)
