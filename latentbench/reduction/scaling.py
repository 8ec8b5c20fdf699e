"""Classical scaling of distances between landmarks, and the placing of any point by its distances to them."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.sparse.linalg import LinearOperator, eigsh

from latentbench.core.errors import InputError
from latentbench.reduction.symmetric import SymmetricMatrix

_DENSE = 1500  # up to this many landmarks, an eigensolver on the whole matrix is the fastest
_BLOCK = 200
_ROUNDING = 1e-5  # of the largest eigenvalue: what float32 sums of many lengths leave in place of zero


@dataclass(frozen=True)
class Scaling:
    """Coordinates that keep the distances between m landmarks.

    Attributes:
        eigenvalues: (k,) float64, of B = -J D^2 J / 2, falling.
        triangulation: (k, m) float64: eigenvectors divided by the roots of their eigenvalues.
        mean_squares: (m,) float64: means of the squared distances from each landmark to all landmarks.
    """

    eigenvalues: np.ndarray
    triangulation: np.ndarray
    mean_squares: np.ndarray

    def place(self, distances: np.ndarray) -> np.ndarray:
        """Place points by their distances (q, m) to the landmarks (de Silva & Tenenbaum 2004, section 2.2).

        A landmark is placed where classical scaling puts it.

        Returns:
            (q, k) float64.
        """
        squares = np.square(distances, dtype=np.float64)
        placed: np.ndarray = 0.5 * (self.mean_squares - squares) @ self.triangulation.T
        return placed


def scale(distances: SymmetricMatrix, n_components: int) -> Scaling:
    """Find the `n_components` directions of most variance of points with these distances (Torgerson 1952).

    B = -J D^2 J / 2, with J the centring, is never formed if there are many landmarks: the Lanczos method needs only
    its products with vectors, which are computed directly from the distances.

    Args:
        distances: (m, m).
        n_components: 1 to m - 1.

    Raises:
        InputError: up to rounding, the distances have fewer dimensions than that.
    """
    m = distances.n
    if m <= _DENSE:
        squares = np.square(distances.rows(np.arange(m)), dtype=np.float64)
        mean_squares = squares.mean(axis=0)
        centred = -0.5 * (squares - mean_squares - mean_squares[:, None] + mean_squares.mean())
        eigenvalues, vectors = eigh(centred, subset_by_index=[m - n_components, m - 1])
    else:
        mean_squares = distances.times_squares(np.ones(m)) / m

        def multiply(vector: np.ndarray) -> np.ndarray:
            vector = vector.ravel()
            product = distances.times_squares(vector - vector.mean())
            centred: np.ndarray = -0.5 * (product - product.mean())
            return centred

        start = np.random.default_rng(0).standard_normal(m)
        operator = LinearOperator((m, m), matvec=multiply, dtype=np.float64)
        eigenvalues, vectors = eigsh(operator, n_components, which="LA", v0=start, tol=1e-9)
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    positive = eigenvalues > _ROUNDING * max(eigenvalues[0], 0.0)
    if not positive.all():
        raise InputError(
            f"the distances have only {positive.sum()} dimensions, fewer than n_components = {n_components}"
        )
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(n_components)])
    return Scaling(eigenvalues, (vectors / np.sqrt(eigenvalues)).T, mean_squares)


def strain(distances: SymmetricMatrix, scaling: Scaling) -> float:
    """Return the Frobenius norm of what the kept directions miss of B, over m: scikit-learn's reconstruction error."""
    m = distances.n
    grand_mean = scaling.mean_squares.mean()
    total = 0.0
    for start in range(0, m, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, m))
        squares = np.square(distances.rows(block), dtype=np.float64)
        rows = scaling.mean_squares[block, None]
        total += np.square(0.5 * (squares - rows - scaling.mean_squares + grand_mean)).sum()
    return float(np.sqrt(max(0.0, total - np.square(scaling.eigenvalues).sum())) / m)
