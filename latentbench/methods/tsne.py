"""t-SNE: new images are placed among the train images, and none is decoded."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from latentbench.methods.base import Material
from latentbench.reduction import tsne


class Method:
    """A map of the train images that keeps neighbours.

    Args:
        embedding: (n_train, dims) float32.
    """

    def __init__(self, embedding: np.ndarray) -> None:
        self.embedding = embedding

    @classmethod
    def fit(cls, material: Material, *, n_components: int, perplexity: float, n_iter: int) -> Self:
        """Map the train images; `latentbench.reduction.tsne.fit` says what the options are."""
        return cls(tsne.fit(material.dataset.train_points, n_components, perplexity=perplexity, n_iter=n_iter))

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Return what the stage kept."""
        return cls(arrays["embedding"])

    def kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays and the description that `load` takes."""
        return {"embedding": self.embedding}, {}

    def n_compared(self, latent_dim: int) -> None:
        """Return None: its number of dimensions is a param of its own."""

    def place(self, images: np.ndarray, train: np.ndarray, embedding: np.ndarray) -> np.ndarray:
        """Place images (n, c, h, w) uint8 among the train images, (n, dims) float32.

        Args:
            images: to be placed.
            train: (n_train, p) the train images as points.
            embedding: (n_train, dims) of them.
        """
        return tsne.place(images.reshape(len(images), -1) / np.float32(255), train, embedding)
