"""How close generated images come to real ones, in the features of a classifier."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from latentbench.errors import InputError

# A generated image counts as recognised when the classifier gives one class more than this probability.
CONFIDENT = 0.8


@dataclass(frozen=True)
class Moments:
    """What a Fréchet distance sees of a set of features: how many, their sum, and the sum of their outer products."""

    n: int
    total: np.ndarray  # (d,)
    products: np.ndarray  # (d, d)

    def __sub__(self, other: "Moments") -> "Moments":
        return Moments(self.n - other.n, self.total - other.total, self.products - other.products)

    def mean(self) -> np.ndarray:
        """Return the mean (d,)."""
        mean: np.ndarray = self.total / self.n
        return mean

    def covariance(self) -> np.ndarray:
        """Return the unbiased covariance (d, d)."""
        mean = self.mean()
        covariance: np.ndarray = (self.products - self.n * np.outer(mean, mean)) / (self.n - 1)
        return covariance


def moments(features: np.ndarray) -> Moments:
    """Sum features (n, d) in float64."""
    features = features.astype(np.float64)
    return Moments(len(features), features.sum(axis=0), features.T @ features)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Return the squared Fréchet distance between Gaussians of these moments (Dowson & Landau 1982, eq. 4).

    |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), the last trace as the sum of the singular values of
    C_a^(1/2) C_b^(1/2). Eigenvalues of the product would be squares of those: their rounding, which differs from run
    to run, would show in the fifth digit of a small distance where features are never active.
    """
    covariance_a, covariance_b = a.covariance(), b.covariance()
    cross = np.linalg.svd(_root(covariance_a) @ _root(covariance_b), compute_uv=False).sum()
    shift = np.square(a.mean() - b.mean()).sum()
    return float(shift + np.trace(covariance_a) + np.trace(covariance_b) - 2.0 * cross)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric square root; what is zero up to rounding is zero."""
    values, vectors = np.linalg.eigh(covariance)
    rounding = len(values) * np.finfo(np.float64).eps * values.max()
    root: np.ndarray = (vectors * np.sqrt(np.where(values > rounding, values, 0.0))) @ vectors.T
    return root


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float


def frechet_estimate(
    features_a: np.ndarray, features_b: np.ndarray, n_groups: int, generator: np.random.Generator
) -> Estimate:
    """Return the Fréchet distance between two equally large sets of features with a 95% interval.

    The interval is a delete-a-group jackknife (Shao & Tu 1995, section 2.3) with Student's t on `n_groups` - 1 degrees
    of freedom: a bootstrap would repeat images, which biases the distance upwards. It is cut off at zero.

    Args:
        features_a, features_b: (n, d) each; with equal n the bias is equal in every row of a table.
        n_groups: groups that are left out in turn.
        generator: of the grouping.

    Raises:
        InputError: the sets differ in size, or are smaller than two images a group.
    """
    n = len(features_a)
    if len(features_b) != n or n < 2 * n_groups:
        raise InputError(f"needs two equal sets of at least {2 * n_groups} images, not {n} and {len(features_b)}")
    whole_a, whole_b = moments(features_a), moments(features_b)
    value = frechet_distance(whole_a, whole_b)
    groups = zip(
        np.array_split(generator.permutation(n), n_groups),
        np.array_split(generator.permutation(n), n_groups),
        strict=True,
    )
    left_out = np.array(
        [frechet_distance(whole_a - moments(features_a[i]), whole_b - moments(features_b[j])) for i, j in groups]
    )
    variance = (n_groups - 1) / n_groups * np.square(left_out - left_out.mean()).sum()
    half_width = stats.t.ppf(0.975, n_groups - 1) * np.sqrt(variance)
    return Estimate(value, max(0.0, value - half_width), value + half_width)
