"""Isomap: geodesic distances along a neighbour graph, embedded by classical scaling.

Tenenbaum, de Silva & Langford 2000 for the method; de Silva & Tenenbaum 2004 for landmarks: distances from all points
to m of them instead of all pairs, so that every image of a dataset can take part.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial.distance import pdist
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from latentbench.core.errors import InputError
from latentbench.neighbors.search import nearest
from latentbench.reduction import geodesics, scaling
from latentbench.reduction.symmetric import SymmetricMatrix
from latentbench.reduction.ways import Ways

_BLOCK = 100
_GATHERED = 2**25  # float32 distances to the landmarks that are read together
_TYPES = [np.float64, np.float32, np.uint8]


class Isomap(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Embed points by their geodesic distances; a drop-in for scikit-learn's, with its parameter names.

    Unlike scikit-learn's it has no `metric` other than `p`, and accepts neither sparse input nor precomputed distances;
    pass your own neighbour graph to `fit_graph`.

    Args:
        n_neighbors: neighbours that each point is joined to; None if `radius` is given.
        radius: join points within this distance instead.
        n_components: dimensions of the embedding.
        p: 2 for Euclidean distance, 1 for the sum of absolute differences.
        n_landmarks: points whose geodesic distances to all points are computed, drawn at random; None, or at least the
            number of points, for all of them: full Isomap, which is what scikit-learn computes.
        memory_map: file for the geodesic distances, if they do not fit into memory; it is overwritten. It is
            mapped if all points are landmarks, and read in pieces otherwise.
        random_state: for the choice of landmarks.
        unit: what distances between coordinates are multiplied by, such as 1/255 for uint8 pixels.

    Attributes:
        embedding_: (n, n_components) float64.
        landmarks_: (m,) int64 indices of the landmarks, rising.
        n_parts_: parts of the neighbour graph before they were joined.
        n_features_in_: number of coordinates seen by `fit`.
    """

    def __init__(
        self,
        *,
        n_neighbors: int | None = 5,
        radius: float | None = None,
        n_components: int = 2,
        p: int = 2,
        n_landmarks: int | None = 1000,
        memory_map: str | Path | None = None,
        random_state: int | np.random.RandomState | None = None,
        unit: float = 1.0,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.n_components = n_components
        self.p = p
        self.n_landmarks = n_landmarks
        self.memory_map = memory_map
        self.random_state = random_state
        self.unit = unit

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002, N803
        """Embed points X (n, d).

        Raises:
            ValueError: they are not finite.
            InputError: a parameter is out of range, or the distances have fewer dimensions than asked for.

        Warns:
            UserWarning: the neighbour graph was in several parts, which were joined by their shortest connections.
        """
        points = validate_data(self, X, dtype=_TYPES, ensure_min_samples=2)
        if (self.n_neighbors is None) == (self.radius is None):
            raise InputError(f"give n_neighbors ({self.n_neighbors}) or radius ({self.radius}), not both or neither")
        if self.radius is not None:
            graph = geodesics.graph_by_radius(points, self.radius, self.p, self.unit)
        else:
            assert self.n_neighbors is not None
            if not 1 <= self.n_neighbors < len(points):
                raise InputError(
                    f"n_neighbors must be in 1..{len(points) - 1} for {len(points)} points, not {self.n_neighbors}"
                )
            near = nearest(points, points, self.n_neighbors, p=self.p, exclude_self=True, label="isomap: graph")
            graph = geodesics.graph_by_count(near, self.n_neighbors, self.unit)
        return self.fit_graph(points, graph)

    def fit_graph(self, points: np.ndarray, graph: csr_array) -> Self:
        """Embed points (n, d) whose neighbour graph (n, n) is already known, for example from another fit.

        Args:
            points: (n, d).
            graph: (n, n), with the distances between neighbours; an edge in one direction counts in both.

        Raises:
            InputError: as `fit`, or the graph does not fit the points, or a length is negative or not finite.
        """
        n, self.n_features_in_ = points.shape
        graph = geodesics.undirected(graph, n)
        n_landmarks = n if self.n_landmarks is None else min(self.n_landmarks, n)
        if not 1 <= self.n_components < n_landmarks:
            raise InputError(f"n_components must be in 1..{n_landmarks - 1}, not {self.n_components}")
        graph, self.n_parts_ = geodesics.joined(graph, points, self.p, self.unit)
        if n_landmarks < n:
            generator = check_random_state(self.random_state)
            self.landmarks_ = np.sort(generator.choice(n, n_landmarks, replace=False))
        else:
            self.landmarks_ = np.arange(n)
        file = None if self.memory_map is None else Path(self.memory_map)
        ways = geodesics.shortest_paths(graph, self.landmarks_, "isomap: geodesics")
        self._to_landmarks: Ways | None = None
        if n_landmarks == n:
            self._between_landmarks = SymmetricMatrix(n, file)
            for places, rows in ways:
                self._between_landmarks.set_rows(places, rows)
        else:
            self._to_landmarks = Ways(n_landmarks, n, file)
            self._between_landmarks = SymmetricMatrix(n_landmarks)
            for places, rows in ways:
                self._to_landmarks.set_rows(places, rows)
                self._between_landmarks.set_rows(places, rows[:, self.landmarks_])
        try:
            self.scaling_ = scaling.scale(self._between_landmarks, self.n_components)
        except InputError as error:
            raise InputError(f"{error} (the points have n_features = {points.shape[1]})") from None
        step = max(_BLOCK, _GATHERED // n_landmarks)
        blocks = (np.arange(start, min(start + step, n)) for start in range(0, n, step))
        self.embedding_ = np.concatenate([_place(self._ways_from(block), self.scaling_) for block in blocks])
        self._points = points
        self._n_features_out = self.n_components
        return self

    def _ways_from(self, indices: np.ndarray) -> np.ndarray:
        """Return the geodesic distances of fitted points to the landmarks, (k, m) float32."""
        if self._to_landmarks is None:  # all points are landmarks
            return self._between_landmarks.rows(indices)
        return self._to_landmarks.at(indices)

    @property
    def dist_matrix_(self) -> np.ndarray:
        """Geodesic distances from the m landmarks to all points, (m, n) float32, made on access."""
        check_is_fitted(self)
        return self._ways_from(np.arange(len(self.embedding_))).T

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Embed new points X (q, d) through the fitted points that they are joined to, (q, n_components) float64.

        A new point's geodesic distance to a landmark is the shortest path through one of its neighbours.

        Raises:
            ValueError: they are not finite, or have a different number of coordinates.
            InputError: a new point has no fitted point within `radius`.
        """
        check_is_fitted(self)
        queries = validate_data(self, X, reset=False, dtype=_TYPES)
        neighborhood = (self.n_neighbors, self.radius, self.p)
        return placed(queries, self._points, *neighborhood, self._ways_from, self.scaling_, self.unit)

    def residual_variance(self, n_components: int) -> float:
        """Return 1 - R^2 of geodesic and embedded distances in the first components (Tenenbaum et al. 2000, note 42).

        Between the landmarks, or 1,000 of them spread evenly over their order if there are more.
        """
        check_is_fitted(self)
        some = np.unique(np.linspace(0, len(self.landmarks_) - 1, 1000).astype(int))
        points = self.landmarks_[some]
        ways = self._between_landmarks.rows(some)[:, some][np.triu_indices(len(some), k=1)]
        return float(1.0 - np.corrcoef(ways, pdist(self.embedding_[points, :n_components]))[0, 1] ** 2)

    def reconstruction_error(self) -> float:
        """Return how far the kept dimensions are from the geodesic distances between landmarks, as in scikit-learn."""
        check_is_fitted(self)
        return scaling.strain(self._between_landmarks, self.scaling_)


def placed(
    queries: np.ndarray,
    points: np.ndarray,
    n_neighbors: int | None,
    radius: float | None,
    p: int,
    ways_from: Callable[[np.ndarray], np.ndarray],
    scaled: scaling.Scaling,
    unit: float = 1.0,
) -> np.ndarray:
    """Embed new points (q, d) through the fitted points (n, d) that they are joined to, (q, n_components) float64.

    Args:
        queries, points: the new and the fitted points.
        n_neighbors, radius, p, unit: as for `Isomap`.
        ways_from: returns the geodesic distances of fitted points, given by index (k,), to the m landmarks, (k, m).
        scaled: of the distances between landmarks.

    Raises:
        InputError: a new point has no fitted point within `radius`.
    """
    if n_neighbors is not None:
        near = nearest(queries, points, n_neighbors, p=p, label="isomap: new points")
        indices, distances = list(near.indices), [each * unit for each in near.distances]
    else:
        assert radius is not None
        known, asked = (each.astype(np.float32) if each.dtype == np.uint8 else each for each in (points, queries))
        search = NearestNeighbors(radius=radius / unit, p=p).fit(known)
        found, indices = search.radius_neighbors(asked)
        distances = [each * unit for each in found]
        alone = [row for row, near_one in enumerate(indices) if not len(near_one)]
        if alone:
            raise InputError(f"{len(alone)} points, the first in row {alone[0]}, have no neighbour within the radius")
    embedded = []
    n_near = sum(map(len, indices)) / len(queries)
    step = max(1, int(_GATHERED / (len(scaled.mean_squares) * n_near)))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        through = np.unique(np.concatenate(indices[block]))
        ways = ways_from(through)
        pairs = zip(indices[block], distances[block], strict=True)
        shortest = [(ways[np.searchsorted(through, some)] + far[:, None]).min(axis=0) for some, far in pairs]
        embedded.append(_place(np.stack(shortest), scaled))
    return np.concatenate(embedded)


def _place(ways: np.ndarray, scaled: scaling.Scaling) -> np.ndarray:
    """Place points by their distances (q, m) to the landmarks, some at a time: the squares are float64."""
    return np.concatenate([scaled.place(ways[start : start + _BLOCK]) for start in range(0, len(ways), _BLOCK)])
