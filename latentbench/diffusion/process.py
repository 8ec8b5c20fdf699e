"""The forward process: how noise covers an image, step by step (Sohl-Dickstein et al. 2015; Ho et al. 2020).

Everything here works on y = x_0 + level * eps, with eps standard normal: the coordinates of Karras et al. 2022. Every
Gaussian process x_t = a_t x_0 + s_t eps is this one with level s_t / a_t, once it is divided by a_t. So one set of
samplers, bounds and edits serves all of them; `variance_preserving` converts to the x_t of Ho et al.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def noised(x0: Tensor, level: Tensor, eps: Tensor) -> Tensor:
    """Draw from q(y | x_0) = N(x_0, level^2 I), given the noise; in other coordinates Ho et al. 2020, eq. 4.

    x0 and eps (n, ...), level (n,) -> (n, ...)
    """
    return x0 + beside(level, x0) * eps


def posterior(x0: Tensor, y: Tensor, level: Tensor, lower: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of q(y_lower | y_level, x_0), Ho et al. 2020, eq. 6 and 7.

    x0 and y (n, ...), level and lower (n,) with 0 <= lower < level -> (n, ...), (n,)
    """
    kept = lower.square() / level.square()
    mean = x0 + beside(kept, y) * (y - x0)
    return mean, lower * (1.0 - kept).sqrt()


def signal_to_noise(level: Tensor) -> Tensor:
    """Return the ratio of the variances of signal and noise, any shape (Kingma et al. 2021, eq. 2)."""
    return level.square().reciprocal()


def variance_preserving(y: Tensor, level: Tensor) -> Tensor:
    """Return y (n, ...) as the x_t of Ho et al. 2020, whose signal and noise have squared weights that sum to 1."""
    return y / beside((1.0 + level.square()).sqrt(), y)


def alphas_cumprod(level: Tensor) -> Tensor:
    """Return abar of Ho et al. 2020, the squared weight of the signal in x_t, for levels of any shape."""
    return (1.0 + level.square()).reciprocal()


def beside(level: Tensor, y: Tensor) -> Tensor:
    """Return `level` (n,), of any dtype and on any device, in a shape that scales y (n, ...): (n, 1, ...), like y."""
    return level.to(y).reshape(-1, *[1] * (y.ndim - 1))


def noise(generators: Sequence[torch.Generator], *shape: int) -> Tensor:
    """Draw standard normal noise (n, *shape), each sample from its own generator.

    So a sample does not depend on the batch that it is drawn in.
    """
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])
