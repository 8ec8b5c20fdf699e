"""Features of patches that k-means has learned, in few numbers: no labels, and no network."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from latentbench import seeding
from latentbench.core import progress
from latentbench.data.dataset import to_unit
from latentbench.methods.base import Material
from latentbench.reduction.moments import Moments, joined
from latentbench.reduction.patches import PatchFeatures
from latentbench.reduction.pca import PCA

_LEARNED_FROM = 500_000  # patches at most, those of whole images
_BLOCK = 5000  # images whose features are made at a time


class Method:
    """Principal components of features of patches.

    Args:
        features: of an image.
        mean: (f,) of the features of the train images.
        components: (m, f), by falling variance.
    """

    def __init__(self, features: PatchFeatures, mean: np.ndarray, components: np.ndarray) -> None:
        self.features, self.mean, self.components = features, mean, components

    @classmethod
    def fit(cls, material: Material, *, n_components: int, n_filters: int, patch_size: int, n_cells: int) -> Self:
        """Learn filters from some of the train images, and components from the features of all.

        Args:
            material: what to fit to.
            n_components: of the scores; fewer if there are fewer features.
            n_filters: that patches are compared with.
            patch_size: in pixels, odd.
            n_cells: of the grid on each side over which answers are averaged.

        Raises:
            InputError: all patches of the train images are flat.
        """
        images = material.dataset.train_images
        generator = seeding.numpy_generator(material.seed, "patches")
        n = max(1, _LEARNED_FROM // int(np.prod(images.shape[2:])))
        some = np.sort(generator.permutation(len(images))[:n])
        cells = min(n_cells, *images.shape[2:])
        features = PatchFeatures.learn(to_unit(images[some]), n_filters, patch_size, cells, generator)
        most = min(len(images) - 1, features.n_features)
        if n_components > most:
            progress.note(f"n_components: {n_components} is cut to {most}, the most that images and features allow")
        starts = progress.bar(range(0, len(images), _BLOCK), desc="features of patches", unit="block")
        moments = joined(Moments.of(features.of(to_unit(images[start : start + _BLOCK]))) for start in starts)
        fitted = PCA(min(n_components, most)).fit_moments(moments)
        return cls(features, fitted.mean_, fitted.components_)

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return what the stage kept."""
        features = PatchFeatures(arrays["filters"], arrays["offsets"], description["n_cells"])
        return cls(features, arrays["mean"], arrays["components"])

    def kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays and the description that `load` takes."""
        arrays = {"filters": self.features.filters, "offsets": self.features.offsets}
        return {**arrays, "mean": self.mean, "components": self.components}, {"n_cells": self.features.n_cells}

    def n_compared(self, latent_dim: int) -> int:
        """Return `latent_dim`, or all there are: as many are compared, from the first, as networks have."""
        return min(latent_dim, len(self.components))

    def encode(self, images: np.ndarray, first: int | None = None) -> np.ndarray:
        """Map images (n, c, h, w) uint8 to scores (n, m) float32, or to the first of them."""
        components = self.components[:first]
        scores = np.empty((len(images), len(components)), np.float32)
        for start in range(0, len(images), _BLOCK):
            some = slice(start, start + _BLOCK)
            scores[some] = (self.features.of(to_unit(images[some])) - self.mean) @ components.T
        return scores
