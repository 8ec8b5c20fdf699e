"""How much the seed of a training matters: a score as the mean over seeds, with an interval."""

from collections.abc import Sequence

import numpy as np

from latentbench.core.errors import InputError


def t_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of a score over seeds (n,) with its 95% interval, as (mean, low, high).

    Student's t on n - 1 degrees of freedom (Student 1908): exact if scores of trainings that differ only in their seed
    are normal, which so few of them cannot show.

    Raises:
        InputError: there are fewer than two values, or one is not finite.
    """
    if len(values) < 2:
        raise InputError(f"an interval over seeds needs at least two of them, not {len(values)}")
    if not np.isfinite(values).all():
        raise InputError(f"an interval over seeds needs finite values, not {list(values)}")
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
    from scipy import stats

    half_width = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return mean, mean - half_width, mean + half_width
