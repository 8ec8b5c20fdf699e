"""Scores of classifications, against scikit-learn and against known answers."""

import numpy as np
import pytest
from sklearn.metrics import classification_report

from latentbench.evaluation import classification


def test_report_is_scikit_learns(rng: np.random.Generator) -> None:
    actual = rng.integers(0, 4, 500)
    predicted = np.where(rng.random(500) < 0.7, actual, rng.integers(0, 4, 500))
    names = ["a", "b", "c", "d"]
    table = classification.report(actual, predicted, names).set_index("class")
    expected = classification_report(actual, predicted, target_names=names, output_dict=True)
    for row, peer in zip([*names, "macro", "weighted"], [*names, "macro avg", "weighted avg"], strict=True):
        for column, peer_column in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert table.loc[row, column] == pytest.approx(expected[peer][peer_column], rel=1e-12)
        assert table.loc[row, "support"] == expected[peer]["support"]


def test_a_class_that_is_never_predicted_scores_zero() -> None:
    table = classification.report(np.array([0, 1]), np.array([0, 0]), ["a", "b"]).set_index("class")
    assert table.loc["b", "f1"] == 0
    assert table.loc["macro", "f1"] == pytest.approx(1 / 3)


def test_a_class_that_does_not_occur_does_not_count() -> None:
    table = classification.report(np.array([0, 1]), np.array([0, 0]), ["a", "b", "never"]).set_index("class")
    assert table.loc["macro", "f1"] == pytest.approx(1 / 3)


def test_interval_has_the_width_that_theory_gives(rng: np.random.Generator) -> None:
    n, accuracy = 10_000, 0.86
    outcomes = (np.arange(n) < accuracy * n)[:, None]
    low, high = classification.interval(classification.bootstrap_means(outcomes, 4000, rng)[:, 0])
    half_width = 1.96 * np.sqrt(accuracy * (1 - accuracy) / n)
    assert low == pytest.approx(accuracy - half_width, abs=0.0005)
    assert high == pytest.approx(accuracy + half_width, abs=0.0005)


def test_columns_share_their_resamples(rng: np.random.Generator) -> None:
    right = rng.random(1000) < 0.8
    means = classification.bootstrap_means(np.stack([right, right], axis=1), 300, rng)
    assert means.shape == (300, 2)
    assert np.array_equal(means[:, 0], means[:, 1])
    assert means[:, 0].std() > 0.005


def test_confusions_name_the_classes() -> None:
    table = classification.confusions(np.array([0, 1, 1]), np.array([1, 1, 0]), ["cat", "dog"])
    assert table["actual"].tolist() == ["cat", "dog", "dog"]
    assert table["predicted"].tolist() == ["dog", "dog", "cat"]
