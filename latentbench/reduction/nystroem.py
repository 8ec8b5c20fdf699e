"""Kernel PCA (Schölkopf, Smola & Müller 1998) on the Nyström features of landmarks (Williams & Seeger 2001).

The kernel is the Gaussian one, k(x, y) = exp(-|x - y|^2 / (2 s^2)) with the bandwidth s. With all points as landmarks
the scores are those of kernel PCA itself.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from latentbench.core import progress
from latentbench.core.errors import InputError, check_finite

_BLOCK = 4096
_LEAST = 1e-10  # eigenvalues of the landmarks' kernel, as a share of the largest, that are more than rounding


@dataclass(frozen=True)
class KernelPCA:
    """A map from points to scores.

    Attributes:
        landmarks: (m, p), points.
        bandwidth: s of the kernel.
        projection: (m, c) float64, what the kernel's values at the landmarks are multiplied by.
        shift: (c,) float64, what is subtracted then: the mean over the points it was fitted to.
        variances: (c,) float64, falling, of the scores of those points, with n - 1 in the denominator.
    """

    landmarks: np.ndarray
    bandwidth: float
    projection: np.ndarray
    shift: np.ndarray
    variances: np.ndarray

    @classmethod
    def fit(cls, points: np.ndarray, landmarks: np.ndarray, n_components: int, bandwidth: float) -> Self:
        """Find the directions of most variance of points (n, p) within the landmarks' span in feature space.

        Nyström features of a point are L^(-1/2) U^T k, where k (m,) are the kernel's values at the landmarks and
        U L U^T is the kernel's matrix of the landmarks themselves. The scores are the principal components of these.
        Each is signed so that the largest entry of its column of `projection` is positive.

        Args:
            points: (n, p), at least 2.
            landmarks: (m, p).
            n_components: of the scores; fewer if the landmarks span fewer directions.
            bandwidth: s, above 0.

        Raises:
            InputError: a coordinate is not finite, or a number is out of range.
        """
        for values, name in ((points, "coordinates of points"), (landmarks, "coordinates of landmarks")):
            check_finite(values, name)
        if not 1 <= n_components <= len(landmarks):
            raise InputError(f"n_components must be in 1..{len(landmarks)}, the landmarks, not {n_components}")
        if len(points) < 2:
            raise InputError(f"principal components need at least 2 points, not {len(points)}")
        if not bandwidth > 0.0:
            raise InputError(f"the bandwidth must be above 0, not {bandwidth}: are all points the same?")
        values, vectors = np.linalg.eigh(kernel(landmarks, landmarks, bandwidth))
        kept = values > _LEAST * values[-1]
        whiten = vectors[:, kept] / np.sqrt(values[kept])  # (m, r)
        total, products = np.zeros(whiten.shape[1]), np.zeros((whiten.shape[1],) * 2)
        for start in progress.bar(range(0, len(points), _BLOCK), desc="kernel PCA", unit="block"):
            features = kernel(points[start : start + _BLOCK], landmarks, bandwidth) @ whiten
            total += features.sum(axis=0)
            products += features.T @ features
        mean = total / len(points)
        covariance = (products - len(points) * np.outer(mean, mean)) / (len(points) - 1)
        variances, directions = np.linalg.eigh(covariance)
        variances, directions = variances[::-1][:n_components].clip(min=0.0), directions[:, ::-1][:, :n_components]
        projection = whiten @ directions
        largest = np.abs(projection).argmax(axis=0)
        signs = np.sign(projection[largest, np.arange(projection.shape[1])])
        return cls(landmarks, bandwidth, projection * signs, mean @ directions * signs, variances)

    def scores(self, points: np.ndarray, first: int | None = None) -> np.ndarray:
        """Map points (n, p) to scores (n, c) float32, or to the first of them."""
        projection, shift = self.projection[:, :first], self.shift[:first]
        found = np.empty((len(points), projection.shape[1]), np.float32)
        for start in range(0, len(points), _BLOCK):
            block = slice(start, start + _BLOCK)
            found[block] = kernel(points[block], self.landmarks, self.bandwidth) @ projection - shift
        return found


def kernel(points: np.ndarray, others: np.ndarray, bandwidth: float) -> np.ndarray:
    """Return the Gaussian kernel of points (n, p) with others (m, p), (n, m) float64."""
    values = _squares(points, others)
    values /= -2.0 * bandwidth**2
    found: np.ndarray = np.exp(values, out=values)
    return found


def median_distance(points: np.ndarray) -> float:
    """Return the median of the distances between each two of points (n, p): the usual scale of a kernel.

    Raises:
        InputError: there are fewer than 2.
    """
    if len(points) < 2:
        raise InputError(f"a distance needs 2 points, not {len(points)}")
    squares = _squares(points, points)
    return float(np.sqrt(np.median(squares[np.triu_indices(len(points), 1)])))


def _squares(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    left, right = points.astype(np.float64), others.astype(np.float64)
    squares = left @ right.T
    squares *= -2.0
    squares += np.square(left).sum(axis=1)[:, None]
    squares += np.square(right).sum(axis=1)
    return squares.clip(min=0.0, out=squares)
