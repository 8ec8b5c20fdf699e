"""Muon: momentum whose step is a nearly orthogonal matrix (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon)."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

_MOMENTUM = 0.95
_STEPS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the polynomial, as published: steepest at 0
# The root of the mean square of an Adam step (Liu et al. 2025, arXiv 2502.16982, eq. 4): one learning rate for both.
_ROOT_MEAN_SQUARE = 0.2
# Larger matrices are split into parts of this many rows (the blockwise steps of Khaled et al. 2025, arXiv 2510.16981):
# the time for a part grows with the square of its number of rows.
_ROWS = 128


class Muon(torch.optim.Optimizer):
    """For matrices and kernels only, (out, in, ...) each, which are treated as (out, everything else).

    Args:
        weights: with at least two axes each.
        learning_rate: as it would be for Adam.
        weight_decay: decoupled from the gradient.
    """

    def __init__(self, weights: Iterable[nn.Parameter], learning_rate: float, weight_decay: float = 0.0) -> None:
        super().__init__(weights, {"lr": learning_rate, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure
        """Take one step down the gradients."""
        for group in self.param_groups:
            for weight in group["params"]:
                gradient = weight.grad
                if gradient is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                state["momentum"].lerp_(gradient, 1.0 - _MOMENTUM)
                ahead = gradient.lerp(state["momentum"], _MOMENTUM)  # Nesterov's
                step = orthogonalised(ahead.flatten(1)) * (_ROOT_MEAN_SQUARE * max(ahead.flatten(1).shape) ** 0.5)
                weight.mul_(1.0 - group["lr"] * group["weight_decay"])
                weight.sub_(group["lr"] * step.view(weight.shape))


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return roughly the nearest matrix with orthonormal rows or columns, whichever are fewer, (n, m) -> (n, m).

    If these are more than 128, only those within each part of up to 128 are orthonormal. Five steps of a Newton-Schulz
    iteration take the singular values from anywhere above 0.01 of the largest to between 0.7 and 1.2 (Jordan et al.
    2024): close enough, and several times cheaper than coming closer.
    """
    is_wide = matrix.shape[0] <= matrix.shape[1]
    rows = matrix if is_wide else matrix.mT
    parts = rows.chunk(math.ceil(len(rows) / _ROWS))
    found = torch.cat([_newton_schulz(part) for part in parts])
    return torch.as_tensor(found if is_wide else found.mT)


def _newton_schulz(rows: Tensor) -> Tensor:
    # Each step multiplies X (n, m) by a polynomial of its Gram matrix X X^T. Such polynomials commute, so the Gram
    # matrix of the next X follows from this one, and X itself is multiplied once, at the end: all else is (n, n), and n
    # is far below m. Squaring blurs singular values below 0.001 of the largest, which stay below 0.5 anyway.
    first, second, third = _COEFFICIENTS
    start = rows / (rows.norm() + 1e-7)
    gram, product = start @ start.mT, None
    for step in range(_STEPS):
        factor = torch.addmm(gram, gram, gram, beta=second, alpha=third)
        factor.diagonal().add_(first)
        product = factor if product is None else factor @ product
        if step < _STEPS - 1:
            gram = factor @ (factor @ gram)
    return torch.as_tensor(product @ start)
