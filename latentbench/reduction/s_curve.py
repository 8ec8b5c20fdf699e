"""How Isomap and PCA flatten the S-curve, a sheet bent in space whose flat coordinates are known."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.datasets import make_s_curve

from latentbench.reduction.isomap import Isomap
from latentbench.reduction.pca import PCA

N_POINTS, N_NEIGHBORS = 1000, 35  # as in the reference report


@dataclass(frozen=True)
class Trial:
    """One sheet and its two flat embeddings.

    Attributes:
        claim: which condition was varied: "neighbors", "noise" or "density".
        value: of that condition.
        flat: (n, 2) the true position on the sheet, along the bend and across it.
        isomap, pca: (n, 2) the embeddings.
    """

    claim: str
    value: float
    points: np.ndarray
    flat: np.ndarray
    isomap: np.ndarray
    pca: np.ndarray

    @property
    def along(self) -> np.ndarray:
        """The true position along the bend, (n,)."""
        along: np.ndarray = self.flat[:, 0]
        return along

    def correlation(self, embedding: np.ndarray) -> float:
        """Return the larger absolute correlation of an axis of an embedding with the position along the bend."""
        return max(abs(float(np.corrcoef(axis, self.along)[0, 1])) for axis in embedding.T)

    def residual(self, embedding: np.ndarray) -> float:
        """Return 1 - R^2 of distances on the sheet and in an embedding (Tenenbaum et al. 2000, note 42)."""
        return float(1.0 - np.corrcoef(pdist(self.flat), pdist(embedding))[0, 1] ** 2)


def trials(generator: np.random.Generator) -> Iterator[Trial]:
    """Yield the report's case first, then one condition varied at a time: neighbours, noise, and density.

    Noise is the standard deviation of what is added to each coordinate of a sheet that spans 2 x 2 x 4. Density is how
    many times as dense the points are at one end of the bend as at the other.
    """
    for n_neighbors in (N_NEIGHBORS, 5, 10, 20, 70, 150):
        yield _trial("neighbors", n_neighbors, *_sheet(generator), n_neighbors)
    for noise in (0.05, 0.1, 0.2, 0.3):
        points, flat = _sheet(generator)
        yield _trial("noise", noise, points + generator.normal(scale=noise, size=points.shape), flat, N_NEIGHBORS)
    for density in (3.0, 10.0, 30.0):
        yield _trial("density", density, *_sheet(generator, density), N_NEIGHBORS)


def _sheet(generator: np.random.Generator, density: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    seed = int(generator.integers(2**31))
    points, along = make_s_curve(20 * N_POINTS, random_state=seed)
    share = density ** ((along - along.min()) / np.ptp(along))
    chosen = generator.choice(len(points), N_POINTS, replace=False, p=share / share.sum())
    return points[chosen], np.c_[along, points[:, 1]][chosen]  # it bends around a unit circle: angles are lengths


def _trial(claim: str, value: float, points: np.ndarray, flat: np.ndarray, n_neighbors: int) -> Trial:
    unrolled = Isomap(n_neighbors=n_neighbors, n_landmarks=None).fit_transform(points)
    return Trial(claim, value, points, flat, unrolled, PCA(2).fit_transform(points))
