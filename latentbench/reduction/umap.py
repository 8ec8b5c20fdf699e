"""UMAP: a map that keeps neighbours near each other (McInnes, Healy & Melville 2018).

The points' nearest neighbours are found exactly, and the layout is computed by one thread in a fixed order: equal seeds
give equal bytes.
"""

import warnings
from typing import Any, Self

import numpy as np
from scipy.optimize import curve_fit
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from latentbench import compiled
from latentbench.core.errors import InputError
from latentbench.neighbors.search import Neighbors, nearest
from latentbench.reduction.pca import PCA

PLACED_BY = 8  # fitted points that a new point is placed between
_BISECTIONS = 64
_LEAST_SCALE = 1e-3  # of a point's kernel, as a share of its mean distance
_REPULSIONS = 5  # drawn for each attraction
_REACH = 10.0  # largest coordinate of the initial map
_CLIP = 4.0  # most that a coordinate moves at once, at the first learning rate
_FAST = {"reassoc", "contract", "nsz", "arcp"}


class UMAP(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Map points so that near ones stay near, with umap-learn's parameter names.

    Distances are Euclidean: there is no `metric`; sparse input and precomputed distances are not accepted.

    Args:
        n_components: dimensions of the map.
        n_neighbors: size of a neighbourhood, the point itself included.
        min_dist: how near to each other neighbours may lie in the map, below `spread`.
        spread: scale of the map.
        n_epochs: passes over the edges of the neighbour graph.
        seed: for the draws that push points apart.

    Attributes:
        embedding_: (n, n_components) float32 or float64 like the points, their map, laid out in float32.
        graph_: (n, n) symmetric memberships in [0, 1] with which two points are joined.
        n_features_in_: number of coordinates seen by `fit`.
    """

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int = 15,
        min_dist: float = 0.1,
        spread: float = 1.0,
        n_epochs: int = 200,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.min_dist = min_dist
        self.spread = spread
        self.n_epochs = n_epochs
        self.seed = seed

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002, N803
        """Map points X (n, d), starting from their principal components.

        Raises:
            ValueError: they are not finite.
            InputError: a parameter is out of range, or the points have fewer coordinates than the map.

        Warns:
            UserWarning: there are fewer points than `n_neighbors`.
        """
        points = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=3)
        if self.n_neighbors < 2:
            raise InputError(f"n_neighbors must be at least 2, not {self.n_neighbors}")
        n_neighbors = min(self.n_neighbors, len(points))
        if n_neighbors < self.n_neighbors:
            warnings.warn(
                f"n_neighbors ({self.n_neighbors}) is more than the {n_neighbors} points: all of them are used",
                stacklevel=2,
            )
        if not 0.0 <= self.min_dist < self.spread:
            raise InputError(f"min_dist ({self.min_dist}) must be at least 0 and below spread ({self.spread})")
        if self.n_epochs < 0:
            raise InputError(f"n_epochs must be at least 0, not {self.n_epochs}")
        near = nearest(points, points, n_neighbors - 1, exclude_self=True, label="umap: graph")
        self.graph_ = fuzzy_graph(near)
        generator = np.random.default_rng(self.seed)
        start = PCA(self.n_components).fit_transform(points)
        start *= _REACH / (np.abs(start).max() or 1.0)
        start += generator.normal(scale=1e-4, size=start.shape)  # otherwise duplicates could not be pushed apart
        placed = start.astype(np.float32)
        kept = self.graph_.data >= self.graph_.data.max() / max(self.n_epochs, 1)  # others would never be drawn
        _lay_out(
            placed,
            np.repeat(np.arange(len(points)), np.diff(self.graph_.indptr))[kept],
            self.graph_.indices[kept].astype(np.int64),
            (self.graph_.data[kept] / self.graph_.data.max()).astype(np.float64),
            *curve(self.min_dist, self.spread),
            self.n_epochs,
            generator.integers(2**64, dtype=np.uint64),
        )
        self.embedding_ = placed.astype(points.dtype, copy=False)
        self._points = points
        self._n_features_out = self.n_components
        return self

    def fit_transform(self, X: Any, y: object = None) -> np.ndarray:  # noqa: N803
        """Map points X (n, d) and return their map, (n, n_components) as `embedding_`; errors are those of `fit`."""
        embedding: np.ndarray = self.fit(X, y).embedding_
        return embedding

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Place points X (q, d) among the fitted ones, (q, n_components), float32 or float64 as the fitted points.

        Each is put at the mean of the map positions of the 8 nearest fitted points, weighted by the inverse of their
        distances; a fitted point is put where `fit` put it.

        Raises:
            ValueError: they are not finite, or have a different number of coordinates.
        """
        check_is_fitted(self)
        queries = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        return place(queries, self._points, self.embedding_)


def place(queries: np.ndarray, points: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """Place queries (q, d) among fitted points (n, d) by their map (n, c), (q, c), as `UMAP.transform` does.

    Both may be uint8 pixels: only the ratios of distances count.
    """
    near = nearest(queries, points, min(PLACED_BY, len(points)), label="umap: new points")
    met = near.distances[:, 0] == 0.0
    weights = 1.0 / np.where(met[:, None], 1.0, near.distances)
    weights[met] = np.eye(1, weights.shape[1])
    weights /= weights.sum(axis=1, keepdims=True)
    placed: np.ndarray = np.einsum("qk,qkc->qc", weights, embedding[near.indices]).astype(embedding.dtype)
    return placed


def smoothed(distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each point's kernel begins and its scale, rho and sigma, (n,) each (McInnes et al., algorithm 3).

    rho is the distance to the nearest neighbour that is not a duplicate, 0 if all are; sigma solves
    sum_j exp(-max(0, d_j - rho) / sigma) = log2(k + 1), by bisection. It is at least a thousandth of the mean distance
    of the point, counting itself, or of all points if rho is 0.

    Args:
        distances: (n, k) to the k nearest others, rising.
    """
    k = distances.shape[1]
    rho = np.where(distances > 0.0, distances, np.inf).min(axis=1)
    rho[np.isinf(rho)] = 0.0
    beyond = np.maximum(distances - rho[:, None], 0.0)
    low, high, sigma = np.zeros(len(rho)), np.full(len(rho), np.inf), np.ones(len(rho))
    for _ in range(_BISECTIONS):
        above = np.exp(-beyond / sigma[:, None]).sum(axis=1) > np.log2(k + 1)
        high, low = np.where(above, sigma, high), np.where(above, low, sigma)
        sigma = np.where(np.isinf(high), 2.0 * low, (low + high) / 2.0)
    means = distances.sum(axis=1) / (k + 1)
    return rho, np.maximum(sigma, _LEAST_SCALE * np.where(rho > 0.0, means, means.mean()))


def fuzzy_graph(near: Neighbors) -> csr_array:
    """Return the fuzzy union of the points' neighbourhoods, (n, n) symmetric float64 (ibid., algorithms 1 and 2).

    A point is joined to its neighbour j with exp(-max(0, d_j - rho) / sigma); p and q in the two directions become
    p + q - p q.

    Args:
        near: of each point among the others.
    """
    n, k = near.indices.shape
    rho, sigma = smoothed(near.distances)
    scale = np.where(sigma > 0.0, sigma, 1.0)  # 0 if all points are the same
    memberships = np.exp(-np.maximum(near.distances - rho[:, None], 0.0) / scale[:, None])
    directed = csr_array((memberships.ravel(), near.indices.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n))
    graph = csr_array(directed + directed.T - directed.multiply(directed.T))
    graph.sort_indices()
    return graph


def curve(min_dist: float, spread: float) -> tuple[float, float]:
    """Return a and b for which 1 / (1 + a x^(2 b)) is closest to memberships in the map (ibid., definition 11).

    Those are 1 up to `min_dist` and fall as exp(-(x - min_dist) / spread) beyond; least squares on 300 distances up to
    3 `spread`.
    """
    nearest = min_dist / spread
    x = np.linspace(0.0, 3.0, 300)  # in units of the spread: in others the search for a may turn negative
    wanted = np.where(x < nearest, 1.0, np.exp(-(x - nearest)))
    (a, b), _ = curve_fit(lambda x, a, b: 1.0 / (1.0 + a * x ** (2.0 * b)), x, wanted)
    return float(a / spread ** (2.0 * b)), float(b)


@compiled.loop()
def _random(state: np.ndarray) -> Any:
    """Advance a state (1,) uint64 and return 64 random bits (splitmix64; Steele, Lea & Flood 2014, figure 17)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    bits = state[0]
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@compiled.loop(fastmath=_FAST)
def _lay_out(
    positions: np.ndarray,
    heads: np.ndarray,
    tails: np.ndarray,
    weights: np.ndarray,
    a: float,
    b: float,
    n_epochs: int,
    seed: np.uint64,
) -> None:
    """Move positions (n, c) float32 down the cross-entropy of the fuzzy sets (ibid., algorithm 5 and section 3.2).

    An edge of weight 1 attracts its ends in every epoch, others in proportion to their weight. Each attraction of a
    head comes with draws of points that push it away.

    Args:
        positions: changed in place.
        heads, tails, weights: (m,) edges, each in both directions, largest weight 1.
        a, b: of `curve`.
        n_epochs: passes; the learning rate falls linearly from 1 to 0.
        seed: for the draws.
    """
    state = np.full(1, seed, np.uint64)
    n, n_components = positions.shape
    scale, exponent = np.float32(a), np.float32(b)
    due = 1.0 / weights
    for epoch in range(n_epochs):
        rate = np.float32(1.0 - epoch / n_epochs)
        for edge in range(len(heads)):
            if due[edge] > epoch:
                continue
            due[edge] += 1.0 / weights[edge]
            head, tail = heads[edge], tails[edge]
            square = np.float32(0.0)
            for axis in range(n_components):
                square += (positions[head, axis] - positions[tail, axis]) ** 2
            if square > 0.0:
                power = np.exp(exponent * np.log(square))
                pull = np.float32(-2.0) * scale * exponent * power / (square * (np.float32(1.0) + scale * power))
                for axis in range(n_components):
                    move = rate * _clipped(pull * (positions[head, axis] - positions[tail, axis]))
                    positions[head, axis] += move
                    positions[tail, axis] -= move
            for _ in range(_REPULSIONS):
                other = np.int64(((_random(state) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))
                square = np.float32(0.0)
                for axis in range(n_components):
                    square += (positions[head, axis] - positions[other, axis]) ** 2
                if square > 0.0:
                    power = np.exp(exponent * np.log(square))
                    push = np.float32(2.0) * exponent
                    push /= (np.float32(0.001) + square) * (np.float32(1.0) + scale * power)
                    for axis in range(n_components):
                        apart = positions[head, axis] - positions[other, axis]
                        positions[head, axis] += rate * _clipped(push * apart)


@compiled.loop(fastmath=_FAST)
def _clipped(change: np.float32) -> np.float32:
    return min(max(change, np.float32(-_CLIP)), np.float32(_CLIP))
