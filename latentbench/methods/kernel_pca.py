"""Kernel PCA with landmarks."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from latentbench import seeding
from latentbench.core import progress
from latentbench.data.dataset import to_unit
from latentbench.methods.base import Material
from latentbench.reduction import nystroem
from latentbench.reduction.nystroem import KernelPCA


class Method:
    """Scores on the principal components of a Gaussian kernel.

    Args:
        fitted: what maps points to them.
    """

    def __init__(self, fitted: KernelPCA) -> None:
        self.fitted = fitted

    @classmethod
    def fit(cls, material: Material, *, n_components: int, n_landmarks: int, bandwidth: float) -> Self:
        """Fit it to the train images, with landmarks drawn from them.

        Args:
            material: what to fit to.
            n_components: of the scores.
            n_landmarks: train images that stand for all.
            bandwidth: of the kernel, in medians of the distances between the landmarks.

        Raises:
            InputError: there are more components than landmarks.
        """
        points = material.dataset.train_points
        m = min(n_landmarks, len(points))
        if m < n_landmarks:
            progress.note(f"n_landmarks: {n_landmarks} is cut to {m}, the number of train images")
        drawn = seeding.numpy_generator(material.seed, "landmarks").permutation(len(points))[:m]
        landmarks = points[np.sort(drawn)]
        scale = bandwidth * nystroem.median_distance(landmarks)
        return cls(KernelPCA.fit(points, landmarks, min(n_components, m), scale))

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return what the stage kept."""
        return cls(KernelPCA(**arrays, bandwidth=description["bandwidth"]))

    def kept(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the arrays and the description that `load` takes."""
        arrays = {name: getattr(self.fitted, name) for name in ("landmarks", "projection", "shift", "variances")}
        return arrays, {"bandwidth": self.fitted.bandwidth}

    def n_compared(self, latent_dim: int) -> int:
        """Return `latent_dim`, or all there are: as many are compared, from the first, as networks have."""
        return min(latent_dim, len(self.fitted.shift))

    def encode(self, images: np.ndarray, first: int | None = None) -> np.ndarray:
        """Map images (n, c, h, w) uint8 to scores (n, m) float32, or to the first of them."""
        return self.fitted.scores(to_unit(images.reshape(len(images), -1)), first)
