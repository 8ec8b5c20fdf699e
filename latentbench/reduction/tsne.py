"""t-SNE (van der Maaten & Hinton 2008) by openTSNE, on exact neighbours; new points are placed in the map.

The library starts from nearest neighbours, which our search finds, and from principal components, scaled down.
"""

from typing import Any

import numpy as np
import openTSNE
from openTSNE import affinity
from openTSNE.initialization import rescale

from latentbench import compiled
from latentbench.core.errors import InputError
from latentbench.neighbors.search import Neighbors, nearest
from latentbench.reduction.pca import PCA

MOST_COMPONENTS = 2  # of its approximation by interpolation
_MANY = 10_000  # fitted points; with at least so many, repulsion is interpolated; a tree is faster for fewer
_PER_PERPLEXITY = 3  # neighbours with a share in a point's affinities, per unit of perplexity
_PLACED_PERPLEXITY = 5.0  # of new points, which are placed near few fitted ones (Poličar, Stražar & Zupan 2019)


def fit(points: np.ndarray, n_components: int, *, perplexity: float, n_iter: int) -> np.ndarray:
    """Map points (n, p) to (n, n_components) float32, so that near ones stay near.

    250 steps of early exaggeration by 12 come before the others, and the learning rate follows from n
    (Belkina et al. 2019), as in openTSNE. Nothing is drawn at random.

    Args:
        points: float32 or float64.
        n_components: 1 or 2.
        perplexity: about how many neighbours each point attends to; less if there are few points.
        n_iter: steps of the descent.

    Raises:
        InputError: a number is out of range, or a coordinate is not finite.
    """
    if not 1 <= n_components <= MOST_COMPONENTS:
        raise InputError(f"t-SNE maps to 1 or 2 dimensions here, not {n_components}")
    if len(points) < 5:
        raise InputError(f"t-SNE needs at least 5 points, not {len(points)}")
    perplexity = min(perplexity, (len(points) - 1) / _PER_PERPLEXITY)
    near = nearest(points, points, _n_neighbors(perplexity), exclude_self=True, label="t-SNE: neighbours")
    n_jobs = compiled.use_threads()
    known = _Affinities(points, _affinities(near, perplexity, len(points), n_jobs), n_jobs)
    start = rescale(PCA(n_components).fit_transform(points).astype(np.float64))
    embedding = openTSNE.TSNE(
        n_components=n_components,
        n_iter=n_iter,
        negative_gradient_method=_repulsion(len(points)),
        n_jobs=n_jobs,
        random_state=0,
    ).fit(affinities=known, initialization=start)
    found = np.asarray(embedding)
    found -= (found.max(axis=0) + found.min(axis=0)) / 2  # as the library does when it places new points
    return found.astype(np.float32)


def place(queries: np.ndarray, points: np.ndarray, embedding: np.ndarray) -> np.ndarray:
    """Place new points (q, p) in a map, each on its own among the fitted ones, (q, n_components) float32.

    Each starts at the median of its nearest fitted points, and descends among them, which stay where they are.

    Args:
        queries: new points; these and the others may be uint8 pixels, since only the ratios of distances count.
        points: (n, p), those that were fitted.
        embedding: (n, n_components), what `fit` returned for them.
    """
    n_jobs = compiled.use_threads()
    known = _Affinities(points, np.empty((len(points), 0)), n_jobs)
    mapped = openTSNE.TSNEEmbedding(embedding, known, negative_gradient_method=_repulsion(len(points)), n_jobs=n_jobs)
    perplexity = min(_PLACED_PERPLEXITY, len(points) / _PER_PERPLEXITY)
    found: np.ndarray = np.asarray(mapped.transform(queries, perplexity=perplexity)).astype(np.float32)
    return found


class _Affinities(affinity.Affinities):
    """What the library needs of the fitted points, from exact neighbours.

    Args:
        points: (n, p), the fitted ones.
        P: (n, n) sparse, of these among themselves; when new points are placed, only its length matters.
        n_jobs: threads.
    """

    def __init__(self, points: np.ndarray, P: Any, n_jobs: int) -> None:  # noqa: N803
        super().__init__()
        self.points, self.P, self.n_jobs = points, P, n_jobs

    def to_new(self, data: np.ndarray, perplexity: float, return_distances: bool = False) -> Any:
        near = nearest(data, self.points, _n_neighbors(perplexity), label="t-SNE: new points")
        found = affinity.joint_probabilities_nn(
            near.indices,
            near.distances,
            [perplexity],
            symmetrize=False,
            normalization="point-wise",
            n_reference_samples=len(self.points),
            n_jobs=self.n_jobs,
        )
        return (found, near.indices, near.distances) if return_distances else found


def _repulsion(n: int) -> str:
    return "fft" if n >= _MANY else "bh"


def _n_neighbors(perplexity: float) -> int:
    return max(1, int(_PER_PERPLEXITY * perplexity))


def _affinities(near: Neighbors, perplexity: float, n: int, n_jobs: int) -> Any:
    return affinity.joint_probabilities_nn(
        near.indices, near.distances, [perplexity], n_reference_samples=n, n_jobs=n_jobs
    )
