"""Many images tiled into one."""

import numpy as np


def mosaic(images: np.ndarray, gap: int | tuple[int, int], ground: float) -> np.ndarray:
    """Lay out images (rows, columns, channels, height, width) in a grid, (height, width, channels) of the same dtype.

    Args:
        images: of any dtype.
        gap: pixels between images, or a pair: between rows and between columns.
        ground: the value in the gaps.
    """
    n_rows, n_columns, channels, height, width = images.shape
    down, right = gap if isinstance(gap, tuple) else (gap, gap)
    whole = np.full((n_rows, height + down, n_columns, width + right, channels), ground, dtype=images.dtype)
    whole[:, :height, :, :width] = images.transpose(0, 3, 1, 4, 2)
    flat = whole.reshape(n_rows * (height + down), n_columns * (width + right), channels)
    return flat[: len(flat) - down, : flat.shape[1] - right]
