"""A mixture of Gaussians with full covariances, fitted by expectation maximisation (Dempster et al. 1977).

The updates are those of Bishop 2006, section 9.2.2.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp, softmax

from latentbench.core import progress
from latentbench.core.errors import InputError, check_finite
from latentbench.densities.base import Candidate, Options

_BLOCK = 1000  # points at a time: what is computed for each point and component stays in the processor's cache
_RIDGE = 1e-3  # added to all variances, as a share of their mean: structure finer than that is invisible in images
_TOLERANCE = 0.1  # nats: a smaller rise of the mean log density of validation points ends a fit
_MOST_STEPS = 100
_N_LLOYD = 10  # steps of k-means before the fit
_NEGLIGIBLE = np.finfo(np.float64).eps  # share of a point that is lost to rounding when shares are summed


class Density:
    """Gaussians and their weights.

    Args:
        weights: (k,), which sum to 1.
        means: (k, d).
        factors: (k, d, d), lower triangular: a covariance is its factor times the factor's transpose.
    """

    def __init__(self, weights: np.ndarray, means: np.ndarray, factors: np.ndarray) -> None:
        self.weights, self.means, self.factors = weights, means, factors
        dim = means.shape[1]
        # The squares of x - mean times its whitener sum to the squared Mahalanobis distance.
        whiteners = [solve_triangular(factor, np.eye(dim), lower=True).T for factor in factors]
        self._whiteners = np.concatenate(whiteners, axis=1)  # (d, k * d)
        self._shifts = np.stack([mean @ whitener for mean, whitener in zip(means, whiteners, strict=True)])
        log_determinants = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        self._constants = np.log(weights) - log_determinants - 0.5 * dim * np.log(2.0 * np.pi)

    @classmethod
    def fit(
        cls, train: np.ndarray, validation: np.ndarray, options: Options, generator: np.random.Generator, label: str
    ) -> tuple[Self, list[Candidate]]:
        """Fit a mixture for each number of components, as `base.Density` says; keep the likeliest on validation."""
        found = [fit(train, validation, count, generator, label) for count in options.components]
        mixture, _ = max(found, key=lambda each: each[1].validation_nats)
        return cls(mixture.weights, mixture.means, mixture.factors), [candidate for _, candidate in found]

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the density whose `arrays` were saved."""
        return cls(**arrays)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the weights, means and factors."""
        return {"weights": self.weights, "means": self.means, "factors": self.factors}

    def log_prob(self, points: np.ndarray) -> np.ndarray:
        """Return the log density of points (n, d) in nats, (n,) float64."""
        blocks = (points[block].astype(np.float64) for block in _blocks(len(points)))
        found: np.ndarray = np.concatenate([logsumexp(self._log_joint(block), axis=1) for block in blocks])
        return found

    def _log_joint(self, points: np.ndarray) -> np.ndarray:
        """Return log(weight * density) of each component at points (n, d), as (n, k) in the points' dtype."""
        count, dim = self.means.shape
        whitened = (points @ self._whiteners.astype(points.dtype)).reshape(-1, count, dim)
        whitened -= self._shifts.astype(points.dtype)
        squares = np.einsum("nkd,nkd->nk", whitened, whitened)
        found: np.ndarray = self._constants.astype(points.dtype) - 0.5 * squares
        return found

    def shares(self, points: np.ndarray) -> np.ndarray:
        """Return each component's share of each point (n, d), (n, k), in the points' dtype (Bishop, eq. 9.23)."""
        return np.concatenate([softmax(self._log_joint(points[block]), axis=1) for block in _blocks(len(points))])

    def sample(self, n: int, generator: np.random.Generator) -> np.ndarray:
        """Return draws (n, d) float64."""
        chosen = generator.choice(len(self.weights), n, p=self.weights)
        draws = generator.standard_normal((n, self.means.shape[1]))
        for component in range(len(self.weights)):
            own = chosen == component
            draws[own] = draws[own] @ self.factors[component].T + self.means[component]
        return draws


