"""The k-nearest-neighbour classifier, whose k and weights are chosen by leave-one-out from one neighbour search."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from latentbench.core.errors import InputError
from latentbench.neighbors.search import Neighbors, nearest

Weights = Literal["uniform", "distance"]
WEIGHTS: tuple[Weights, ...] = ("uniform", "distance")
# Up to this many points, all are classified by the others; of more, as many as make these pairs, but at least 2,000.
_MOST_WHOLE, _MOST_PAIRS, _LEAST_POINTS = 63_000, 2e9, 2000
# Points to classify where candidates are only compared with each other, each by the same points.
ENOUGH = 10_000
_TYPES = [np.float64, np.float32, np.uint8]


class KNeighborsClassifier(ClassifierMixin, BaseEstimator):
    """Classify by the nearest fitted points; a drop-in for scikit-learn's, with its parameter names.

    The search is exact. There is no `metric` other than `p`; sparse input and precomputed distances are not accepted.

    Args:
        n_neighbors: k.
        weights: "uniform", or "distance" for votes that count by the inverse of the distance.
        p: 2 for Euclidean distance, 1 for the sum of absolute differences.

    Attributes:
        classes_: (n_classes,) the labels, sorted.
        n_features_in_: number of coordinates seen by `fit`.
    """

    def __init__(self, n_neighbors: int = 5, *, weights: Weights = "uniform", p: int = 2) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.p = p

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Keep points X (n, d) and their labels y (n,).

        Raises:
            ValueError: they are not finite, or differ in length.
            InputError: a parameter does not have one of its allowed values.
        """
        if self.weights not in WEIGHTS:
            raise InputError(f"weights must be one of {WEIGHTS}, not {self.weights!r}")
        points, labels = validate_data(self, X, y, dtype=_TYPES)
        check_classification_targets(labels)
        self._points = points
        self.classes_, self._labels = np.unique(labels, return_inverse=True)
        return self

    def kneighbors(self, X: Any) -> tuple[np.ndarray, np.ndarray]:  # noqa: N803
        """Return distances (m, k) float64 and indices (m, k) int64 of the nearest fitted points of rows X (m, d).

        Raises:
            ValueError: they are not finite, or have a different number of coordinates.
            InputError: there are fewer fitted points than `n_neighbors`, or `p` is neither 1 nor 2.
        """
        check_is_fitted(self)
        queries = validate_data(self, X, reset=False, dtype=_TYPES)
        if not 1 <= self.n_neighbors <= len(self._points):
            raise InputError(
                f"n_neighbors must be in 1..{len(self._points)}, the number of fitted points, not {self.n_neighbors}"
            )
        near = nearest(queries, self._points, self.n_neighbors, p=self.p)
        return near.distances, near.indices

    def predict_proba(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the share of the votes that each class gets, (m, n_classes) float64."""
        votes = self._votes(X)
        shares: np.ndarray = votes / votes.sum(axis=1, keepdims=True)
        return shares

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the label with the most votes for each row of X (m, d); ties go to the lower label."""
        most = self._votes(X).argmax(axis=1)
        labels: np.ndarray = self.classes_[most]
        return labels

    def _votes(self, X: Any) -> np.ndarray:  # noqa: N803
        distances, indices = self.kneighbors(X)
        near = Neighbors(indices, distances)
        return count_votes(near, self._labels, self.n_neighbors, self.weights, len(self.classes_))


def count_votes(neighbors: Neighbors, labels: np.ndarray, k: int, weights: Weights, n_classes: int) -> np.ndarray:
    """Add up the votes of each query's first k neighbours, (n, n_classes) float64.

    With weights "distance" a neighbour counts by the inverse of its distance; if some are at distance 0, only they
    count.

    Args:
        neighbors: of the queries, at least k each.
        labels: (m,) of the searched points, in 0..n_classes - 1.
        k, weights: of the classifier.
        n_classes: number of classes.
    """
    votes = np.zeros((len(neighbors.indices), n_classes))
    vote_weights = _vote_weights(neighbors, k, weights)
    rows = np.arange(len(votes))
    for rank in range(k):
        votes[rows, labels[neighbors.indices[:, rank]]] += vote_weights[:, rank]
    return votes


@dataclass(frozen=True)
class Choice:
    """The k and the weights with the best leave-one-out accuracy, and the accuracies of all that were tried.

    Attributes:
        k, weights: the best pair; ties go to the smaller k, then to "uniform".
        accuracies: (k_max,) float64 for each weighting; entry i is that of k = i + 1.
    """

    k: int
    weights: Weights
    accuracies: dict[Weights, np.ndarray]

    @property
    def accuracy(self) -> float:
        """The leave-one-out accuracy of the chosen pair."""
        return float(self.accuracies[self.weights][self.k - 1])


def leave_one_out(
    points: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    k_max: int,
    *,
    p: int = 2,
    n_asked: int | None = None,
    label: str = "choosing k",
) -> Choice:
    """Choose k and the weights by how well each of the points is classified by the others.

    Beyond 63,000 points, only some are classified by all others: as many as take about the same time, evenly spread.

    Args:
        points: (n, d) float32, float64 or uint8.
        labels: (n,) in 0..n_classes - 1.
        n_classes: number of classes.
        k_max: the largest k to try.
        p: 2 for Euclidean distance, 1 for the sum of absolute differences.
        n_asked: the most points that are classified, evenly spread; None for all.
        label: what the progress bar says.

    Raises:
        InputError: as `nearest`.
    """
    n = len(points)
    most = n if n <= _MOST_WHOLE else max(_LEAST_POINTS, int(_MOST_PAIRS / n))
    most = most if n_asked is None else min(most, n_asked)
    if most >= n:
        return choose(nearest(points, points, k_max, p=p, exclude_self=True, label=label), labels, n_classes)
    asked = spread(n, most)
    return choose(nearest(points[asked], points, k_max, p=p, own=asked, label=label), labels, n_classes, asked)


def spread(n: int, most: int) -> np.ndarray:
    """Return indices into n points, rising: all, or `most` of them evenly spaced."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(np.int64)


def choose(neighbors: Neighbors, labels: np.ndarray, n_classes: int, asked: np.ndarray | None = None) -> Choice:
    """Choose k and the weights by leave-one-out accuracy, from one neighbour search.

    Args:
        neighbors: of each labelled point among the others (`exclude_self`); as many as the largest k to try.
        labels: (n,) in 0..n_classes - 1.
        n_classes: number of classes.
        asked: (m,) the points whose neighbours these are; None for all.
    """
    k_max = neighbors.indices.shape[1]
    true = labels if asked is None else labels[asked]
    rows = np.arange(len(true))
    accuracies: dict[Weights, np.ndarray] = {}
    for weights in WEIGHTS:
        votes = np.zeros((len(true), n_classes))
        scores = np.empty(k_max)
        # A vote's weight does not depend on k, except that a duplicate silences the farther ones: those rank later.
        vote_weights = _vote_weights(neighbors, k_max, weights)
        for rank in range(k_max):
            votes[rows, labels[neighbors.indices[:, rank]]] += vote_weights[:, rank]
            scores[rank] = np.mean(votes.argmax(axis=1) == true)
        accuracies[weights] = scores
    candidates = [
        (-accuracies[weights][k - 1], k, rank) for k in range(1, k_max + 1) for rank, weights in enumerate(WEIGHTS)
    ]
    _, k, rank = min(candidates)
    return Choice(k, WEIGHTS[rank], accuracies)


def _vote_weights(neighbors: Neighbors, k: int, weights: Weights) -> np.ndarray:
    distances = neighbors.distances[:, :k].astype(np.float64)
    if weights == "uniform":
        return np.ones_like(distances)
    with np.errstate(divide="ignore"):
        inverse = 1.0 / distances
    infinite = np.isinf(inverse)
    weighted: np.ndarray = np.where(infinite.any(axis=1, keepdims=True), infinite, inverse)
    return weighted
