"""What a denoising network is given, what it predicts, and how its errors are weighted."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from latentbench.diffusion.process import signal_to_noise

Prediction = Literal["eps", "x0", "v", "karras", "flow"]
Weighting = Literal["output", "eps", "min_snr"]

_MIN_SNR_GAMMA = 5.0


@dataclass(frozen=True)
class Coefficients:
    """The estimate of x_0 is skip * y + out * network(scale * y), each (n,): Karras et al. 2022, eq. 7."""

    scale: Tensor
    skip: Tensor
    out: Tensor


def coefficients(prediction: Prediction, level: Tensor, data_deviation: float) -> Coefficients:
    """Return the coefficients at noise levels (n,).

    "eps" and "x0" predict the noise or the image from x_t (Ho et al. 2020, section 3.2), "v" their mixture of Salimans
    & Ho 2022, section 4. "karras" gives input and target unit variance at every level, for data of this deviation
    (Karras et al. 2022, table 1). "flow" predicts the velocity eps - x_0 from (1 - t) x_0 + t eps (Lipman et al. 2023).
    """
    square = level.square()
    preserving = (1.0 + square).rsqrt()
    if prediction == "eps":
        return Coefficients(preserving, torch.ones_like(level), -level)
    if prediction == "x0":
        return Coefficients(preserving, 0.0 * level, torch.ones_like(level))
    if prediction == "v":
        return Coefficients(preserving, preserving.square(), -level * preserving)
    if prediction == "flow":
        straight = (1.0 + level).reciprocal()
        return Coefficients(straight, straight, -level * straight)
    data = data_deviation**2
    total = square + data
    return Coefficients(total.rsqrt(), data / total, level * data_deviation * total.rsqrt())


def weights(weighting: Weighting, level: Tensor) -> Tensor | None:
    """Return the weight (n,) of the squared error of x_0; None to weight each network output the same.

    "eps" weights each error of the noise the same (Ho et al. 2020, eq. 14). "min_snr" does too, but caps the weight of
    an image's error at 5 (Hang et al. 2023, eq. 8).
    """
    if weighting == "output":
        return None
    ratio = signal_to_noise(level)
    return ratio if weighting == "eps" else ratio.clamp(max=_MIN_SNR_GAMMA)
