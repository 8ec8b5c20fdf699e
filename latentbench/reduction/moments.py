"""Mean and covariance of any number of points, a block at a time (Chan, Golub & LeVeque 1983)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from latentbench.core.errors import InputError


@dataclass(frozen=True)
class Moments:
    """Number, mean and products of points.

    Attributes:
        n: how many.
        mean: (p,) float64.
        products: (p, p) float64, the sums of products of their centred coordinates.
    """

    n: int
    mean: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, points: np.ndarray) -> "Moments":
        """Return the moments of points (n, p), at least one."""
        mean = points.mean(axis=0, dtype=np.float64)
        centred = points - mean
        return cls(len(points), mean, centred.T @ centred)

    def scaled(self, scale: np.ndarray) -> "Moments":
        """Return the moments of the points with their coordinates divided by `scale` (p,)."""
        return Moments(self.n, self.mean / scale, self.products / np.outer(scale, scale))


def joined(parts: Iterable[Moments]) -> Moments:
    """Return the moments of all points of several parts, taken in their order.

    Raises:
        InputError: there are none.
    """
    n, mean, products = 0, np.zeros(0), np.zeros(0)
    for part in parts:
        if n == 0:
            n, mean, products = part.n, part.mean, part.products.copy()
            continue
        apart, before = part.mean - mean, n
        n += part.n
        mean = mean + apart * (part.n / n)
        products += part.products
        products += np.outer(apart, apart * (before * part.n / n))  # eq. 2.1 of the paper, for products
    if n == 0:
        raise InputError("there are no points to compute moments of")
    return Moments(n, mean, products)
