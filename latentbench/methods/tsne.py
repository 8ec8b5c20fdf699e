"""t-SNE: new images are placed among the train images, and cannot be decoded."""

from typing import Self

import numpy as np

from latentbench.methods import base
from latentbench.reduction import tsne


class Method(base.Map):
    """A map that keeps neighbours."""

    @classmethod
    def fit(cls, material: base.Material, *, n_components: int, perplexity: float, n_iter: int) -> Self:
        """Map the train images; `latentbench.reduction.tsne.fit` explains the options."""
        return cls(tsne.fit(material.dataset.train_points, n_components, perplexity=perplexity, n_iter=n_iter))

    def place(self, images: np.ndarray, train: np.ndarray, embedding: np.ndarray) -> np.ndarray:
        """Place images (n, c, h, w) uint8 among the train images, (n, dims) float32.

        Args:
            images: to be placed.
            train: (n_train, p) uint8, the train images as points.
            embedding: (n_train, dims) of them.
        """
        return tsne.place(images.reshape(len(images), -1), train, embedding)
