"""Data whose ideal denoiser is known in closed form."""

import torch
from torch import Tensor

from latentbench.diffusion.denoising import Denoise
from latentbench.diffusion.process import beside

MEAN, DEVIATION = 0.2, 0.15


def denoise(y: Tensor, level: Tensor) -> Tensor:
    """Return E[x_0 | y] for numbers that are independent N(MEAN, DEVIATION^2)."""
    kept = DEVIATION**2 / (DEVIATION**2 + beside(level, y).double().square())
    return (MEAN + kept * (y - MEAN)).to(y)


def of_covariance(mean: Tensor, covariance: Tensor) -> Denoise:
    """Return E[x_0 | y] for vectors that are N(mean, covariance)."""
    values, vectors = torch.linalg.eigh(covariance.double())

    def ideal(y: Tensor, level: Tensor) -> Tensor:
        kept = values / (values + level.square()[:, None])
        return (mean + (((y - mean).double() @ vectors) * kept) @ vectors.T).to(y)

    return ideal


def exact(y: Tensor, level: float, lower: float) -> Tensor:
    """Return where the deterministic path of `denoise` leads from one level to another."""
    variance = DEVIATION**2
    return MEAN + (y - MEAN) * ((lower**2 + variance) / (level**2 + variance)) ** 0.5
