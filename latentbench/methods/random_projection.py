"""A random projection, which learns nothing: the floor of the comparison."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from latentbench import seeding
from latentbench.core import progress
from latentbench.data.dataset import to_unit
from latentbench.methods.base import Material


class Method:
    """Products with random directions.

    By the lemma of Johnson & Lindenstrauss (1984) they preserve distances, and the more there are, the better.

    Args:
        directions: (m, p) float32, entries N(0, 1 / m).
    """

    def __init__(self, directions: np.ndarray) -> None:
        self.directions = directions

    @classmethod
    def fit(cls, material: Material, *, n_components: int) -> Self:
        """Draw `n_components` directions, but no more than an image has values: that would not reduce its size."""
        size = int(np.prod(material.dataset.train_images.shape[1:]))
        if n_components > size:
            progress.note(f"n_components: {n_components} is cut to {size}, the number of values in an image")
        m = min(n_components, size)
        drawn = seeding.numpy_generator(material.seed, "directions").normal(scale=m**-0.5, size=(m, size))
        return cls(drawn.astype(np.float32))

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Return what the stage kept."""
        return cls(arrays["directions"])

    def kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays and the description that `load` takes."""
        return {"directions": self.directions}, {}

    def n_compared(self, latent_dim: int) -> int:
        """Return `latent_dim`, or all there are: fewer directions are still a random projection."""
        return min(latent_dim, len(self.directions))

    def encode(self, images: np.ndarray, first: int | None = None) -> np.ndarray:
        """Map images (n, c, h, w) uint8 to products (n, m) float32, or to the first of them."""
        points = to_unit(images.reshape(len(images), -1))
        products: np.ndarray = points @ self.directions[:first].T
        return products
