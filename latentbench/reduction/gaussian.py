"""The simplest generator there is: a Gaussian in the space of the first principal components."""

from collections.abc import Sequence

import numpy as np

_BLOCK = 10_000


def draw(
    mean: np.ndarray, components: np.ndarray, deviations: np.ndarray, n: int, generator: np.random.Generator
) -> np.ndarray:
    """Draw points from the Gaussian that principal components describe (Tipping & Bishop 1999, without their noise).

    Scores are independent normals with the components' deviations; directions that were not kept stay at the mean.

    Args:
        mean: (p,) of the points.
        components: (m, p) rows that scores are multiplied by.
        deviations: (m,) of the scores.
        n: number of points.
        generator: for the draws.

    Returns:
        (n, p) float64.
    """
    blocks = [
        generator.standard_normal((min(_BLOCK, n - start), len(deviations))) * deviations @ components + mean
        for start in range(0, n, _BLOCK)
    ]
    return np.concatenate(blocks)


def to_pixels(points: np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """Turn points (n, p) in about [0, 1] into images (n, *image_shape) uint8, cut off at both ends."""
    return np.rint(points * 255.0).clip(0, 255).astype(np.uint8).reshape(-1, *image_shape)
