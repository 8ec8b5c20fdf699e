"""What a diffusion model does to given images: fill in, vary, invert, blend."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from latentbench.core.errors import InputError
from latentbench.diffusion.denoising import Denoise
from latentbench.diffusion.process import noise
from latentbench.diffusion.samplers import base as samplers

Rule = Literal["ddim", "heun"]


@torch.no_grad()
def inpaint(
    denoise: Denoise,
    path: Sequence[float],
    agree: Callable[[Tensor], Tensor],
    y: Tensor,
    generators: Sequence[torch.Generator],
    repeats: int = 1,
) -> Tensor:
    """Sample images that agree with their known part by ancestral steps, (n, ...).

    Every estimate of x_0 has its known part replaced by the true one. So y follows the forward process there, as in
    Lugmayr et al. 2022, algorithm 1. This has their resampling (going back and forth) too.

    Args:
        denoise: estimates x_0.
        path: falling levels, 0 last.
        agree: puts the known part into estimates (n, ...).
        y: (n, ...) at the first level, such as from `samplers.start`.
        generators: one for each image; another one gives another filling.
        repeats: how often each level but the last is visited, so that the filling can agree with the known part.
    """
    for level, lower in pairwise(path):
        for again in range(repeats if lower > 0.0 else 1, 0, -1):
            (step,) = samplers.sample(
                lambda y, level: agree(denoise(y, level)), [level, lower], y, "ancestral", generators=generators
            )
            y = step.y
            if again > 1:
                y = y + sqrt(level**2 - lower**2) * noise(generators, *y.shape[1:]).to(y)
    return y


def vary(
    denoise: Denoise,
    path: Sequence[float],
    images: Tensor,
    generators: Sequence[torch.Generator],
    sampler: str = "dpm_solver",
    eta: float = 0.0,
) -> Tensor:
    """Add noise to images (n, ...) up to the first level of the path and sample from there (Meng et al. 2022).

    The higher that level, the less of the image is left.

    Raises:
        InputError: there is not a generator for each image.
    """
    if len(generators) != len(images):
        raise InputError(f"varying {len(images)} images needs as many generators, not {len(generators)}")
    y = images + path[0] * noise(generators, *images.shape[1:]).to(images)
    return samplers.last(samplers.sample(denoise, path, y, sampler, eta, generators)).y


@torch.no_grad()
def invert(denoise: Denoise, path: Sequence[float], images: Tensor, rule: Rule = "heun") -> Tensor:
    """Return the noise from which a deterministic sampler makes images (n, ...), at the first level of the path.

    "ddim" takes the steps of DDIM in reverse (Song et al. 2021, section 4.3), "heun" those of Heun's rule, which is of
    second order and calls the network twice per step.

    Args:
        denoise: estimates x_0.
        path: falling levels, as for a sampler; images are taken to be at the last level above 0.
        images: data.
        rule: the sampler whose steps are inverted.
    """
    y = images
    for level, higher in pairwise([level for level in reversed(path) if level > 0.0]):
        x0 = samplers.call(denoise, y, level)
        slope = (y - x0) / level
        ahead = y + (higher - level) * slope
        if rule == "heun":
            slope = (slope + (ahead - samplers.call(denoise, ahead, higher)) / higher) / 2.0
        y = y + (higher - level) * slope
    return y


def blend(denoise: Denoise, path: Sequence[float], first: Tensor, second: Tensor, shares: Sequence[float]) -> Tensor:
    """Return images between pairs of images, (len(shares), n, ...), by interpolating the noise that they are made from.

    Args:
        denoise: estimates x_0.
        path: falling levels, 0 last.
        first, second: noise (n, ...) that `invert` made of images.
        shares: of the second; 0 and 1 give the two as inversion and sampling reproduce them.
    """
    between = torch.stack([spherical(first, second, share) for share in shares])
    blended = samplers.last(samplers.sample(denoise, path, between.flatten(0, 1), "heun")).y
    return torch.unflatten(blended, 0, between.shape[:2])


def spherical(first: Tensor, second: Tensor, share: float) -> Tensor:
    """Interpolate along the great circle, (n, ...) each (Shoemake 1985): all points between are as long as the ends."""
    a, b = first.flatten(1), second.flatten(1)
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1.0, 1.0)[:, None]
    angle = torch.arccos(cosine)
    if share in (0.0, 1.0):
        return second if share else first
    small = angle < 1e-4
    sine = torch.where(small, torch.ones_like(angle), torch.sin(angle))
    weights = [
        torch.where(small, torch.full_like(angle, part), torch.sin(part * angle) / sine)
        for part in (1.0 - share, share)
    ]
    return (weights[0] * a + weights[1] * b).reshape(first.shape)
