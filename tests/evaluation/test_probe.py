"""The linear probe at known answers, and against the minimum of its own objective found by another method."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from latentbench.core.errors import InputError
from latentbench.evaluation import probe


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e3])
def test_classes_that_a_plane_separates_are_found_whatever_the_scale(rng: np.random.Generator, scale: float) -> None:
    labels = rng.integers(0, 3, 600)
    points = rng.normal(size=(600, 4))
    points[np.arange(600), labels] += 12.0
    moved = scale * (points + np.array([0.0, 50.0, -1e4, 0.0]))
    for space in (moved, np.c_[moved, np.full(600, 7.0)]):
        assert (probe.predictions(space[:400], labels[:400], space[400:]) == labels[400:]).mean() > 0.99


def test_points_that_say_nothing_are_classified_by_chance(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 4, 4000)
    found = probe.predictions(rng.normal(size=(4000, 5)), labels, rng.normal(size=(4000, 5)))
    assert (found == labels).mean() == pytest.approx(0.25, abs=0.03)


def test_it_minimises_the_penalised_cross_entropy(points: np.ndarray, labels: np.ndarray) -> None:
    """Fitted to the same real images by SciPy from the formula; a few points on the border may fall differently."""
    narrow = points.reshape(-1, 28, 28)[:, ::7, ::7].reshape(len(points), -1).astype(np.float64)
    train, test = narrow[:1500], narrow[1500:4500]
    mean, spread = train.mean(axis=0), np.sqrt(train.var(axis=0).mean())
    design, there = (np.c_[(each - mean) / spread, np.ones(len(each))] for each in (train, test))

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, 10)
        scores = design @ weights
        logs = scores - logsumexp(scores, axis=1, keepdims=True)
        gradient = design.T @ (np.exp(logs) - np.eye(10)[labels[:1500]]) / 1500
        gradient[:-1] += 1e-3 * weights[:-1]
        penalty = 0.5e-3 * np.square(weights[:-1]).sum()
        return -logs[np.arange(1500), labels[:1500]].mean() + penalty, gradient.ravel()

    best = minimize(objective, np.zeros(design.shape[1] * 10), jac=True, method="BFGS", options={"gtol": 1e-6})
    expected = (there @ best.x.reshape(-1, 10)).argmax(axis=1)
    found = probe.predictions(train, labels[:1500], test)
    assert (found == expected).mean() > 0.998
    assert (found == labels[1500:4500]).mean() > 0.6


def test_it_is_converged(points: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> None:
    """A rotated, scaled and shifted space takes other roundings in every step, and ends at the same labels."""
    train, test = points[:3000], points[3000:6000]
    turn, _ = np.linalg.qr(rng.normal(size=(points.shape[1], points.shape[1])))
    found = probe.predictions(train, labels[:3000], test)
    turned = probe.predictions(7.0 * train @ turn + 3.0, labels[:3000], 7.0 * test @ turn + 3.0)
    assert (found == turned).mean() > 0.999


def test_fewer_points_than_coordinates_are_classified_as_with_all_coordinates(
    points: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = points[:300], points[300:2300]
    found = probe.predictions(train, labels[:300], test)
    monkeypatch.setattr(np.linalg, "qr", lambda matrix: (np.eye(len(matrix)), None))  # no turn at all
    assert (found == probe.predictions(train, labels[:300], test)).mean() > 0.999


def test_blocks_factored_by_points_are_those_by_coordinates(
    points: np.ndarray, labels: np.ndarray, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = points[:50, 200:230]
    shares = rng.dirichlet(np.ones(4), size=50).astype(np.float32)
    penalty, residual = np.full(30, 1e-3), rng.normal(size=(30, 4))
    by_coordinates, by_points = (
        solver(some, shares, penalty)(residual) for solver in (probe._by_coordinates, probe._by_points)
    )
    np.testing.assert_allclose(by_points, by_coordinates, rtol=0, atol=1e-3 * np.abs(by_coordinates).max())
    train, test = points[:2000, 200:300], points[2000:4000, 200:300]
    monkeypatch.setattr(probe, "_TOLERANCE", 1e-6)  # so that both reach the minimum, however sums are rounded
    found = probe.predictions(train, labels[:2000], test)
    monkeypatch.setattr(probe, "_MOST_FACTORED", 10 * 60**2)  # ten classes, and fewer points than coordinates
    monkeypatch.delattr(probe, "_by_coordinates")
    assert (found == probe.predictions(train, labels[:2000], test)).mean() > 0.998


def test_a_single_class_is_refused() -> None:
    with pytest.raises(InputError, match="two classes"):
        probe.predictions(np.eye(3), np.zeros(3), np.eye(3))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    wrong = np.eye(4)
    wrong[2, 1] = value
    with pytest.raises(InputError, match="test points hold NaN or infinity in 1 of 4 rows, first in row 2"):
        probe.predictions(np.eye(4), np.arange(4), wrong)
