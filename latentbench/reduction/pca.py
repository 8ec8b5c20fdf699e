"""Principal component analysis by the eigenvectors of the covariance matrix."""

from dataclasses import dataclass

import numpy as np

from latentbench.errors import InputError

_BLOCK = 10_000


@dataclass(frozen=True)
class PCA:
    """Orthogonal directions of most variance (Pearson 1901).

    Attributes:
        mean: (p,) float64, of the points it was fitted on.
        components: (m, p) float64 rows of unit length, by falling variance, each signed so that its entry of largest
            magnitude is positive.
        variances: (p,) float64, of all p components, with n - 1 in the denominator.
        scale: (p,) float64, by which coordinates were divided first; ones for plain PCA.
    """

    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    scale: np.ndarray

    def transform(self, points: np.ndarray) -> np.ndarray:
        """Map points (n, p) to scores (n, m) float32."""
        scores: np.ndarray = ((points - self.mean) / self.scale @ self.components.T).astype(np.float32)
        return scores

    def inverse_transform(self, scores: np.ndarray) -> np.ndarray:
        """Map scores (n, at most m) of the first components to points (n, p) float64."""
        points: np.ndarray = scores @ self.components[: scores.shape[1]] * self.scale + self.mean
        return points

    def variance_shares(self) -> np.ndarray:
        """Return the share of the total variance of each component, (p,)."""
        shares: np.ndarray = self.variances / self.variances.sum()
        return shares

    def components_for(self, share: float) -> int:
        """Return the smallest number of components that explain at least this share of the variance."""
        reached = np.cumsum(self.variance_shares()) >= share - 1e-12
        return int(np.argmax(reached)) + 1 if reached.any() else len(reached)


def fit(points: np.ndarray, n_components: int, scale: np.ndarray | None = None) -> PCA:
    """Fit PCA to points (n, p) of any numeric type, keeping `n_components` directions.

    With `scale` (p,) coordinates are divided by it first: standardised PCA where it is their deviations, which keeps
    correlations instead of covariances and is not optimal in the error of the coordinates themselves.

    The covariance is summed in float64 in blocks, so that no second copy of the points is needed.

    Raises:
        InputError: there are fewer than 2 points, or not so many components (at most min(n - 1, p)).
    """
    n, p = points.shape
    if n < 2:
        raise InputError(f"PCA needs at least 2 points, not {n}")
    if not 1 <= n_components <= min(n - 1, p):
        raise InputError(f"n_components must be in 1..{min(n - 1, p)}, not {n_components}")
    mean: np.ndarray = points.mean(axis=0, dtype=np.float64)
    scale = np.ones(p) if scale is None else scale.astype(np.float64)
    covariance = np.zeros((p, p))
    for start in range(0, n, _BLOCK):
        centred = (points[start : start + _BLOCK] - mean) / scale
        covariance += centred.T @ centred
    variances, vectors = np.linalg.eigh(covariance / (n - 1))
    variances, vectors = variances[::-1].clip(min=0.0), vectors[:, ::-1]
    components = vectors[:, :n_components].T
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(n_components), largest])
    return PCA(mean, components * signs[:, None], variances, scale)
