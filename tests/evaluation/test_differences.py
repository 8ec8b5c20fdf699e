"""Differences between runs: against scipy and hand-computed values, at no difference, and against repetition."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from latentbench.evaluation import classification, differences, samples


def test_a_paired_jackknife_sees_through_what_both_share(rng: np.random.Generator) -> None:
    """Two shifts of the same images: their difference is far surer than either distance."""
    covered, widths = [], []
    for _ in range(40):
        shared, target = rng.normal(size=(400, 3)), rng.normal(size=(400, 3))
        groups = int(rng.integers(2**31))
        first, second = (
            samples.frechet_estimate(shared + np.array([shift, 0, 0]), target, 20, np.random.default_rng(groups))
            for shift in (0.5, 0.6)
        )
        left_out = np.array(first.left_out)
        change = differences.by_jackknife(first.value, second.value, left_out, np.array(second.left_out))
        covered.append(change.low <= 0.6**2 - 0.5**2 <= change.high)
        widths.append((change.high - change.low) / (first.high - first.low))
        assert change.p < 0.01
    assert np.mean(covered) > 0.85
    assert np.mean(widths) < 0.5
    same = differences.by_jackknife(first.value, first.value, left_out, left_out)
    assert same == differences.Change(0.0, 0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="not 20 and 0"):
        differences.by_jackknife(1.0, 1.0, left_out, np.empty(0))


def test_a_paired_bootstrap_is_the_t_test_where_there_are_many_images(rng: np.random.Generator) -> None:
    values = rng.normal(size=500)
    values += 0.09 - values.mean()
    resampled = classification.bootstrap_means(values[:, None], 4000, rng)[:, 0]
    found = differences.by_resamples(values.mean(), resampled)
    expected = stats.ttest_1samp(values, 0.0)
    low, high = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.02)
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)
    assert differences.by_resamples(0.0, np.zeros(100)) == differences.Change(0.0, 0.0, 0.0, 1.0)
    assert differences.by_resamples(1.0, np.ones(99)).p == pytest.approx(0.02), "as sure as so many resamples allow"


def test_seeds_are_compared_by_the_t_test() -> None:
    values = [0.01, 0.013, 0.008, 0.012]
    found, expected = differences.over_seeds(values), stats.ttest_1samp(values, 0.0)
    low, high = expected.confidence_interval()
    assert (found.value, found.low, found.high, found.p) == pytest.approx(
        (np.mean(values), low, high, expected.pvalue), rel=1e-9
    )
    assert differences.over_seeds([0.0, 0.0]).p == 1.0


def test_p_values_are_corrected_as_holm_has_it() -> None:
    # By hand: 4 * 0.005, 3 * 0.01, then 2 * 0.03, and 1 * 0.04 is raised to the one before it.
    assert differences.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert differences.holm([0.9, 0.8]) == [1.0, 1.0]
    assert differences.holm([]) == []


def test_macro_f1_from_shares_is_scikit_learns(rng: np.random.Generator) -> None:
    labels = rng.integers(4, size=300)
    predicted = np.where(rng.random(300) < 0.6, labels, rng.integers(5, size=300))  # a class that does not occur, too
    hits = classification.class_hits(predicted, labels)
    expected = f1_score(labels, predicted, average="macro", labels=range(4))
    assert classification.macro_f1(hits.mean(axis=0)) == pytest.approx(expected)
    some = rng.integers(300, size=(2, 300))
    both = classification.macro_f1(np.stack([hits[chosen].mean(axis=0) for chosen in some]))
    for score, chosen in zip(both, some, strict=True):
        expected = f1_score(labels[chosen], predicted[chosen], average="macro", labels=range(4))
        assert score == pytest.approx(expected)


@pytest.mark.parametrize("kinds", [2, 10_000])
def test_resamples_of_kinds_and_of_images_are_those_of_the_bootstrap(kinds: int) -> None:
    """Few values are drawn by kind, many by image: both have the spread that theory has, and one shape."""
    n, n_resamples = 2000, 4000
    outcomes = np.random.default_rng(0).integers(kinds, size=(n, 2)).astype(np.float64)
    ours = differences.resampled_means(outcomes, n_resamples, np.random.default_rng(1))
    plain = classification.bootstrap_means(outcomes, n_resamples, np.random.default_rng(2))
    assert ours.shape == plain.shape
    spread = outcomes.std(axis=0) / np.sqrt(n)
    for found in (ours, plain):
        np.testing.assert_allclose(
            found.mean(axis=0), outcomes.mean(axis=0), atol=4 * spread.max() / np.sqrt(n_resamples)
        )
        np.testing.assert_allclose(found.std(axis=0), spread, rtol=4 / np.sqrt(2 * n_resamples))
    for share in (0.025, 0.5, 0.975):
        np.testing.assert_allclose(
            *(np.quantile(each, share, axis=0) for each in (ours, plain)), atol=0.2 * spread.max()
        )


@pytest.mark.parametrize("kinds", [2, 10_000])
def test_columns_share_their_resamples(kinds: int) -> None:
    column = np.random.default_rng(0).integers(kinds, size=500).astype(np.float64)
    found = differences.resampled_means(np.stack([column, column + 1.0], axis=1), 50, np.random.default_rng(1))
    np.testing.assert_allclose(found[:, 1] - found[:, 0], 1.0)
    assert found[:, 0].std() > 0
    again = differences.resampled_means(np.stack([column, column + 1.0], axis=1), 50, np.random.default_rng(1))
    np.testing.assert_array_equal(found, again)
