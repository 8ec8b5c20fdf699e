"""Principal component analysis by the eigenvectors of the covariance matrix."""

import copy
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from latentbench.core.errors import InputError
from latentbench.reduction.moments import Moments, joined

BLOCK = 10_000  # points whose moments are taken together


class PCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Orthogonal directions of most variance (Pearson 1901); a scikit-learn estimator.

    Unlike scikit-learn's it has `scale`, and finds the directions exactly, in float64. There is no randomised or
    iterative solver, no whitening and no sparse input. `n_components` cannot be a share of the variance: use
    `components_for`.

    Args:
        n_components: directions that are kept; None for all there are, min(n - 1, p).
        scale: (p,) what coordinates are divided by first. Their deviations give standardised PCA, which keeps
            correlations instead of covariances and is not optimal in the error of the coordinates themselves. None for
            plain PCA.

    Attributes:
        mean_: (p,) float64, of the points it was fitted on.
        components_: (m, p) float64 rows of unit length, by falling variance, each signed so that its entry of largest
            magnitude is positive.
        variances_: (p,) float64, of all p components, with n - 1 in the denominator.
        scale_: (p,) float64, what coordinates are divided by; ones for plain PCA.
        n_features_in_: p.
    """

    def __init__(self, n_components: int | None = None, *, scale: np.ndarray | None = None) -> None:
        self.n_components = n_components
        self.scale = scale

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002, N803
        """Find the directions of points X (n, p).

        The covariance is joined in float64 from blocks, so no second copy of the points is needed. With fewer points
        than coordinates, the singular vectors of the centred points give the same directions at a lower cost.

        Raises:
            ValueError: they are not finite, or fewer than 2.
            InputError: there are fewer components than asked for, or `scale` has another length, a zero, or a value
                that is not finite.
        """
        points = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        n, p = points.shape
        n_components = self._n_components(n, p)
        if n < p:  # the covariance of few points is larger than they are
            mean, scale = points.mean(axis=0, dtype=np.float64), self._scale(p)
            _, deviations, directions = np.linalg.svd((points - mean) / scale, full_matrices=False)
            variances = np.zeros(p)
            variances[:n] = deviations**2 / (n - 1)
            return self._keep(mean, scale, variances, directions[:n_components])
        blocks = (Moments.of(points[start : start + BLOCK]) for start in range(0, n, BLOCK))
        return self.fit_moments(joined(blocks))

    def fit_moments(self, moments: Moments) -> Self:
        """Find the directions of points from their moments alone, for example if they do not fit into memory.

        Raises:
            InputError: as `fit`, or there are fewer than 2 points.
        """
        n, p = moments.n, len(moments.mean)
        if n < 2:
            raise InputError(f"principal components need at least 2 points, not {n}")
        n_components, scale = self._n_components(n, p), self._scale(p)
        self.n_features_in_ = p
        variances, vectors = np.linalg.eigh(moments.scaled(scale).products / (n - 1))
        return self._keep(moments.mean, scale, variances[::-1].clip(min=0.0), vectors[:, ::-1][:, :n_components].T)

    def _n_components(self, n: int, p: int) -> int:
        most = min(n - 1, p)
        n_components = most if self.n_components is None else self.n_components
        if not 1 <= n_components <= most:
            raise InputError(
                f"n_components must be in 1..{most} for n_samples = {n} and n_features = {p}, not {n_components}"
            )
        return n_components

    def _scale(self, p: int) -> np.ndarray:
        scale = np.ones(p) if self.scale is None else np.asarray(self.scale, dtype=np.float64)
        if scale.shape != (p,):
            raise InputError(f"scale must have a number for each of {p} coordinates, not the shape {scale.shape}")
        if not (np.isfinite(scale) & (scale != 0.0)).all():
            raise InputError("scale must be finite and not zero: give 1 for coordinates that do not vary")
        return scale

    def _keep(self, mean: np.ndarray, scale: np.ndarray, variances: np.ndarray, components: np.ndarray) -> Self:
        largest = np.abs(components).argmax(axis=1)
        signs = np.sign(components[np.arange(len(components)), largest])
        self.mean_: np.ndarray = mean
        self.scale_: np.ndarray = scale
        self.variances_: np.ndarray = variances
        self.components_: np.ndarray = components * signs[:, None]
        self._n_features_out = len(components)
        return self

    def first(self, n_components: int) -> Self:
        """Return this fit with only its first `n_components` directions.

        Raises:
            InputError: there are fewer.
        """
        check_is_fitted(self)
        if not 1 <= n_components <= len(self.components_):
            raise InputError(f"n_components must be in 1..{len(self.components_)}, not {n_components}")
        cut = copy.copy(self)
        cut.n_components = cut._n_features_out = n_components
        cut.components_ = self.components_[:n_components]
        return cut

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Map points X (n, p) to scores (n, m) of the same type, float32 or float64.

        Raises:
            ValueError: they are not finite, or have a different number of coordinates.
        """
        check_is_fitted(self)
        points = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        scores: np.ndarray = ((points - self.mean_) / self.scale_ @ self.components_.T).astype(points.dtype)
        return scores

    def inverse_transform(self, scores: np.ndarray) -> np.ndarray:
        """Map scores (n, at most m) of the first components to points (n, p) float64."""
        check_is_fitted(self)
        points: np.ndarray = scores @ self.components_[: scores.shape[1]] * self.scale_ + self.mean_
        return points

    def variance_shares(self) -> np.ndarray:
        """Return the share of the total variance of each component, (p,); zeros where all points are the same."""
        total = self.variances_.sum()
        shares: np.ndarray = self.variances_ / (total if total > 0 else 1.0)
        return shares

    def components_for(self, share: float) -> int:
        """Return the smallest number of components that explain at least this share of the variance."""
        reached = np.cumsum(self.variance_shares()) >= share - 1e-12
        return int(np.argmax(reached)) + 1 if reached.any() else len(reached)
