"""How close reconstructions come to their originals."""

import numpy as np

_BLOCK = 2000


def mean_squared_error(images: np.ndarray, reconstructions: np.ndarray) -> float:
    """Return the mean squared error per pixel.

    Args:
        images: (n, height, width) uint8.
        reconstructions: (n, height, width) floats on the scale [0, 1].

    Raises:
        ValueError: the shapes differ.
    """
    if images.shape != reconstructions.shape:
        raise ValueError(f"shapes differ: {images.shape} and {reconstructions.shape}")
    total = 0.0
    for start in range(0, len(images), _BLOCK):
        block = slice(start, start + _BLOCK)
        difference = images[block] / 255.0 - reconstructions[block]
        total += float(np.square(difference).sum())
    return total / images.size
