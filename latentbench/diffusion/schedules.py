"""Noise schedules: at which levels a network is trained, and at which ones a sampler calls it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from latentbench.core.errors import InputError
from latentbench.diffusion.process import alphas_cumprod

Name = Literal["linear", "cosine", "karras", "flow"]
Spacing = Literal["time", "log", "rho"]

_RHO = 7.0  # Karras et al. 2022, table 1
_KARRAS_ENDS = (0.002, 80.0)
_KARRAS_LOG_LEVEL = (-1.2, 1.2)  # mean and deviation of the logarithm
_FLOW_ENDS = (0.001, 0.999)  # of its time: at 1 there is no signal, and no finite level


@dataclass(frozen=True)
class Schedule:
    """A path of noise levels (deviation of the noise / weight of the signal) from almost none to almost pure noise.

    Attributes:
        level_at: maps times in [0, 1], of any shape, to levels; it never decreases.
        trained_at: maps uniform numbers in [0, 1) to levels as drawn in training: a quantile function.
        levels: of a discrete-time process, (T,) float64, rising; empty for a process in continuous time.

    Both functions take times and numbers on any device, and return float64 on the CPU.
    """

    level_at: Callable[[Tensor], Tensor]
    trained_at: Callable[[Tensor], Tensor]
    levels: Tensor

    def ends(self) -> tuple[float, float]:
        """Return the smallest and the largest level."""
        low, high = self.level_at(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
        return low, high

    def betas(self) -> Tensor:
        """Return the variance that each step of a discrete process adds, (T,) float64 (Ho et al. 2020, eq. 2).

        The schedulers of diffusers take them as `trained_betas`.
        """
        abar = alphas_cumprod(self.levels)
        return 1.0 - abar / torch.cat([torch.ones_like(abar[:1]), abar[:-1]])

    def path(self, n_steps: int, spacing: Spacing, start: float = 1.0) -> list[float]:
        """Return the n_steps levels that a sampler visits, falling, and the 0 that it ends at.

        Args:
            n_steps: at least 2; for a discrete process with even spacing in time, at most T.
            spacing: even in "time", in the "log" of the level, or in its 7th root ("rho", Karras et al. 2022, eq. 5).
            start: the time to start from.

        Raises:
            InputError: `n_steps` or `start` is out of range, or two levels are the same.
        """
        most = len(self.levels) or math.inf if spacing == "time" else math.inf
        if not 2 <= n_steps <= most:
            raise InputError(f"the number of sampling steps must be in 2..{most}, not {n_steps}")
        if not 0.0 < start <= 1.0:
            raise InputError(f"the time to start from must be above 0 and at most 1, not {start}")
        times = torch.linspace(start, 0.0, n_steps, dtype=torch.float64)
        if spacing == "time":
            levels = self.level_at(times)
        else:
            low, high = self.level_at(torch.tensor([0.0, start], dtype=torch.float64))
            share = times / start
            if spacing == "log":
                levels = torch.exp(high.log() * share + low.log() * (1.0 - share))
            else:
                levels = (high ** (1.0 / _RHO) * share + low ** (1.0 / _RHO) * (1.0 - share)) ** _RHO
        path = levels.tolist()
        if len(set(path)) < n_steps:
            raise InputError(f"{n_steps} sampling steps from time {start:g} are too many: some would be the same")
        return [*path, 0.0]


def make(name: Name, n_steps: int = 1000) -> Schedule:
    """Return a named schedule.

    "linear" is that of Ho et al. 2020 (variances 1e-4 to 0.02 at T = 1000, scaled for other T so that the end is
    noise), "cosine" that of Nichol & Dhariwal 2021, eq. 17, with their cap of 0.999; both have T = `n_steps` discrete
    steps. "karras" draws log-normal levels in training and visits 0.002 to 80 (Karras et al. 2022, table 1). "flow" is
    the straight path x_t = (1 - t) x_0 + t eps, trained at uniform times (Lipman et al. 2023, eq. 20-23).

    Raises:
        InputError: fewer than 2 steps, or so few that a linear one would add more variance than there is.
    """
    if name == "karras":
        mean, deviation = _KARRAS_LOG_LEVEL
        low, high = (end ** (1.0 / _RHO) for end in _KARRAS_ENDS)
        return Schedule(
            level_at=lambda time: (low + time.cpu().double() * (high - low)) ** _RHO,
            trained_at=lambda uniform: torch.exp(mean + deviation * _normal_quantile(uniform)),
            levels=torch.empty(0),
        )
    if name == "flow":
        return Schedule(level_at=_flow_level, trained_at=_flow_level, levels=torch.empty(0))
    levels = _levels(_betas(name, n_steps))
    return Schedule(
        level_at=lambda time: levels[(time.cpu() * (n_steps - 1)).round().long()],
        trained_at=lambda uniform: levels[(uniform.cpu().double() * n_steps).long()],
        levels=levels,
    )


def _flow_level(time: Tensor) -> Tensor:
    first, last = _FLOW_ENDS
    inside = first + time.cpu().double() * (last - first)
    return inside / (1.0 - inside)


def _normal_quantile(uniform: Tensor) -> Tensor:
    # The middle of the interval that a float32 represents: 0 itself would map to minus infinity.
    return torch.as_tensor(torch.special.ndtri(uniform.cpu().double() + 2.0**-25))


def _betas(name: Literal["linear", "cosine"], n_steps: int) -> Tensor:
    """Return the variance that each step adds, (T,) float64."""
    if n_steps < 2:
        raise InputError(f"a diffusion process needs at least 2 steps, not {n_steps}")
    if name == "linear":
        scale = 1000.0 / n_steps
        betas = torch.linspace(scale * 1e-4, scale * 0.02, n_steps, dtype=torch.float64)
        if betas[-1] >= 1.0:
            raise InputError(f"the linear schedule needs more than 20 steps, not {n_steps}")
        return betas
    offset = 0.008
    times = torch.arange(n_steps + 1, dtype=torch.float64) / n_steps
    f = torch.cos((times + offset) / (1.0 + offset) * math.pi / 2.0).square()
    return (1.0 - f[1:] / f[:-1]).clamp(max=0.999)


def _levels(betas: Tensor) -> Tensor:
    abar = torch.cumprod(1.0 - betas, dim=0)
    return ((1.0 - abar) / abar).sqrt()
