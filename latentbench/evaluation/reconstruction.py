"""How close reconstructions come to their originals."""

from collections.abc import Iterator

import numpy as np

from latentbench.core.errors import InputError, check_finite

_ROUNDING_ERROR = 1.0 / (12 * 255**2)
_BLOCK = 2000
# Wang et al. 2004, section III-C: a Gaussian window, and constants that keep the quotient stable.
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def mean_squared_error(images: np.ndarray, reconstructions: np.ndarray) -> float:
    """Return the mean of `squared_errors`: the mean squared error per pixel."""
    return float(squared_errors(images, reconstructions).mean())


def squared_errors(images: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Return the mean squared error per pixel of each image, (n,) float64.

    Args:
        images: (n, c, h, w) uint8.
        reconstructions: (n, c, h, w) floats on the scale [0, 1].

    Raises:
        ValueError: the shapes differ.
        InputError: a reconstruction is not finite, or one of the two has another dtype.
    """
    return np.concatenate([np.square(x - y).mean(axis=(1, 2, 3)) for x, y in _pairs(images, reconstructions)])


def psnr(images: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Return the peak signal-to-noise ratio of each image in decibels, 10 log10(1 / mse), (n,) float64.

    Their mean is the mean of the ratios, not the ratio of the mean error: a few bad images weigh less. An error below
    that of rounding to 8 bits, which is uniform with variance 1 / (12 * 255^2), counts as that error: so the maximum
    is 58.9 decibels.

    Args:
        images: (n, c, h, w) uint8.
        reconstructions: (n, c, h, w) floats on the scale [0, 1], where the peak is 1.

    Raises:
        ValueError: the shapes differ.
        InputError: a reconstruction is not finite, or one of the two has another dtype.
    """
    ratios: np.ndarray = -10.0 * np.log10(squared_errors(images, reconstructions).clip(min=_ROUNDING_ERROR))
    return ratios


def ssim(images: np.ndarray, reconstructions: np.ndarray) -> np.ndarray:
    """Return the mean structural similarity of each image (Wang et al. 2004, eq. 13 and 17), (n,) float64; 1 if equal.

    For colour images it is the mean over the channels, each treated as a grey image, as in scikit-image's
    `channel_axis` and torchmetrics. Also as there: an 11x11 Gaussian window of standard deviation 1.5, K1 = 0.01 and
    K2 = 0.03; the range of pixels is 1. Windows lie entirely within the image. If it has fewer than 11 rows or columns,
    the window has the largest odd size that fits in that direction, so values for images of such different sizes are
    not comparable.

    Args:
        images: (n, c, h, w) uint8.
        reconstructions: (n, c, h, w) floats on the scale [0, 1].

    Raises:
        ValueError: the shapes differ.
        InputError: a reconstruction is not finite, or one of the two has another dtype.
    """
    rows, columns = (_window_means(size) for size in images.shape[2:])
    found = []
    for x, y in _pairs(images, reconstructions):
        mean_x, mean_y, square_x, square_y, product = (rows @ (z @ columns.T) for z in (x, y, x * x, y * y, x * y))
        var_x, var_y, cov = square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y
        luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
        structure = (2 * cov + _C2) / (var_x + var_y + _C2)
        found.append((luminance * structure).mean(axis=(1, 2, 3)))
    return np.concatenate(found)


def _pairs(images: np.ndarray, reconstructions: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield both in blocks, as float64 on the scale [0, 1]."""
    if images.shape != reconstructions.shape:
        raise ValueError(f"shapes differ: {images.shape} and {reconstructions.shape}")
    if images.dtype != np.uint8 or not np.issubdtype(reconstructions.dtype, np.floating):
        raise InputError(
            "images must be uint8 in 0..255 and reconstructions floats in 0..1, "
            f"not {images.dtype} and {reconstructions.dtype}"
        )
    check_finite(reconstructions, "reconstructions")
    for start in range(0, len(images), _BLOCK):
        block = slice(start, start + _BLOCK)
        yield images[block] / 255.0, np.asarray(reconstructions[block], dtype=np.float64)


def _window_means(size: int) -> np.ndarray:
    """Return the matrix (n_windows, size) that takes the mean of each window along an axis of `size` pixels."""
    width = min(_WINDOW, size - 1 + size % 2)
    weights = np.exp(-0.5 * np.square((np.arange(width) - width // 2) / _SIGMA))
    means = np.zeros((size - width + 1, size))
    for start, row in enumerate(means):
        row[start : start + width] = weights / weights.sum()
    return means
