"""The background of images."""

import numpy as np


def brightness(images: np.ndarray) -> float:
    """Return the median brightness of the border pixels of images, from 0 (black) to 1 (white).

    The median, not the mean: what the images show touches the border here and there, and is not background.

    Args:
        images: (n, c, h, w) uint8, n at least 1.
    """
    borders = [images[:, :, 0], images[:, :, -1], images[:, :, 1:-1, 0], images[:, :, 1:-1, -1]]
    return float(np.median(np.concatenate([border.ravel() for border in borders]))) / 255
