"""Exact neighbours and the kNN classifier, against scikit-learn."""

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from latentbench import neighbors


def test_neighbours_are_scikit_learns(points: np.ndarray) -> None:
    found = neighbors.nearest(points[:300], points[1000:5000], 10)
    distances, indices = (
        NearestNeighbors(n_neighbors=10, algorithm="brute")
        .fit(points[1000:5000].astype(np.float64))
        .kneighbors(points[:300].astype(np.float64))
    )
    assert np.array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-5)


def test_no_point_is_its_own_neighbour_and_duplicates_are_at_distance_zero(points: np.ndarray) -> None:
    doubled = np.concatenate([points[:50], points[:50]])
    found = neighbors.nearest(doubled, doubled, 3, exclude_self=True)
    assert np.array_equal(found.indices[:, 0], np.r_[50:100, 0:50])
    assert (found.distances[:, 0] == 0).all()
    assert (found.distances[:, 1] > 0).all()


def test_ties_go_to_the_lower_index() -> None:
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], dtype=np.float32)
    found = neighbors.nearest(np.zeros((1, 2), dtype=np.float32), square, 3)
    assert found.indices.tolist() == [[0, 1, 2]]


def test_close_points_far_from_the_origin_are_ordered_rightly() -> None:
    # |x|^2 + |y|^2 - 2xy in float32 is off by about 0.1 in each half; the differences are exact.
    grid = np.arange(200, dtype=np.float32) / 16
    points = np.concatenate([1000 + grid, -1000 - grid])[:, None]
    found = neighbors.nearest(points, points, 2, exclude_self=True)
    inner = np.r_[1:199, 201:399]
    assert np.array_equal(found.indices[inner], np.stack([inner - 1, inner + 1], axis=1))
    assert (found.distances[inner] == 1 / 16).all()


def test_more_duplicates_than_candidates_are_still_ordered_by_index(points: np.ndarray) -> None:
    many = np.concatenate([points[:1], np.repeat(points[1:2], 300, axis=0), points[2:100]])
    found = neighbors.nearest(points[1:2], many, 5)
    assert found.indices.tolist() == [[1, 2, 3, 4, 5]]
    assert (found.distances == 0).all()


@pytest.mark.parametrize("weights", neighbors.WEIGHTS)
@pytest.mark.parametrize("k", [1, 4, 9])
def test_labels_are_scikit_learns(points: np.ndarray, labels: np.ndarray, k: int, weights: neighbors.Weights) -> None:
    near = neighbors.nearest(points[:1000], points[1000:4000], 9)
    ours = neighbors.predict(near, labels[1000:4000], k, weights, 10)
    theirs = (
        KNeighborsClassifier(k, weights=weights, algorithm="brute")
        .fit(points[1000:4000], labels[1000:4000])
        .predict(points[:1000])
    )
    assert np.array_equal(ours, theirs)


def test_points_at_distance_zero_outvote_all_others() -> None:
    near = neighbors.Neighbors(np.array([[0, 1, 2]]), np.array([[0.0, 0.1, 0.1]], dtype=np.float32))
    assert neighbors.predict(near, np.array([1, 0, 0]), 3, "distance", 2).tolist() == [1]
    assert neighbors.predict(near, np.array([1, 0, 0]), 3, "uniform", 2).tolist() == [0]


def test_the_choice_agrees_with_scikit_learns_leave_one_out(points: np.ndarray, labels: np.ndarray) -> None:
    few, few_labels = points[:250], labels[:250]
    near = neighbors.nearest(few, few, 6, exclude_self=True)
    choice = neighbors.choose(near, few_labels, 10)
    best = (-1.0, 0, "")
    for k in range(1, 7):
        for weights in neighbors.WEIGHTS:
            classifier = KNeighborsClassifier(k, weights=weights, algorithm="brute")
            accuracy = cross_val_score(classifier, few, few_labels, cv=LeaveOneOut()).mean()
            assert choice.accuracies[weights][k - 1] == pytest.approx(accuracy, abs=1e-12)
            if accuracy > best[0]:
                best = (accuracy, k, weights)
    assert (choice.k, choice.weights) == best[1:]


@pytest.mark.parametrize("k", [0, 10])
def test_an_impossible_k_is_refused(points: np.ndarray, k: int) -> None:
    with pytest.raises(ValueError, match=f"k must be in 1..9 for 10 points, not {k}"):
        neighbors.nearest(points[:10], points[:10], k, exclude_self=True)


def test_non_finite_coordinates_are_refused(points: np.ndarray) -> None:
    bad = points[:20].copy()
    bad[3, 5] = np.nan
    with pytest.raises(ValueError, match="finite"):
        neighbors.nearest(points[:5], bad, 2)
