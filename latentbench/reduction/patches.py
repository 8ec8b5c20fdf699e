"""Features of small patches that k-means has learned, without labels (Coates, Ng & Lee 2011; Coates & Ng 2012).

Where in an image is which kind of edge, corner or texture? Each patch is brought to one brightness and contrast,
whitened, and compared with filters, which are the centres of spherical k-means on such patches. Whatever a filter finds
is averaged over the cells of a coarse grid.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from latentbench.core.errors import InputError

_MOST_PATCHES = 50_000  # that filters are learned from
_FLAT = 1e-4  # variance of a patch of pixels in [0, 1] that counts as noise: two or three grey levels of 255
_WHITENING = 0.1  # added to the eigenvalues, which are 1 on average (Coates & Ng 2012, section 2.3)
_ROUNDS = 10  # of k-means
_THRESHOLD = 0.5  # that an answer has to pass (Coates & Ng 2012, section 4.2)
_BATCH = 20  # images whose answers stay in the cache


@dataclass(frozen=True)
class PatchFeatures:
    """A map from images to what is found where.

    Attributes:
        filters: (k, c, size, size) float32, which patches of even contrast are multiplied by; each sums to zero.
        offsets: (k,) float32, subtracted from the products.
        n_cells: of the grid on each side.
    """

    filters: np.ndarray
    offsets: np.ndarray
    n_cells: int

    @classmethod
    def learn(cls, images: np.ndarray, n_filters: int, size: int, n_cells: int, generator: np.random.Generator) -> Self:
        """Learn the filters from up to 50,000 patches.

        Args:
            images: (n, c, h, w) float32 in [0, 1].
            n_filters: how many; no more than there are patches that are not flat.
            size: of a patch in pixels, odd.
            n_cells: of the grid on each side; no more than pixels.
            generator: of the choice of patches and of the first centres.

        Raises:
            InputError: no patch varies, or a number is out of range.
        """
        if n_filters < 1 or size < 3 or size % 2 == 0 or not 1 <= n_cells <= min(images.shape[2:]):
            raise InputError(
                f"needs at least 1 filter of an odd size, and 1 to {min(images.shape[2:])} cells, not {n_filters} of "
                f"size {size} and {n_cells} cells"
            )
        patches = _patches(images, size)
        patches = patches[patches.var(dim=1) > _FLAT]
        if not len(patches):
            raise InputError("no patch of these images varies: there is nothing to learn filters from")
        patches = _even(patches[generator.permutation(len(patches))[:_MOST_PATCHES]])
        mean, whitening = patches.mean(dim=0), _whitening(patches)
        centres = _directions((patches - mean) @ whitening, min(n_filters, len(patches)))
        filters = centres @ whitening
        offsets = filters @ mean
        filters = filters - filters.mean(dim=1, keepdim=True)  # so that the brightness of a patch need not be removed
        return cls(filters.reshape(-1, images.shape[1], size, size).numpy(), offsets.numpy(), n_cells)

    @property
    def n_features(self) -> int:
        """How many an image has."""
        return len(self.offsets) * self.n_cells**2

    @torch.no_grad()
    def of(self, images: np.ndarray) -> np.ndarray:
        """Map images (n, c, h, w) float32 in [0, 1] to (n, n_features) float32.

        They are the square roots of the averages: otherwise the few strongest answers would make up all distances
        (Arandjelović & Zisserman 2012, section 3).
        """
        filters, offsets = torch.from_numpy(self.filters), torch.from_numpy(self.offsets)[:, None, None]
        _, channels, size, _ = filters.shape
        n = channels * size**2
        box = torch.full((1, channels, size, size), 1.0 / n)
        found = []
        for batch in torch.from_numpy(np.ascontiguousarray(images)).split(_BATCH):
            # Around zero, where squares lose the least to rounding; there is black beyond the edges.
            padded = functional.pad(batch, [size // 2] * 4) - 0.5
            mean, square = (functional.conv2d(each, box) for each in (padded, padded.square()))
            variance = (square - mean.square()).clamp(min=0.0) * (n / (n - 1))
            answers = functional.conv2d(padded, filters) / (variance + _FLAT).sqrt() - offsets
            strong = (answers - _THRESHOLD).clamp(min=0.0)
            found.append(functional.adaptive_avg_pool2d(strong, self.n_cells).flatten(1).sqrt())
        return torch.cat(found).numpy() if found else np.empty((0, self.n_features), np.float32)


def _patches(images: np.ndarray, size: int) -> Tensor:
    """Return the patches around all pixels of images, (m, c * size**2); there is black beyond the edges."""
    unfolded = functional.unfold(torch.from_numpy(np.ascontiguousarray(images)), size, padding=size // 2)
    return unfolded.transpose(1, 2).flatten(0, 1)


def _even(patches: Tensor) -> Tensor:
    """Bring patches (m, p) to mean 0 and about unit variance; flat ones stay faint."""
    return (patches - patches.mean(dim=1, keepdim=True)) / (patches.var(dim=1, keepdim=True) + _FLAT).sqrt()


def _whitening(patches: Tensor) -> Tensor:
    """Return the symmetric matrix (p, p) after which the coordinates of patches have little correlation."""
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    return torch.as_tensor((vectors / (values.clamp(min=0.0) + _WHITENING).sqrt()) @ vectors.T)


def _directions(points: Tensor, k: int) -> Tensor:
    """Return k centres of unit length (k, p) by spherical k-means (Dhillon & Modha 2001), from the first k points."""
    points = functional.normalize(points, dim=1)
    centres = points[:k]
    for _ in range(_ROUNDS):
        nearest = (points @ centres.T).argmax(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        lengths = sums.norm(dim=1, keepdim=True)
        centres = torch.where(lengths > 0.0, sums / lengths.clamp(min=1e-12), centres)
    return centres