def fit(
    train: np.ndarray, validation: np.ndarray, count: int, generator: np.random.Generator, label: str
) -> tuple[Density, Candidate]:
    """Fit a mixture of `count` Gaussians to points, starting from k-means.

    It stops when the validation points no longer become likelier: more steps would only overfit the train points.

    Args:
        train, validation: (n, d) and (m, d).
        count: components.
        generator: for the start.
        label: for the progress bar.

    Raises:
        InputError: some points are not finite, or there are fewer than `count`, or fewer than two.
    """
    check_finite(train, "latents")
    check_finite(validation, "validation latents")
    if len(train) < max(count, 2):
        raise InputError(f"a mixture of {count} Gaussians needs at least {max(count, 2)} latents, not {len(train)}")
    centre = train.mean(axis=0, dtype=np.float64)
    # One scale for all: a VAE's latents that carry nothing hardly vary, and must not count as much as the others.
    scale = np.sqrt(train.var(axis=0, dtype=np.float64).mean()) or 1.0
    points, others = ((each - centre) / scale for each in (train, validation))
    rounded = points.astype(np.float32)  # precise enough for shares, in half the time
    mixture = maximise(points, np.eye(count)[_clusters(points, count, generator)])
    nats, rise, steps = mixture.log_prob(others).mean(), np.inf, 0
    with progress.counter(desc=f"{label}: {count} Gaussians", unit="step", delay=5) as bar:
        while rise >= _TOLERANCE and steps < _MOST_STEPS:
            following = maximise(points, mixture.shares(rounded))
            rise = following.log_prob(others).mean() - nats
            if rise > 0:
                mixture, nats = following, nats + rise
            bar.set_postfix(nats=f"{nats:.2f}", refresh=False)
            bar.update()
            steps += 1
    jacobian = train.shape[1] * np.log(scale)
    train_nats = mixture.log_prob(points).mean()
    candidate = Candidate(count, steps, float(train_nats - jacobian), float(nats - jacobian))
    return Density(mixture.weights, mixture.means * scale + centre, scale * mixture.factors), candidate


def _blocks(n: int) -> list[slice]:
    return [slice(start, start + _BLOCK) for start in range(0, n, _BLOCK)]


def maximise(points: np.ndarray, shares: np.ndarray) -> Density:
    """Return the likeliest mixture, given the components' shares of points (Bishop, eq. 9.24 to 9.27).

    Args:
        points: (n, d) float64, with unit variance on average over coordinates.
        shares: (n, k), which sum to 1 over the components.
    """
    sizes = shares.sum(axis=0) + _NEGLIGIBLE
    dim = points.shape[1]
    means, factors = np.empty((len(sizes), dim)), np.empty((len(sizes), dim, dim))
    for component, size in enumerate(sizes):
        own = shares[:, component] > _NEGLIGIBLE
        share, near = shares[own, component, None], points[own]
        means[component] = (share * near).sum(axis=0) / size
        apart = np.sqrt(share) * (near - means[component])
        factors[component] = np.linalg.cholesky(apart.T @ apart / size + _RIDGE * np.eye(dim))
    return Density(sizes / sizes.sum(), means, factors)


def _clusters(points: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    """Return the cluster of each point, (n,) int64, by k-means (Lloyd 1982).

    It starts from points that lie far apart (k-means++, Arthur & Vassilvitskii 2007).
    """
    squares = np.square(points).sum(axis=1)

    def distances(centres: np.ndarray) -> np.ndarray:
        """Return the squared distances (n, k), never negative."""
        rounded = squares[:, None] - 2.0 * points @ centres.T + np.square(centres).sum(axis=1)
        found: np.ndarray = np.maximum(rounded, 0.0)
        return found

    centres = points[generator.integers(len(points))][None]
    nearest = distances(centres)[:, 0]
    while len(centres) < count:
        total = nearest.sum()
        chosen = generator.choice(len(points), p=nearest / total if total else None)
        centres = np.concatenate([centres, points[chosen][None]])
        nearest = np.minimum(nearest, distances(centres[-1:])[:, 0])
    labels: np.ndarray = distances(centres).argmin(axis=1)
    for _ in range(_N_LLOYD):
        sizes = np.bincount(labels, minlength=count)
        members = np.eye(count)[labels]
        centres = np.where(sizes[:, None] > 0, members.T @ points / np.maximum(sizes, 1)[:, None], centres)
        labels = distances(centres).argmin(axis=1)
    return labels
