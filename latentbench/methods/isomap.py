"""What is kept of Isomap: new images can be placed, but not decoded."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from latentbench.data.dataset import LEVELS
from latentbench.reduction import isomap
from latentbench.reduction.scaling import Scaling


class Method:
    """The embedding of the train images by their geodesic distances.

    Args:
        scaling: of the distances between the landmarks.
        landmarks: (m,) rows of the train images.
        neighborhood: `n_neighbors`, `radius` and `p` of the neighbour graph.
    """

    def __init__(self, scaling: Scaling, landmarks: np.ndarray, neighborhood: Mapping[str, Any]) -> None:
        self.scaling, self.landmarks, self.neighborhood = scaling, landmarks, neighborhood

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return what the stage kept."""
        scaled = Scaling(arrays["eigenvalues"], arrays["triangulation"], arrays["mean_squares"])
        return cls(scaled, arrays["landmarks"], {name: description[name] for name in ("n_neighbors", "radius", "p")})

    def n_compared(self, latent_dim: int) -> None:
        """Return None: its number of components is a param of its own."""

    def place(self, images: np.ndarray, train: np.ndarray, embedding: np.ndarray) -> np.ndarray:
        """Do the work of placing images (n, c, h, w) uint8, to be timed; return (n, dims).

        The geodesic distances from the train images to the landmarks are not kept (240 MB). Straight distances in the
        embedding stand in for them: the time does not depend on their values, only the result does.

        Args:
            images: to be placed.
            train: (n_train, p) uint8, the train images as points.
            embedding: (n_train, dims) of them.
        """
        from scipy.spatial.distance import cdist

        places = embedding[self.landmarks]

        def ways_from(indices: np.ndarray) -> np.ndarray:
            ways: np.ndarray = cdist(embedding[indices], places).astype(np.float32)
            return ways

        points, unit = images.reshape(len(images), -1), 1 / LEVELS
        return isomap.placed(points, train, **self.neighborhood, ways_from=ways_from, scaled=self.scaling, unit=unit)
