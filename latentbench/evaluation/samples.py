"""How close generated images come to real ones, in the features of a classifier."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from latentbench.core.errors import InputError, check_finite
from latentbench.neighbors.search import nearest

# A generated image counts as recognised when the classifier gives one class more than this probability.
CONFIDENT = 0.8
_LEAST_VARIANCE = 1e-11  # of the mean square of features; rounding makes about 2e-16 of that


@dataclass(frozen=True)
class Moments:
    """What a Fréchet distance needs of a set of features: their number, sum, and sum of outer products."""

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
    """Sum features (n, d) in float64.

    Raises:
        InputError: some are not finite, or are so far from zero that their variance is lost in these sums.
    """
    check_finite(features, "features")
    features = features.astype(np.float64)
    squares, variance = np.square(features).mean(axis=0).sum(), features.var(axis=0).sum()
    if 0.0 < variance < _LEAST_VARIANCE * squares:
        raise InputError(
            f"features lie {np.sqrt(squares / variance):.0e} times as far from zero as from their mean, too far for a "
            "covariance in float64: subtract one vector from the features of both sets first"
        )
    return Moments(len(features), features.sum(axis=0), features.T @ features)


def frechet_distance(a: Moments, b: Moments) -> float:
    """Return the squared Fréchet distance between Gaussians of these moments (Dowson & Landau 1982, eq. 4).

    |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), the last trace as the sum of the singular values of
    C_a^(1/2) C_b^(1/2). Eigenvalues of the product would be squares of those: their rounding, which differs from run
    to run, would show in the fifth digit of a small distance where features are never active.

    Raises:
        InputError: one side is a single image, which has no covariance, or the two sides have different features.
    """
    if a.total.shape != b.total.shape:
        raise InputError(f"the two sides must have the same features, not {len(a.total)} and {len(b.total)} of them")
    if min(a.n, b.n) < 2:
        raise InputError(f"the Fréchet distance needs at least 2 images on each side, not {a.n} and {b.n}")
    covariance_a, covariance_b = a.covariance(), b.covariance()
    cross = np.linalg.svd(_root(covariance_a) @ _root(covariance_b), compute_uv=False).sum()
    shift = np.square(a.mean() - b.mean()).sum()
    distance = shift + np.trace(covariance_a) + np.trace(covariance_b) - 2.0 * cross
    return float(max(distance, 0.0))  # for equal sides it is rounding, of either sign


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric square root; eigenvalues that are zero up to rounding count as zero."""
    values, vectors = np.linalg.eigh(covariance)
    rounding = len(values) * np.finfo(np.float64).eps * values.max()
    root: np.ndarray = (vectors * np.sqrt(np.where(values > rounding, values, 0.0))) @ vectors.T
    return root


@dataclass(frozen=True)
class Estimate:
    """A value with its 95% interval.

    Attributes:
        value, low, high: of the score.
        left_out: for a jackknife, its values without each group in turn; for two rows with the same groups they give
            a paired interval of the difference (`differences.by_jackknife`).
    """

    value: float
    low: float
    high: float
    left_out: tuple[float, ...] = ()


def frechet_estimate(
    features_a: np.ndarray, features_b: np.ndarray, n_groups: int, generator: np.random.Generator
) -> Estimate:
    """Return the Fréchet distance between two equally large sets of features with a 95% interval.

    The interval is a delete-a-group jackknife (Shao & Tu 1995, section 2.3) with Student's t on `n_groups` - 1 degrees
    of freedom: a bootstrap would repeat images, which biases the distance upwards. It is cut off at zero.

    Args:
        features_a, features_b: (n, d) each; with equal n the bias is equal in every row of a table.
        n_groups: groups that are left out in turn.
        generator: for the grouping.

    Raises:
        InputError: the sets differ in size, or have fewer than two images per group.
    """
    groups = list(zip(*_groups(features_a, features_b, n_groups, generator), strict=True))
    whole_a, whole_b = moments(features_a), moments(features_b)
    left_out = [frechet_distance(whole_a - moments(features_a[i]), whole_b - moments(features_b[j])) for i, j in groups]
    return jackknife(frechet_distance(whole_a, whole_b), left_out)


