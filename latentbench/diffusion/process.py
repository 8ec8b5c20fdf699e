"""The forward process of diffusion (Ho et al. 2020) and the ways to parameterise what a network predicts."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from latentbench.errors import InputError

ScheduleName = Literal["linear", "cosine"]
Prediction = Literal["eps", "x0", "v"]


@dataclass(frozen=True)
class Process:
    """q(x_t | x_{t-1}) = N(sqrt(1 - beta_t) x_{t-1}, beta_t I), with t counted from 0 to T - 1.

    Attributes:
        betas: (T,) float64, the variance that each step adds.
        alphas_cumprod: (T,) float64, abar_t = prod_{s <= t} (1 - beta_s).
    """

    betas: Tensor
    alphas_cumprod: Tensor

    @property
    def n_steps(self) -> int:
        """The number of steps T."""
        return len(self.betas)

    def signal_and_noise(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Return sqrt(abar_t) and sqrt(1 - abar_t) for steps t (n,), as float32 (n, 1, 1) to scale images with."""
        abar = self.alphas_cumprod[t.cpu()][:, None, None]  # not every device knows float64
        return abar.sqrt().float().to(t.device), (1.0 - abar).sqrt().float().to(t.device)

    def noised(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Draw from q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I), given the noise (Ho et al. 2020, eq. 4).

        x0 and eps (n, height, width), t (n,) -> (n, height, width)
        """
        signal, noise = self.signal_and_noise(t)
        return signal * x0 + noise * eps

    def target(self, prediction: Prediction, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Return what a network of this parameterisation has to predict; v is Salimans & Ho 2022, section 4."""
        if prediction == "eps":
            return eps
        if prediction == "x0":
            return x0
        signal, noise = self.signal_and_noise(t)
        return signal * eps - noise * x0

    def split(self, prediction: Prediction, x_t: Tensor, t: Tensor, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return the x_0 and the eps that a network's output stands for, both shaped as `x_t`."""
        signal, noise = self.signal_and_noise(t)
        if prediction == "eps":
            return (x_t - noise * output) / signal, output
        if prediction == "x0":
            return output, (x_t - signal * output) / noise
        return signal * x_t - noise * output, noise * x_t + signal * output


def make_process(schedule: ScheduleName, n_steps: int) -> Process:
    """Return the process of a named variance schedule with T = `n_steps`.

    "linear" is that of Ho et al. 2020 (1e-4 to 0.02 at T = 1000, scaled for other T so that the end stays noise),
    "cosine" that of Nichol & Dhariwal 2021, eq. 17, with their cap of 0.999.

    Raises:
        InputError: fewer than 2 steps, or so few that a linear step would add more variance than there is.
    """
    if n_steps < 2:
        raise InputError(f"a diffusion process needs at least 2 steps, not {n_steps}")
    if schedule == "linear":
        scale = 1000.0 / n_steps
        betas = torch.linspace(scale * 1e-4, scale * 0.02, n_steps, dtype=torch.float64)
        if betas[-1] >= 1.0:
            raise InputError(f"the linear schedule needs more than 20 steps, not {n_steps}")
    else:
        s = 0.008
        times = torch.arange(n_steps + 1, dtype=torch.float64) / n_steps
        f = torch.cos((times + s) / (1 + s) * math.pi / 2).square()
        betas = (1.0 - f[1:] / f[:-1]).clamp(max=0.999)
    return Process(betas, torch.cumprod(1.0 - betas, dim=0))
