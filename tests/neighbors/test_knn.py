"""The kNN classifier and its choice of k, against scikit-learn."""

import numpy as np
import pytest
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier as Peer

from latentbench.neighbors import knn
from latentbench.neighbors.search import Neighbors, nearest


@pytest.mark.parametrize("weights", knn.WEIGHTS)
@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("k", [1, 4, 9])
def test_labels_are_scikit_learns(points: np.ndarray, labels: np.ndarray, k: int, p: int, weights: knn.Weights) -> None:
    doubles = points.astype(np.float64)
    ours = knn.KNeighborsClassifier(k, weights=weights, p=p).fit(doubles[500:2000], labels[500:2000])
    peer = Peer(k, weights=weights, p=p, algorithm="brute").fit(doubles[500:2000], labels[500:2000])
    assert np.array_equal(ours.predict(doubles[:500]), peer.predict(doubles[:500]))
    np.testing.assert_allclose(ours.predict_proba(doubles[:500]), peer.predict_proba(doubles[:500]), atol=1e-9)


def test_of_many_points_some_are_left_out_one_by_one(
    points: np.ndarray, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, few_labels = points[:1200], labels[:1200]
    whole = knn.leave_one_out(few, few_labels, 10, 5)
    assert whole.accuracies["uniform"].tolist() == [
        knn.choose(nearest(few, few, 5, exclude_self=True), few_labels, 10).accuracies["uniform"][k] for k in range(5)
    ]
    fewer = knn.leave_one_out(few, few_labels, 10, 5, n_asked=300)
    monkeypatch.setattr(knn, "_MOST_WHOLE", 1000)
    monkeypatch.setattr(knn, "_MOST_PAIRS", 1200 * 300)
    monkeypatch.setattr(knn, "_LEAST_POINTS", 100)
    choice, asked = knn.leave_one_out(few, few_labels, 10, 5), knn.spread(1200, 300)
    assert len(set(asked.tolist())) == 300
    assert fewer.accuracies["uniform"].tolist() == choice.accuracies["uniform"].tolist()
    true = []
    for row in asked:
        others = np.delete(np.arange(1200), row)
        peer = Peer(3, algorithm="brute").fit(few[others], few_labels[others])
        true.append(peer.predict(few[[row]])[0] == few_labels[row])
    assert choice.accuracies["uniform"][2] == pytest.approx(np.mean(true))


def test_uint8_pixels_are_classified_as_they_are(images: np.ndarray, labels: np.ndarray) -> None:
    pixels = images[:900].reshape(900, -1)
    ours = knn.KNeighborsClassifier(4, weights="distance").fit(pixels[:700], labels[:700])
    peer = Peer(4, weights="distance", algorithm="brute").fit(pixels[:700].astype(float), labels[:700])
    assert np.array_equal(ours.predict(pixels[700:]), peer.predict(pixels[700:].astype(float)))


def test_points_at_distance_zero_outvote_all_others() -> None:
    near = Neighbors(np.array([[0, 1, 2]]), np.array([[0.0, 0.1, 0.1]]))
    assert knn.count_votes(near, np.array([1, 0, 0]), 3, "distance", 2).tolist() == [[0, 1]]
    assert knn.count_votes(near, np.array([1, 0, 0]), 3, "uniform", 2).tolist() == [[2, 1]]


def test_the_choice_agrees_with_scikit_learns_leave_one_out(points: np.ndarray, labels: np.ndarray) -> None:
    few, few_labels = points[:120], labels[:120]
    near = nearest(few, few, 6, exclude_self=True)
    choice = knn.choose(near, few_labels, 10)
    best = (-1.0, 0, "")
    for k in range(1, 7):
        for weights in knn.WEIGHTS:
            classifier = Peer(k, weights=weights, algorithm="brute")
            accuracy = cross_val_score(classifier, few, few_labels, cv=LeaveOneOut()).mean()
            assert choice.accuracies[weights][k - 1] == pytest.approx(accuracy, abs=1e-12)
            if accuracy > best[0]:
                best = (accuracy, k, weights)
    assert (choice.accuracy, choice.k, choice.weights) == (pytest.approx(best[0]), *best[1:])


def test_large_whole_numbers_stay_apart() -> None:
    """float32 has not every whole number beyond 2^24."""
    numbers = 2**24 + np.arange(6)[:, None]
    assert knn.KNeighborsClassifier(1).fit(numbers, np.arange(6)).predict(numbers).tolist() == list(range(6))