def kernel_estimate(
    features_a: np.ndarray, features_b: np.ndarray, n_groups: int, generator: np.random.Generator
) -> Estimate:
    """Return the kernel distance between two equally large sets of features with a 95% interval.

    The unbiased squared maximum mean discrepancy with the kernel (x . y / d + 1)^3 (Binkowski et al. 2018, eq. 4),
    over all pairs. It may fall below zero by chance. Unlike the Fréchet distance it does not depend on n, except for
    noise. Arguments, interval and errors are those of `frechet_estimate`, without the cut at zero.
    """
    dim = features_a.shape[1]
    groups_a, groups_b = _groups(features_a, features_b, n_groups, generator)

    def sums(x: np.ndarray, y: np.ndarray, of_x: list[np.ndarray], of_y: list[np.ndarray]) -> np.ndarray:
        """Return the sums of the kernel by group of x and y, (n_groups, n_groups)."""
        found = np.empty((n_groups, n_groups))
        parts = [y[group] for group in of_y]
        for row, group in enumerate(of_x):
            points = x[group] / dim
            for column, part in enumerate(parts):
                if x is y and column < row:
                    found[row, column] = found[column, row]
                    continue
                base = points @ part.T
                base += 1.0
                found[row, column] = np.vdot(base, base * base)  # a power would take several times as long
        return found

    a, b = features_a.astype(np.float64), features_b.astype(np.float64)
    within_a, within_b = sums(a, a, groups_a, groups_a), sums(b, b, groups_b, groups_b)
    across = sums(a, b, groups_a, groups_b)
    # A point and itself are not a pair.
    selves_a, selves_b = (
        np.array([((np.square(x[group]).sum(axis=1) / dim + 1.0) ** 3).sum() for group in groups])
        for x, groups in ((a, groups_a), (b, groups_b))
    )

    def distance(kept: np.ndarray) -> float:
        sizes = [_size(groups, kept) for groups in (groups_a, groups_b)]
        pairs = np.ix_(kept, kept)
        parts = [
            (within[pairs].sum() - selves[kept].sum()) / (size * (size - 1))
            for within, selves, size in ((within_a, selves_a, sizes[0]), (within_b, selves_b, sizes[1]))
        ]
        return float(parts[0] + parts[1] - 2.0 * across[pairs].sum() / (sizes[0] * sizes[1]))

    everyone = np.ones(n_groups, dtype=bool)
    left_out = [distance(np.arange(n_groups) != group) for group in range(n_groups)]
    return jackknife(distance(everyone), left_out, low=-np.inf)


def density_and_coverage(
    real: np.ndarray, generated: np.ndarray, k: int, n_groups: int, generator: np.random.Generator
) -> tuple[Estimate, Estimate]:
    """Return density and coverage with 95% intervals (Naeem et al. 2020, eq. 3 and 4).

    Each real image has a ball around it that reaches to its k-th nearest other one. Density is the mean number of balls
    that a generated image lies in, divided by k: 1 where it is as likely as real ones, 0 far from them. Coverage is the
    share of balls with a generated image inside: small if kinds of images are missing, however good the others are.

    Args:
        real, generated: features (n, d) each, equally many.
        k: neighbours.
        n_groups, generator: for the jackknife, as in `frechet_estimate`; the balls stay those of all real images.

    Raises:
        InputError: the sets differ in size, are too small, or hold NaN or infinity.
    """
    groups_real, groups_generated = _groups(real, generated, n_groups, generator)
    radii = nearest(real, real, k, exclude_self=True, label="density: radii").distances[:, -1]
    nearby = np.empty((n_groups, len(real)))  # squared distance of the nearest generated image, by its group
    counts = np.empty((n_groups, n_groups))  # of pairs with the second inside the ball of the first
    centre = real.mean(axis=0, dtype=np.float64)  # the smaller the numbers subtracted below, the less is lost
    a, reach = real - centre, np.square(radii)
    lengths = np.square(a).sum(axis=1)
    for column, group in enumerate(groups_generated):
        b = generated[group] - centre
        turned, squares_b = -2.0 * b.T, np.square(b).sum(axis=1)
        for row, of_real in enumerate(groups_real):
            squares = a[of_real] @ turned
            squares += lengths[of_real, None]
            squares += squares_b
            np.maximum(squares, 0.0, out=squares)
            nearby[column, of_real] = squares.min(axis=1)
            counts[row, column] = np.count_nonzero(squares < reach[of_real, None])

    def scores(kept: np.ndarray) -> tuple[float, float]:
        chosen = np.concatenate([group for group, keep in zip(groups_real, kept, strict=True) if keep])
        share = len(real) / len(chosen)  # fewer balls, each as large as before
        density = share * counts[np.ix_(kept, kept)].sum() / (k * _size(groups_generated, kept))
        return float(density), float((nearby[kept].min(axis=0) < reach)[chosen].mean())

    whole = scores(np.ones(n_groups, dtype=bool))
    left_out = [scores(np.arange(n_groups) != group) for group in range(n_groups)]
    density, coverage = (jackknife(value, [each[i] for each in left_out]) for i, value in enumerate(whole))
    return density, replace(coverage, high=min(1.0, coverage.high))


