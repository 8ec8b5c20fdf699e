"""Whether two runs' scores differ by more than chance: paired intervals, p-values and their correction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from latentbench.core.errors import InputError
from latentbench.evaluation import classification
from latentbench.evaluation.samples import jackknife
from latentbench.evaluation.seeds import t_interval

_BLOCK = 100  # resamples whose counts are held at once
_FEW_KINDS = 4  # images of a kind, on average: with at least so many it is faster to draw kinds than images


@dataclass(frozen=True)
class Change:
    """A difference of two scores.

    Attributes:
        value, low, high: the difference and its 95% interval.
        p: two-sided p-value of no difference.
    """

    value: float
    low: float
    high: float
    p: float


def by_jackknife(a: float, b: float, left_out_a: np.ndarray, left_out_b: np.ndarray) -> Change:
    """Return b - a of two scores whose jackknives left out the same groups in the same order.

    What affects both scores alike, such as held-out images that are hard for any model, cancels.

    Args:
        a, b: the scores.
        left_out_a, left_out_b: their values without each group in turn, (n_groups,) each.

    Raises:
        InputError: their numbers of groups differ, or are below 2.
    """
    n_groups = len(left_out_a)
    if n_groups != len(left_out_b) or n_groups < 2:
        raise InputError(f"needs two jackknives over the same groups, not {n_groups} and {len(left_out_b)} of them")
    found = jackknife(b - a, list(left_out_b - left_out_a), low=-np.inf)
    error = (found.high - found.value) / float(stats.t.ppf(0.975, n_groups - 1))
    return Change(found.value, found.low, found.high, _t_p_value(found.value, error, n_groups - 1))


def resampled_means(outcomes: np.ndarray, n_resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Return the column means of resampled images, the same for every column, as `by_resamples` takes them.

    Images with equal outcomes are drawn together: the number of each kind in a resample is multinomial. So where there
    are few values, such as whether two classifiers are right, the cost grows with the kinds and not with the images.
    The distribution is that of `classification.bootstrap_means`.

    Args:
        outcomes: (n, m).
        n_resamples: number of resamples.
        generator: for the resampling.

    Returns:
        (n_resamples, m) float64.
    """
    n = len(outcomes)
    kinds, sizes = np.unique(outcomes.astype(np.float64), axis=0, return_counts=True)
    if len(kinds) <= n / _FEW_KINDS:
        means: np.ndarray = generator.multinomial(n, sizes / n, size=n_resamples) @ kinds / n
        return means
    found = np.empty((n_resamples, outcomes.shape[1]))
    for start in range(0, n_resamples, _BLOCK):
        size = min(_BLOCK, n_resamples - start)
        drawn = generator.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        found[start : start + size] = counts.astype(np.float64) @ outcomes / n
    return found


def by_resamples(value: float, resampled: np.ndarray) -> Change:
    """Return a difference whose values on resamples of the images are known, (n,): a paired bootstrap.

    Its interval is the percentile interval; its p-value twice the share of resamples beyond zero, counting one more so
    that it is never zero (Davison & Hinkley 1997, section 4.2).
    """
    beyond = min((resampled <= 0).sum(), (resampled >= 0).sum())
    p = min(1.0, 2.0 * (beyond + 1) / (len(resampled) + 1))
    return Change(value, *classification.interval(resampled), p)


def over_seeds(values: Sequence[float]) -> Change:
    """Return the mean of differences (n,), one for each seed that both were trained with, by Student's t.

    Raises:
        InputError: there are fewer than two values, or one is not finite.
    """
    mean, low, high = t_interval(values)
    error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    return Change(mean, low, high, _t_p_value(mean, error, len(values) - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in their order (Holm 1979).

    The chance of any false positive among them then stays below the level that they are tested at.
    """
    m, running = len(p_values), 0.0
    corrected = [0.0] * m
    for rank, place in enumerate(sorted(range(m), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (m - rank) * p_values[place]))
        corrected[place] = running
    return corrected


def _t_p_value(value: float, error: float, degrees: int) -> float:
    if error == 0.0:
        return 1.0 if value == 0.0 else 0.0
    return float(2.0 * stats.t.sf(abs(value) / error, degrees))
