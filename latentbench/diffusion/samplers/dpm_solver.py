"""DPM-Solver++(2M), of second order with one call a step: Lu et al. 2022, algorithm 2."""

from math import log

from torch import Tensor

from latentbench.diffusion.samplers.base import Draws, Position

CALLS = 1
DRAWS: Draws = "never"


def advance(at: Position) -> Tensor:
    """Return the noisy data (n, ...) at the lower level."""
    estimate, ratio = at.x0, at.lower / at.level
    if at.before is not None:
        share = log(at.level / at.lower) / (2.0 * log(at.before[0] / at.level))
        estimate = at.x0 + share * (at.x0 - at.before[1])
    return estimate + ratio * (at.y - estimate)
