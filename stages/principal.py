"""Principal components of images that may not fit into memory."""

import numpy as np

from latentbench.data.dataset import to_unit
from latentbench.reduction.moments import Moments, joined
from latentbench.reduction.pca import BLOCK, PCA


def of_images(pixels: np.ndarray, index: np.ndarray) -> Moments | np.ndarray:
    """Return what PCA is fitted to: the moments of images in [0, 1], or the images if these are fewer numbers.

    Args:
        pixels: (n, p) uint8.
        index: of the images used.
    """
    if len(index) < pixels.shape[1]:
        return to_unit(pixels[index])
    return joined(Moments.of(to_unit(pixels[index[start : start + BLOCK]])) for start in range(0, len(index), BLOCK))


def fit(pca: PCA, to: Moments | np.ndarray) -> PCA:
    """Fit PCA to what `of_images` returned."""
    return pca.fit_moments(to) if isinstance(to, Moments) else pca.fit(to)
