"""Stratified choices keep every class's share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentbench.data import splits


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.data())
def test_exactly_so_many_distinct_rows_with_shares_within_one(values: list[int], data: st.DataObject) -> None:
    labels = np.array(values)
    size = data.draw(st.integers(1, len(labels)))
    chosen = splits.stratified_subset(labels, size, np.random.default_rng(0))
    assert len(chosen) == size == len(set(chosen))
    assert np.array_equal(chosen, np.sort(chosen))
    shares = np.bincount(labels, minlength=6) * size / len(labels)
    assert np.abs(np.bincount(labels[chosen], minlength=6) - shares).max() < 1


def test_the_choice_is_random_but_repeatable(labels: np.ndarray) -> None:
    one, again, other = (splits.stratified_subset(labels, 500, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("size", [0, 11])
def test_an_impossible_size_is_refused(size: int, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=f"cannot choose {size} of 10"):
        splits.stratified_subset(np.zeros(10, dtype=int), size, rng)
