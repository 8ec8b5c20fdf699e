"""Principal component analysis, and the Gaussian in its space."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from latentbench import seeding
from latentbench.data.dataset import to_unit
from latentbench.reduction import gaussian


class Method:
    """Scores on principal components.

    Args:
        mean: (p,) of the points.
        components: (m, p), all there are; scores are multiplied by them.
        deviations: of the first scores, as many as are drawn; the others stay at 0.
        scale: (p,) by which the coordinates were divided first; ones for plain PCA.
        image_shape: channels, height and width of an image.
    """

    calls = None

    def __init__(
        self,
        mean: np.ndarray,
        components: np.ndarray,
        deviations: np.ndarray,
        scale: np.ndarray,
        image_shape: Sequence[int],
    ) -> None:
        self.mean, self.components, self.deviations, self.scale = mean, components, deviations, scale
        self.image_shape = tuple(image_shape)

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """Return what the stage kept."""
        return cls(**arrays, image_shape=description["image_shape"])

    def n_compared(self, latent_dim: int) -> int:
        """Return `latent_dim`, or all there are: as many are compared, from the first, as networks have."""
        return min(latent_dim, len(self.components))

    def encode(self, images: np.ndarray, first: int | None = None) -> np.ndarray:
        """Map images (n, c, h, w) uint8 to scores (n, m) float32, or to the first of them."""
        points = to_unit(images.reshape(len(images), -1))
        # The components already include the scale.
        scores: np.ndarray = ((points - self.mean) / self.scale**2 @ self.components[:first].T).astype(np.float32)
        return scores

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """Map scores (n, at most m) of the first components to images (n, c, h, w)."""
        points: np.ndarray = latents @ self.components[: latents.shape[1]] + self.mean
        return points.reshape(-1, *self.image_shape)

    def draw(self, n: int, seed: int) -> np.ndarray:
        """Return images (n, c, h, w) uint8 from the Gaussian with the moments of the scores."""
        generator = seeding.numpy_generator(seed)
        drawn = gaussian.draw(self.mean, self.components[: len(self.deviations)], self.deviations, n, generator)
        return gaussian.to_pixels(drawn, self.image_shape)