def ratio_estimate(a: np.ndarray, b: np.ndarray, n_groups: int, generator: np.random.Generator) -> Estimate:
    """Return the ratio of the means of two equally large sets of values, (n,) each, with a 95% interval.

    Arguments, interval and errors are those of `frechet_estimate`.
    """
    whole = np.array([a.sum(), b.sum()])  # both sums have n terms: their ratio is that of the means
    left_out = []
    for i, j in zip(*_groups(a, b, n_groups, generator), strict=True):
        kept = (whole - [a[i].sum(), b[j].sum()]) / [len(a) - len(i), len(b) - len(j)]
        left_out.append(kept[0] / kept[1])
    return jackknife(whole[0] / whole[1], left_out)


def sharpness(images: np.ndarray) -> np.ndarray:
    """Return the spectral power of images (n, c, h, w) in [0, 1] above half the highest frequency, (n,).

    Blurred images have too little of it, noisy ones too much; meant to be divided by that of real images.
    """
    frequencies, powers = power_spectra(images)
    power: np.ndarray = powers[:, frequencies > 0.25].sum(axis=1)
    return power


def power_spectra(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies (m,) in cycles per pixel, and the power of images (n, c, h, w) at each, (n, m)."""
    height, width = images.shape[2:]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    spectra = np.fft.fft2((images - images.mean(axis=(2, 3), keepdims=True)) * window)
    power = np.square(np.abs(spectra)).mean(axis=1).reshape(len(images), -1) / (height * width)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    rings = np.floor(frequency * max(height, width) + 0.5).astype(int).ravel()
    n_rings = max(height, width) // 2 + 1
    members = (rings[:, None] == np.arange(n_rings)).astype(np.float64)
    return np.arange(n_rings) / max(height, width), power @ members


def _groups(
    a: np.ndarray, b: np.ndarray, n_groups: int, generator: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Split both sets at random, each into groups of indices."""
    n = len(a)
    if len(b) != n or n < 2 * n_groups:
        raise InputError(f"needs two equal sets of at least {2 * n_groups} images, not {n} and {len(b)}")
    if a.shape[1:] != b.shape[1:]:
        raise InputError(f"the two sets must have the same features, not {a.shape[1:]} and {b.shape[1:]} per image")
    for values in (a, b):
        check_finite(values, "features")
    first, second = (np.array_split(generator.permutation(n), n_groups) for _ in range(2))
    return first, second


def _size(groups: Sequence[np.ndarray], kept: np.ndarray) -> int:
    return sum(len(group) for group, keep in zip(groups, kept, strict=True) if keep)


def jackknife(value: float, left_out: Sequence[float], low: float = 0.0) -> Estimate:
    """Return a value with its jackknife interval, from its values without each group in turn, cut off at `low`.

    Shao & Tu 1995, section 2.3, for groups that are left out; Student's t with one degree of freedom fewer than groups.
    """
    n_groups, others = len(left_out), np.array(left_out)
    variance = (n_groups - 1) / n_groups * np.square(others - others.mean()).sum()
    from scipy import stats

    half_width = float(stats.t.ppf(0.975, n_groups - 1) * np.sqrt(variance))
    return Estimate(value, max(low, value - half_width), value + half_width, tuple(map(float, left_out)))
