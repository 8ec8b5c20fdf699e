"""How well a linear classifier finds the classes in a representation (Alain & Bengio 2017)."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning

from latentbench.core.errors import InputError, check_finite

_PENALTY = 1e-3  # on half the squared norm of the coefficients, added to the mean cross-entropy of a point
_TOLERANCE = 1e-4  # on the gradient's largest entry; a fifth of it changes 5 labels of 10,000, and costs twice the time
_SHARE = 0.1  # of the first residual, at which a step is close enough
_MOST_POINTS = 2048  # that the Hessian is estimated from for preconditioning
_MOST_FACTORED = 2**23  # entries of the factors of all classes' blocks: 64 MiB
_MOST_FITTED = 60_000  # train points: they are held in memory in float64
_RIDGE = 1e-6  # added to the penalty, of which the constant has none
_MAX_STEPS = 50
_MAX_PRODUCTS = 200  # of the Hessian with a vector, in one step
_BLOCK = 1024  # points at a time in such a product: they are read twice, the second time from the cache


def predictions(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Classify test points by a multinomial logistic regression fitted to train points, and return their labels (m,).

    Coordinates are centred, and divided by one number, the root of their mean variance: the labels stay the same when
    a representation is scaled, shifted or rotated. The mean cross-entropy is minimised together with a penalty on the
    coefficients, which was tuned on no data and is the same for every representation. The minimum is found in float64,
    by Newton's method with conjugate gradients (Nocedal & Wright 2006, algorithm 7.1), so that it does not depend on
    where a first-order method happens to stop. Beyond 60,000 train points, only 60,000 are used, evenly spread.

    Args:
        train: (n, d) float32 or float64.
        labels: (n,) of the train points, with at least two classes.
        test: (m, d).

    Raises:
        InputError: all train points are of one class, or a coordinate is not finite.

    Warns:
        ConvergenceWarning: 50 steps were not enough.
    """
    if len(train) > _MOST_FITTED:
        some = np.linspace(0, len(train) - 1, _MOST_FITTED).round().astype(np.int64)
        train, labels = train[some], labels[some]
    check_finite(train, "train points")
    check_finite(test, "test points")
    classes, targets = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise InputError("a linear probe needs train points of at least two classes")
    mean = train.mean(axis=0, dtype=np.float64)
    spread = float(np.sqrt(train.var(axis=0, dtype=np.float64).mean())) or 1.0
    known, asked = ((points - mean) / spread for points in (train, test))
    if len(known) < known.shape[1]:
        # The penalty keeps the coefficients in the span of the train points, which is rotated onto the first axes.
        axes, _ = np.linalg.qr(known.T)
        known, asked = known @ axes, asked @ axes
    design, asked = (np.c_[points, np.ones(len(points))] for points in (known, asked))
    found: np.ndarray = classes[(asked @ _minimum(design, targets, len(classes))).argmax(axis=1)]
    return found


