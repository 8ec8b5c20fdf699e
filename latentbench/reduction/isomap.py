"""Isomap with landmarks: geodesic distances along a neighbour graph, embedded by classical scaling.

Tenenbaum, de Silva & Langford 2000 for the method; de Silva & Tenenbaum 2004 for the landmarks: distances from all
points to m landmarks instead of all pairs, so that every image of a dataset can take part.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial.distance import pdist

from latentbench import neighbors, progress
from latentbench.errors import InputError

_BLOCK = 20


@dataclass(frozen=True)
class Isomap:
    """A fitted embedding.

    Attributes:
        geodesics: (m, n) float32, from each landmark to each point of the graph.
        embedding: (n, n_components) float32, of the points it was fitted on.
        eigenvalues: (n_components,) float64, of the landmarks' centred squared distances, falling.
        triangulation: (n_components, m) float64, which places a point by its squared distances to the landmarks.
        mean_squares: (m,) float64, of the squared distances from each landmark to all landmarks.
        residual_variance: 1 - R^2 between geodesic and embedded distances among the landmarks (Tenenbaum et al. 2000,
            note 42).
        n_parts: connected parts that the neighbour graph had before they were joined.
    """

    geodesics: np.ndarray
    embedding: np.ndarray
    eigenvalues: np.ndarray
    triangulation: np.ndarray
    mean_squares: np.ndarray
    residual_variance: float
    n_parts: int

    def transform(self, points: np.ndarray, fitted: np.ndarray, n_neighbors: int) -> np.ndarray:
        """Embed new points (q, p) through their nearest fitted points.

        A new point's geodesic distance to a landmark is the shortest way over one of its neighbours.

        Args:
            points: (q, p) float32.
            fitted: (n, p) float32, the points that were fitted, in the same order.
            n_neighbors: how many of them a new point is joined to.

        Returns:
            (q, n_components) float32.
        """
        near = neighbors.nearest(points, fitted, n_neighbors, label="isomap: new points")
        geodesics = np.full((len(points), len(self.geodesics)), np.inf, dtype=np.float32)
        by_point = np.ascontiguousarray(self.geodesics.T)  # (n, m)
        for rank in range(n_neighbors):
            way = near.distances[:, rank, None] + by_point[near.indices[:, rank]]
            np.minimum(geodesics, way, out=geodesics)
        return self._place(geodesics)

    def _place(self, geodesics: np.ndarray) -> np.ndarray:
        """Place points by their distances to the landmarks (q, m) (de Silva & Tenenbaum 2004, section 2.2)."""
        squares = np.square(geodesics, dtype=np.float64)
        placed: np.ndarray = 0.5 * (self.mean_squares - squares) @ self.triangulation.T
        return placed.astype(np.float32)


def fit(
    points: np.ndarray,
    n_neighbors: int,
    n_components: int,
    n_landmarks: int,
    generator: np.random.Generator,
) -> Isomap:
    """Fit landmark Isomap.

    Args:
        points: (n, p) float32.
        n_neighbors: of the neighbour graph, which is made symmetric.
        n_components: dimensions of the embedding, fewer than landmarks.
        n_landmarks: at most n.
        generator: of the choice of landmarks.

    Raises:
        InputError: a number is out of range, or the landmarks' distances do not have so many dimensions.

    Warns:
        UserWarning: the neighbour graph was in several parts, which were joined by their shortest connections.
    """
    n = len(points)
    if not 2 <= n_landmarks <= n:
        raise InputError(f"n_landmarks must be in 2..{n}, not {n_landmarks}")
    if not 1 <= n_components < n_landmarks:
        raise InputError(f"n_components must be in 1..{n_landmarks - 1}, not {n_components}")
    graph, n_parts = neighbor_graph(points, n_neighbors)
    landmarks = np.sort(generator.choice(n, n_landmarks, replace=False))
    geodesics = _geodesics(graph, landmarks)

    squares = np.square(geodesics[:, landmarks], dtype=np.float64)
    mean_squares = squares.mean(axis=0)
    centred = -0.5 * (squares - mean_squares - mean_squares[:, None] + mean_squares.mean())
    eigenvalues, vectors = np.linalg.eigh(centred)
    eigenvalues, vectors = eigenvalues[::-1][:n_components], vectors[:, ::-1][:, :n_components]
    if eigenvalues[-1] <= 0:
        raise InputError(
            f"the geodesic distances have only {(eigenvalues > 0).sum()} dimensions, "
            f"fewer than n_components = {n_components}"
        )
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.sign(vectors[largest, np.arange(n_components)])
    fitted = Isomap(
        geodesics,
        np.empty((0, n_components), dtype=np.float32),
        eigenvalues,
        (vectors / np.sqrt(eigenvalues)).T,
        mean_squares,
        0.0,
        n_parts,
    )
    embedding = fitted._place(geodesics.T)
    return Isomap(
        geodesics,
        embedding,
        eigenvalues,
        fitted.triangulation,
        mean_squares,
        _residual_variance(geodesics[:, landmarks], embedding[landmarks]),
        n_parts,
    )


def neighbor_graph(points: np.ndarray, n_neighbors: int) -> tuple[csr_array, int]:
    """Return the symmetric graph of the nearest neighbours, in one part, and the number of parts it had before.

    Parts are joined by the shortest edge from each smaller part to the rest, until one is left.

    Warns:
        UserWarning: it had more than one part.
    """
    n = len(points)
    near = neighbors.nearest(points, points, n_neighbors, exclude_self=True, label="isomap: graph")
    rows = np.repeat(np.arange(n), n_neighbors)
    columns, lengths = near.indices.ravel(), near.distances.ravel()
    graph = _symmetric(rows, columns, lengths, n)
    n_parts, parts = connected_components(graph, directed=False)
    n_parts_at_first = int(n_parts)
    if n_parts > 1:
        warnings.warn(
            f"the graph of {n_neighbors} neighbours has {n_parts} parts; joining them by their shortest connections",
            stacklevel=2,
        )
    while n_parts > 1:
        largest = np.bincount(parts).argmax()
        for part in np.setdiff1d(np.arange(n_parts), [largest]):
            inside, outside = np.flatnonzero(parts == part), np.flatnonzero(parts != part)
            bridge = neighbors.nearest(points[inside], points[outside], 1, label="isomap: joining")
            shortest = bridge.distances[:, 0].argmin()
            rows = np.append(rows, inside[shortest])
            columns = np.append(columns, outside[bridge.indices[shortest, 0]])
            lengths = np.append(lengths, bridge.distances[shortest, 0])
        graph = _symmetric(rows, columns, lengths, n)
        n_parts, parts = connected_components(graph, directed=False)
    return graph, n_parts_at_first


def _symmetric(rows: np.ndarray, columns: np.ndarray, lengths: np.ndarray, n: int) -> csr_array:
    # A sparse graph takes a stored zero for no edge, so duplicates are joined by the smallest length there is.
    lengths = np.maximum(lengths.astype(np.float64), np.finfo(np.float32).tiny)
    directed = csr_array((lengths, (rows, columns)), shape=(n, n))
    return csr_array(directed.maximum(directed.T))


def _geodesics(graph: csr_array, landmarks: np.ndarray) -> np.ndarray:
    """Return the shortest ways along the graph from each landmark to every point, (m, n) float32."""
    lengths = np.empty((len(landmarks), graph.shape[0]), dtype=np.float32)
    with progress.counter(total=len(landmarks), desc="isomap: geodesics", unit="landmark") as bar:
        for start in range(0, len(landmarks), _BLOCK):
            block = landmarks[start : start + _BLOCK]
            lengths[start : start + len(block)] = dijkstra(graph, indices=block)
            bar.update(len(block))
    return lengths


def _residual_variance(geodesics: np.ndarray, embedding: np.ndarray) -> float:
    indices = np.triu_indices(len(embedding), k=1)
    return float(1.0 - np.corrcoef(geodesics[indices], pdist(embedding))[0, 1] ** 2)
