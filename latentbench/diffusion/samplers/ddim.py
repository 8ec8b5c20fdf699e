"""DDIM, Song et al. 2021, eq. 12 and 16: with eta 0 deterministic, with 1 ancestral."""

from math import sqrt

from torch import Tensor

from latentbench.diffusion.samplers.base import Draws, Position

CALLS = 1
DRAWS: Draws = "by eta"


def advance(at: Position) -> Tensor:
    """Return the noisy data (n, ...) at the lower level."""
    ratio = at.lower / at.level
    if not at.eta:
        return at.x0 + ratio * (at.y - at.x0)
    fresh = at.eta * at.lower * sqrt(1.0 - ratio**2)
    return at.x0 + sqrt(at.lower**2 - fresh**2) / at.level * (at.y - at.x0) + fresh * at.fresh()
