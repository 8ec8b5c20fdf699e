"""Exact nearest neighbours, and the k-nearest-neighbour classifier whose k is chosen by leave-one-out."""

from dataclasses import dataclass
from typing import Literal

import faiss
import numpy as np

from latentbench import progress
from latentbench.errors import InputError

Weights = Literal["uniform", "distance"]
WEIGHTS: tuple[Weights, ...] = ("uniform", "distance")

_SPARE = 8  # candidates beyond k
_BLOCK = 2000
_GATHERED = 64_000  # at most so many candidates at a time, when there are many for each query


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

    faiss computes squared distances as |x|^2 + |y|^2 - 2xy in float32, whose rounding may swap close ones. So it only
    proposes a few more than k; their distances are computed anew from differences, and where a point that was not
    proposed could, within the bound on that rounding, still belong among the k, more are proposed.

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
    points, queries = (np.ascontiguousarray(each, dtype=np.float32) for each in (points, queries))
    # Distances stay as they are when all is moved, and faiss rounds less the nearer all lies to the origin.
    centre = points.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = points - centre
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(centred)
    largest_square = float(np.einsum("ij,ij->i", centred, centred).max())
    del centred
    indices = np.empty((len(queries), k), dtype=np.int64)
    distances = np.empty((len(queries), k), dtype=np.float32)
    todo, n_candidates = np.arange(len(queries)), min(k + exclude_self + _SPARE, len(points))
    with progress.counter(total=len(queries), desc=label, unit="query") as bar:
        while len(todo):
            unproven = []
            n_blocks = -(-len(todo) // min(_BLOCK, max(1, _GATHERED // n_candidates)))
            for rows in np.array_split(todo, n_blocks):
                block = queries[rows] - centre
                squares, candidates = index.search(block, n_candidates)
                exact = np.linalg.norm(points[candidates] - queries[rows, None], axis=2)
                if exclude_self:
                    exact[candidates == rows[:, None]] = np.inf
                order = np.lexsort((candidates, exact), axis=1)[:, :k]
                indices[rows] = np.take_along_axis(candidates, order, axis=1)
                distances[rows] = np.take_along_axis(exact, order, axis=1)
                rounding = _rounding(points.shape[1]) * (largest_square + np.square(block).sum(axis=1))
                proven = np.square(distances[rows, -1]) < squares[:, -1] - rounding
                if n_candidates == len(points):
                    proven[:] = True
                unproven.append(rows[~proven])
                bar.update(int(proven.sum()))
            todo, n_candidates = np.concatenate(unproven), min(4 * n_candidates, len(points))
    return Neighbors(indices, distances)


def _rounding(n_terms: int) -> float:
    """Return a bound on the error of |x|^2 + |y|^2 - 2xy in float32, as a share of |x|^2 + |y|^2.

    Each of the three sums of n products is off by at most n units of its terms' magnitudes (Higham 2002, section 3.1),
    and |2xy| is at most |x|^2 + |y|^2; a few more units are for adding them up and for the centring.
    """
    return 2.0 * (n_terms + 8) * float(np.finfo(np.float32).eps)


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
