"""Principal component analysis, and the Gaussian in its space."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from latentbench import seeding
from latentbench.reduction import gaussian


class Method:
    """Scores on principal components.

    Args:
        mean: (p,) of the points.
        components: (m, p), all there are, which scores are multiplied by.
        deviations: of the first scores, as many as are drawn; the others stay at 0.
        scale: (p,) by which the coordinates were divided first; ones for plain PCA.
        size: of an image: height and width.
    """

    calls = None

    def __init__(
        self,
        mean: np.ndarray,
        components: np.ndarray,
        deviations: np.ndarray,
        scale: np.ndarray,
        size: tuple[int, int],
    ) -> None:
        self.mean, self.components, self.deviations, self.scale = mean, components, deviations, scale
        self.size = size

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return what the stage kept."""
        return cls(**arrays, size=(description["height"], description["width"]))

    def n_compared(self, latent_dim: int) -> int:
        """Return `latent_dim`, or all there are: the first numbers are compared, as many as networks have."""
        return min(latent_dim, len(self.components))

    def encode(self, images: np.ndarray, first: int | None = None) -> np.ndarray:
        """Map images (n, height, width) uint8 to scores (n, m) float32, or to the first of them."""
        points = images.reshape(len(images), -1) / np.float32(255)
        # What scores are multiplied by is already times the scale.
        scores: np.ndarray = ((points - self.mean) / self.scale**2 @ self.components[:first].T).astype(np.float32)
        return scores

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Map scores (n, at most m) of the first components to images (n, height, width)."""
        points: np.ndarray = latents @ self.components[: latents.shape[1]] + self.mean
        return points.reshape(-1, *self.size)

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return images (n, height, width) uint8 from the Gaussian with the moments of the scores."""
        generator = seeding.numpy_generator(seed)
        drawn = gaussian.draw(self.mean, self.components[: len(self.deviations)], self.deviations, n, generator)
        return gaussian.to_pixels(drawn, *self.size)