def _minimum(design: np.ndarray, targets: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the coefficients (d, n_classes) at which the penalised cross-entropy is least."""
    n, d = design.shape
    penalty = np.full((d, 1), _PENALTY)
    penalty[-1] = 0.0  # of the constant
    single = design.astype(np.float32)  # products with the Hessian only choose the direction of a step
    # For the preconditioner: more points would cost more than the products that they save.
    widest = math.isqrt(_MOST_FACTORED // n_classes)
    if d <= widest:
        blocks, stride = _by_coordinates, max(1, n // min(2 * d, _MOST_POINTS))
    else:
        blocks, stride = _by_points, math.ceil(n / widest)

    def evaluate(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logs = log_softmax(design @ weights, axis=1)
        loss = -logs[np.arange(n), targets].mean() + 0.5 * float((penalty * weights**2).sum())
        return loss, np.exp(logs, out=logs)

    weights = np.zeros((d, n_classes))
    loss, shares = evaluate(weights)
    for _ in range(_MAX_STEPS):
        errors = shares.copy()
        errors[np.arange(n), targets] -= 1.0
        gradient = design.T @ errors / n + penalty * weights
        largest = np.abs(gradient).max()
        if largest < _TOLERANCE:
            return weights
        thin = shares.astype(np.float32)

        def product(vector: np.ndarray, thin: np.ndarray = thin) -> np.ndarray:
            narrow, total = vector.astype(np.float32), np.zeros(vector.shape, dtype=np.float32)
            for start in range(0, n, _BLOCK):
                some, weights = single[start : start + _BLOCK], thin[start : start + _BLOCK]
                scores = weights * (some @ narrow)
                scores -= weights * scores.sum(axis=1, keepdims=True)
                total += some.T @ scores
            found: np.ndarray = total / n + penalty * vector
            return found

        precondition = blocks(single[::stride], thin[::stride], penalty[:, 0] + _RIDGE)
        direction = _conjugate_gradients(product, precondition, -gradient, _SHARE)
        slope, length = float((gradient * direction).sum()), 1.0
        while True:
            found, shares = evaluate(weights + length * direction)
            if found <= loss + 1e-4 * length * slope:
                break
            length /= 2
            if length < 1e-6:
                warnings.warn("a linear probe cannot be fitted any closer", ConvergenceWarning, stacklevel=3)
                return weights
        weights, loss = weights + length * direction, found
    warnings.warn(f"a linear probe has not converged in {_MAX_STEPS} steps", ConvergenceWarning, stacklevel=3)
    return weights


def _by_coordinates(points: np.ndarray, shares: np.ndarray, penalty: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a solver for the Hessian's diagonal blocks, one for each class, estimated from some of the points."""
    factors = []
    for weights in (shares * (1.0 - shares)).T:
        block = ((points * weights[:, None]).T @ points / len(points)).astype(np.float64)
        block[np.diag_indices_from(block)] += penalty
        factors.append(cho_factor(block, lower=True, overwrite_a=True))
    return lambda residual: _solved(factors, residual)


def _by_points(points: np.ndarray, shares: np.ndarray, penalty: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the same for fewer points than coordinates, by the Woodbury identity (Golub & Van Loan 2013, 2.1.4).

    A block is P + X' D X, with the penalty P and a diagonal D of the class. Its inverse is
    P^-1 - P^-1 X' D^1/2 (I + D^1/2 X P^-1 X' D^1/2)^-1 D^1/2 X P^-1, whose only factor has a row for each point.
    """
    scaled = points / penalty.astype(np.float32)
    products = (scaled @ points.T).astype(np.float64)
    roots = np.sqrt(shares * (1.0 - shares) / len(points)).astype(np.float64)
    factors = []
    for root in roots.T:
        block = root[:, None] * products * root
        block[np.diag_indices_from(block)] += 1.0
        factors.append(cho_factor(block, lower=True, overwrite_a=True))

    def solve(residual: np.ndarray) -> np.ndarray:
        alone = residual / penalty[:, None]
        along = roots * (points @ alone.astype(np.float32))
        found = _solved(factors, along)
        corrected: np.ndarray = alone - scaled.T @ (roots * found).astype(np.float32)
        return corrected

    return solve


def _solved(factors: Sequence[Any], residual: np.ndarray) -> np.ndarray:
    """Solve for each column of the residual by its own Cholesky factor."""
    columns = [cho_solve(f, column, check_finite=False) for f, column in zip(factors, residual.T, strict=True)]
    return np.stack(columns, axis=1)


def _conjugate_gradients(
    product: Callable[[np.ndarray], np.ndarray],
    precondition: Callable[[np.ndarray], np.ndarray],
    target: np.ndarray,
    share: float,
) -> np.ndarray:
    """Return the solution of `product(x) = target`, to a share of the first residual in the preconditioner's norm."""
    solution, residual = np.zeros_like(target), target
    preconditioned = precondition(residual)
    search, size = preconditioned, float((residual * preconditioned).sum())
    least = share**2 * size
    for _ in range(_MAX_PRODUCTS):
        along = product(search)
        length = size / float((search * along).sum())
        solution = solution + length * search
        residual = residual - length * along
        preconditioned = precondition(residual)
        size, before = float((residual * preconditioned).sum()), size
        if size < least:
            break
        search = preconditioned + size / before * search
    return solution
