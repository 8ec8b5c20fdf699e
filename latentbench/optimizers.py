"""Muon: momentum whose step is a nearly orthogonal matrix (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon)."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

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
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            for weight in weights:
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
            gradients, momenta = (
                [weight.grad for weight in weights],
                [self.state[weight]["momentum"] for weight in weights],
            )
            torch._foreach_lerp_(momenta, gradients, 1.0 - _MOMENTUM)
            ahead = torch._foreach_lerp(gradients, momenta, _MOMENTUM)  # Nesterov's
            steps = orthogonalised([each.flatten(1) for each in ahead])
            for weight, step in zip(weights, steps, strict=True):
                size = _ROOT_MEAN_SQUARE * max(step.shape) ** 0.5
                weight.mul_(1.0 - group["lr"] * group["weight_decay"])
                weight.sub_(step.view(weight.shape), alpha=group["lr"] * size)


def orthogonalised(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return roughly the nearest matrix with orthonormal rows or columns, whichever are fewer, of each (n, m).

    If these are more than 128, only those within each part of up to 128 are orthonormal. Five steps of a Newton-Schulz
    iteration take the singular values from anywhere above 0.01 of the largest to between 0.7 and 1.2 (Jordan et al.
    2024): close enough, and several times cheaper than coming closer.
    """
    parts = [_wide(matrix).chunk(math.ceil(min(matrix.shape) / _ROWS)) for matrix in matrices]
    # Parts of one shape are multiplied together: most are small, and each product of its own has a cost.
    alike = defaultdict(list)
    for part in (each for some in parts for each in some):
        alike[part.shape].append(part)
    found = {shape: iter(_newton_schulz(torch.stack(some))) for shape, some in alike.items()}
    whole = [torch.cat([next(found[part.shape]) for part in some]) for some in parts]
    return [rows if _is_wide(matrix) else rows.mT for matrix, rows in zip(matrices, whole, strict=True)]


def _is_wide(matrix: Tensor) -> bool:
    return matrix.shape[0] <= matrix.shape[1]


def _wide(matrix: Tensor) -> Tensor:
    return matrix if _is_wide(matrix) else matrix.mT


def _newton_schulz(rows: Tensor) -> Tensor:
    """Map matrices (k, n, m) with n below m to their nearly orthogonal ones."""
    # Each step multiplies X (n, m) by a polynomial of its Gram matrix X X^T. Such polynomials commute, so the Gram
    # matrix of the next X follows from this one, and X itself is multiplied once, at the end: all else is (n, n), and n
    # is far below m. Squaring blurs singular values below 0.001 of the largest, which stay below 0.5 anyway.
    first, second, third = _COEFFICIENTS
    start = rows / (torch.linalg.matrix_norm(rows, keepdim=True) + 1e-7)
    gram, product = start @ start.mT, None
    for step in range(_STEPS):
        factor = torch.baddbmm(gram, gram, gram, beta=second, alpha=third)
        factor.diagonal(dim1=1, dim2=2).add_(first)
        product = factor if product is None else factor @ product
        if step < _STEPS - 1:
            gram = factor @ (factor @ gram)
    return torch.as_tensor(product @ start)
