"""UMAP: new images are placed among the train images, and none is decoded."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from latentbench import seeding
from latentbench.methods.base import Material
from latentbench.reduction import umap


class Method:
    """A map of the train images that keeps neighbours.

    Args:
        embedding: (n_train, dims) float32.
    """

    def __init__(self, embedding: np.ndarray) -> None:
        self.embedding = embedding

    @classmethod
    def fit(
        cls, material: Material, *, n_components: int, n_neighbors: int, min_dist: float, spread: float, n_epochs: int
    ) -> Self:
        """Map the train images; `latentbench.reduction.umap.UMAP` says what the options are.

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

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Return what the stage kept."""
        return cls(arrays["embedding"])

    def kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays and the description that `load` takes."""
        return {"embedding": self.embedding}, {}

    def n_compared(self, latent_dim: int) -> None:
        """Return None: its number of dimensions is a param of its own, since the first of many make no good map."""

    def place(self, images: np.ndarray, train: np.ndarray, embedding: np.ndarray) -> np.ndarray:
        """Place images (n, c, h, w) uint8 between the nearest of the train images, (n, dims) float32.

        Args:
            images: to be placed.
            train: (n_train, p) the train images as points.
            embedding: (n_train, dims) of them.
        """
        return umap.place(images.reshape(len(images), -1) / np.float32(255), train, embedding)
