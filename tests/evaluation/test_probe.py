"""The linear probe at known answers, and against the minimum of its own objective found by another method."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from latentbench.core.errors import InputError
from latentbench.evaluation import probe


def test_classes_that_a_plane_separates_are_found_whatever_the_scale(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, 600)
    points = rng.normal(size=(600, 4))
    points[np.arange(600), labels] += 12.0
    skewed = points * [1e-4, 1.0, 1e3, 1.0] + [0.0, 50.0, -1e4, 0.0]
    for space in (points, skewed, np.c_[skewed, np.full(600, 7.0)]):
        assert (probe.predictions(space[:400], labels[:400], space[400:]) == labels[400:]).mean() > 0.99


def test_points_that_say_nothing_are_classified_by_chance(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 4, 4000)
    found = probe.predictions(rng.normal(size=(4000, 5)), labels, rng.normal(size=(4000, 5)))
    assert (found == labels).mean() == pytest.approx(0.25, abs=0.03)


def test_it_minimises_the_penalised_cross_entropy(points: np.ndarray, labels: np.ndarray) -> None:
    """Fitted to the same real images by SciPy from the formula; a few points on the border may fall differently."""
    narrow = points.reshape(-1, 28, 28)[:, ::7, ::7].reshape(len(points), -1).astype(np.float64)
    train, test = narrow[:1500], narrow[1500:4500]
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    deviation[deviation == 0] = 1
    design, there = (np.c_[(each - mean) / deviation, np.ones(len(each))] for each in (train, test))

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, 10)
        scores = design @ weights
        logs = scores - logsumexp(scores, axis=1, keepdims=True)
        gradient = design.T @ (np.exp(logs) - np.eye(10)[labels[:1500]]) / 1500
        gradient[:-1] += weights[:-1] / 1500
        penalty = 1 / 3000 * np.square(weights[:-1]).sum()
        return -logs[np.arange(1500), labels[:1500]].mean() + penalty, gradient.ravel()

    best = minimize(objective, np.zeros(design.shape[1] * 10), jac=True, method="BFGS", options={"gtol": 1e-5})
    expected = (there @ best.x.reshape(-1, 10)).argmax(axis=1)
    found = probe.predictions(train, labels[:1500], test)
    assert (found == expected).mean() > 0.985
    assert (found == labels[1500:4500]).mean() > 0.6


def test_a_single_class_is_refused() -> None:
    with pytest.raises(InputError, match="two classes"):
        probe.predictions(np.eye(3), np.zeros(3), np.eye(3))
