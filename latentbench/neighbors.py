"""Exact nearest neighbours, and the k-nearest-neighbour classifier whose k is chosen by leave-one-out."""

from dataclasses import dataclass
from typing import Literal

import faiss
import numpy as np

from latentbench import progress
from latentbench.errors import InputError

Weights = Literal["uniform", "distance"]
WEIGHTS: tuple[Weights, ...] = ("uniform", "distance")

# Candidates beyond k: faiss computes distances as |x|^2 + |y|^2 - 2xy in float32, whose rounding may swap close ones.
_SPARE = 8
_BLOCK = 2000


@dataclass(frozen=True)
class Neighbors:
    """The k nearest points of each query, nearest first, ties broken by the lower index.

    Attributes:
        indices: (n, k) int64 rows of the searched points.
        distances: (n, k) float32 Euclidean distances.
    """

    indices: np.ndarray
    distances: np.ndarray


def nearest(
    queries: np.ndarray, points: np.ndarray, k: int, *, exclude_self: bool = False, label: str = "neighbours"
) -> Neighbors:
    """Find the exact k nearest points of each query in Euclidean distance.

    faiss proposes a few more than k; their distances are then computed anew from differences, so that duplicates are at
    distance 0 and the order does not depend on how a matrix product rounds.

    Args:
        queries: (n, d) float32.
        points: (m, d) float32.
        k: 1 to m (to m - 1 with `exclude_self`).
        exclude_self: `queries` are the points themselves, and none is its own neighbour.
        label: what the progress bar says.

    Raises:
        InputError: k is out of range, or a coordinate is not finite.
    """
    available = len(points) - (1 if exclude_self else 0)
    if not 1 <= k <= available:
        raise InputError(f"k must be in 1..{available} for {len(points)} points, not {k}")
    if not (np.isfinite(queries).all() and np.isfinite(points).all()):
        raise InputError("neighbours need finite coordinates")
    points = np.ascontiguousarray(points, dtype=np.float32)
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(points)
    n_candidates = min(k + (1 if exclude_self else 0) + _SPARE, len(points))
    indices = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k), dtype=np.float32)
    with progress.counter(total=len(queries), desc=label, unit="query") as bar:
        for start in range(0, len(queries), _BLOCK):
            block = np.ascontiguousarray(queries[start : start + _BLOCK], dtype=np.float32)
            _, candidates = index.search(block, n_candidates)
            exact = np.linalg.norm(points[candidates] - block[:, None], axis=2)
            if exclude_self:
                own = np.arange(start, start + len(block))[:, None]
                exact[candidates == own] = np.inf
            order = np.lexsort((candidates, exact), axis=1)[:, :k]
            indices[start : start + len(block)] = np.take_along_axis(candidates, order, axis=1)
            distances[start : start + len(block)] = np.take_along_axis(exact, order, axis=1)
            bar.update(len(block))
    return Neighbors(indices, distances)


def predict(neighbors: Neighbors, labels: np.ndarray, k: int, weights: Weights, n_classes: int) -> np.ndarray:
    """Classify each query by its first k neighbours; ties go to the lower label, as in scikit-learn.

    With weights "distance" a neighbour counts by the inverse of its distance; where some are at distance 0, they alone
    count.

    Args:
        neighbors: of the queries, at least k each.
        labels: (m,) of the searched points, in 0..n_classes - 1.
        k, weights: of the classifier.
        n_classes: number of classes.

    Returns:
        (n,) int64 labels.
    """
    votes = np.zeros((len(neighbors.indices), n_classes))
    vote_weights = _vote_weights(neighbors, k, weights)
    rows = np.arange(len(votes))
    for rank in range(k):
        votes[rows, labels[neighbors.indices[:, rank]]] += vote_weights[:, rank]
    predicted: np.ndarray = votes.argmax(axis=1)
    return predicted


@dataclass(frozen=True)
class Choice:
    """The k and the weights with the best leave-one-out accuracy, and the accuracies of all that were tried.

    Attributes:
        k, weights: the best pair; among equals the smaller k, then "uniform".
        accuracies: (k_max,) float64 for each weighting; entry i is that of k = i + 1.
    """

    k: int
    weights: Weights
    accuracies: dict[Weights, np.ndarray]


def choose(neighbors: Neighbors, labels: np.ndarray, n_classes: int) -> Choice:
    """Choose k and the weights by leave-one-out accuracy, from one neighbour search.

    Args:
        neighbors: of each labelled point among the others (`exclude_self`); as many as the largest k to try.
        labels: (n,) in 0..n_classes - 1.
        n_classes: number of classes.
    """
    k_max = neighbors.indices.shape[1]
    rows = np.arange(len(labels))
    accuracies: dict[Weights, np.ndarray] = {}
    for weights in WEIGHTS:
        votes = np.zeros((len(labels), n_classes))
        scores = np.empty(k_max)
        # A vote's weight does not depend on k, except that a duplicate silences the farther ones: those rank later.
        vote_weights = _vote_weights(neighbors, k_max, weights)
        for rank in range(k_max):
            votes[rows, labels[neighbors.indices[:, rank]]] += vote_weights[:, rank]
            scores[rank] = np.mean(votes.argmax(axis=1) == labels)
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
