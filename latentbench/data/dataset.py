"""The preprocessed dataset as the stages after `preprocess` see it."""

from functools import cached_property
from pathlib import Path

import numpy as np

from latentbench.core import artifacts

LEVELS = 255  # a pixel's largest value: distances between pixels are this many times those between images in [0, 1]


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """Return uint8 pixels as float32 in [0, 1]."""
    units: np.ndarray = pixels / np.float32(LEVELS)
    return units


class Dataset:
    """The files of a preprocessed dataset; each is opened on first use, images memory-mapped.

    A stage depends only on the files behind the attributes that it uses.

    Args:
        folder: what `preprocess` wrote.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def train_images(self) -> np.ndarray:
        """All train images, (n, c, h, w) uint8."""
        return artifacts.read_array(self._folder / "train_images.npy")

    @property
    def train_pixels(self) -> np.ndarray:
        """The train images as points, (n, channels * height * width) uint8: a view of the file, not a copy."""
        return self.train_images.reshape(len(self.train_images), -1)

    @property
    def test_pixels(self) -> np.ndarray:
        """The test images likewise."""
        return self.test_images.reshape(len(self.test_images), -1)

    @cached_property
    def train_points(self) -> np.ndarray:
        """The train images as points, float32 in [0, 1]: four times the file, in memory, for methods that need it."""
        return to_unit(self.train_pixels)

    @cached_property
    def test_points(self) -> np.ndarray:
        """The test images likewise."""
        return to_unit(self.test_pixels)

    @cached_property
    def train_labels(self) -> np.ndarray:
        """Their labels, (n,) uint8, indices into `classes`."""
        return artifacts.read_array(self._folder / "train_labels.npy")

    @cached_property
    def test_images(self) -> np.ndarray:
        """All test images, (n, c, h, w) uint8."""
        return artifacts.read_array(self._folder / "test_images.npy")

    @cached_property
    def test_labels(self) -> np.ndarray:
        """Their labels, (n,) uint8."""
        return artifacts.read_array(self._folder / "test_labels.npy")

    @cached_property
    def validation_index(self) -> np.ndarray:
        """Rows of the train images that no network trains on, sorted int64."""
        return np.array(artifacts.read_array(self._folder / "val_index.npy"))

    @cached_property
    def fit_index(self) -> np.ndarray:
        """The other rows of the train images, which networks train on, sorted int64."""
        return np.setdiff1d(np.arange(len(self.train_images)), self.validation_index)

    @cached_property
    def classes(self) -> list[str]:
        """Names of the classes, by label; a single one for all images if they have no labels."""
        return list(artifacts.read_json(self._folder / "dataset.json")["classes"])

    @cached_property
    def labelled(self) -> bool:
        """Whether the images have labels; if not, all labels are 0."""
        return bool(artifacts.read_json(self._folder / "dataset.json")["labelled"])

    @cached_property
    def scaler(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of each value of an image over the train images on the scale [0, 1], (p,) float32 each."""
        arrays, _ = artifacts.read_model(self._folder / "scaler")
        return arrays["mean"], arrays["scale"]
