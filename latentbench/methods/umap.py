"""UMAP: new images are placed among the train images, and cannot be decoded."""

from typing import Self

import numpy as np

from latentbench import seeding
from latentbench.methods import base
from latentbench.reduction import umap


class Method(base.Map):
    """A map that keeps neighbours."""

    @classmethod
    def fit(
        cls,
        material: base.Material,
        *,
        n_components: int,
        n_neighbors: int,
        min_dist: float,
        spread: float,
        n_epochs: int,
    ) -> Self:
        """Map the train images; `latentbench.reduction.umap.UMAP` explains the options.

        Raises:
            InputError: an option is out of range.
        """
        points = material.dataset.train_points
        made = umap.UMAP(
            n_components,
            n_neighbors=min(n_neighbors, len(points)),
            min_dist=min_dist,
            spread=spread,
            n_epochs=n_epochs,
            seed=seeding.derive(material.seed, "layout"),
        )
        return cls(made.fit_transform(points))

    def place(self, images: np.ndarray, train: np.ndarray, embedding: np.ndarray) -> np.ndarray:
        """Place images (n, c, h, w) uint8 between the nearest of the train images, (n, dims) float32.

        Args:
            images: to be placed.
            train: (n_train, p) uint8, the train images as points.
            embedding: (n_train, dims) of them.
        """
        return umap.place(images.reshape(len(images), -1), train, embedding)
