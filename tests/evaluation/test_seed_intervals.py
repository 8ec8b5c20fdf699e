"""The interval over seeds is Student's."""

import numpy as np
import pytest
from scipy import stats

from latentbench.core.errors import InputError
from latentbench.evaluation.seeds import t_interval


def test_interval_is_the_one_computed_by_hand() -> None:
    # Deviation 2, error 2 / sqrt(3), and 4.3027 is the 97.5% point of Student's t on 2 degrees of freedom.
    mean, low, high = t_interval([1.0, 3.0, 5.0])
    assert mean == 3.0
    assert low == pytest.approx(3.0 - 4.302653 * 2 / np.sqrt(3), rel=1e-6)
    assert high == pytest.approx(3.0 + 4.302653 * 2 / np.sqrt(3), rel=1e-6)


def test_interval_is_that_of_scipy(rng: np.random.Generator) -> None:
    values = rng.normal(0.87, 0.002, size=5).tolist()
    mean, *interval = t_interval(values)
    expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert mean == pytest.approx(np.mean(values))
    assert interval == pytest.approx(expected)


def test_interval_holds_the_truth_in_95_of_100_cases(rng: np.random.Generator) -> None:
    intervals = [t_interval(rng.normal(size=3).tolist()) for _ in range(2000)]
    assert np.mean([low <= 0 <= high for _, low, high in intervals]) == pytest.approx(0.95, abs=0.015)


def test_equal_values_have_an_interval_without_width() -> None:
    assert t_interval([0.5, 0.5]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")]])
def test_what_has_no_interval_is_refused(values: list[float]) -> None:
    with pytest.raises(InputError, match="interval over seeds"):
        t_interval(values)
