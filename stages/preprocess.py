"""Turn the raw images into arrays: the images used, the validation part, the scaler and the dataset's facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latentbench import figures, seeding
from latentbench.core import artifacts, progress
from latentbench.data import splits
from latentbench.params.base import ParamsError
from latentbench.params.data import Data
from stages import lifecycle, paths

_UNLABELLED = "image"  # the only class if there are no labels
_N_SHOWN = 12  # images of each class
_MOST_SHOWN = 20  # classes
_BLOCK = 10_000  # images that are in memory at once


def main() -> None:
    """Run the stage."""
    with lifecycle.stage("preprocess") as view:
        data = view.section(Data, "data")
        raw = artifacts.read_json(paths.RAW / "dataset.json")
        classes: list[str] = raw["classes"] or [_UNLABELLED]
        train, test = _train_and_test(raw, data)
        train = _part(train, data.train_size, "train", data, classes)
        test = _part(test, data.test_size, "test", data, classes)
        if "validation" in raw["splits"]:
            n, given = len(train.labels), _read("validation", raw)
            validation = np.arange(n, n + len(given.labels), dtype=np.int64)
            train = train.and_then(given)
        else:
            validation = _validation(train.labels, data, classes)
        train_images, train_labels = train.write("train"), train.labels
        test_labels = test.labels
        test.write("test")
        artifacts.write_array(paths.PROCESSED / "val_index.npy", validation)
        mean, deviation = _mean_and_deviation(train_images)
        scale = np.where(deviation > 0, deviation, 1.0)  # a constant pixel stays as it is
        artifacts.write_model(
            paths.PROCESSED / "scaler",
            {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)},
            {"fitted_on": "train"},
        )
        sizes = {"n_train": len(train_labels), "n_validation": len(validation), "n_test": len(test_labels)}
        facts = {
            "title": raw["title"],
            "classes": classes,
            "labelled": raw["classes"] is not None,
            "image_shape": raw["image_shape"],
            "test_is_given": "test" in raw["splits"],
            **sizes,
        }
        artifacts.write_json(paths.PROCESSED / "dataset.json", facts)
        folder = paths.METRICS / "preprocess"
        artifacts.write_metrics(folder / "metrics.json", sizes)
        _draw(train_images, train_labels, classes[:_MOST_SHOWN])


@dataclass(frozen=True)
class _Images:
    """Some of the raw images, which are in a file and may not fit into memory.

    Attributes:
        sources: files of images, and the rows used of each, one file after another.
        labels: (n,) of all images used.
    """

    sources: Sequence[tuple[np.ndarray, np.ndarray]]
    labels: np.ndarray

    def part(self, rows: np.ndarray) -> "_Images":
        """Return some of them, if they are all from one file."""
        ((images, taken),) = self.sources
        return _Images([(images, taken[rows])], self.labels[rows])

    def and_then(self, other: "_Images") -> "_Images":
        """Return these followed by others."""
        return _Images([*self.sources, *other.sources], np.concatenate([self.labels, other.labels]))

    def write(self, split: str) -> np.ndarray:
        """Write images and labels as those of a split; return the file of the images."""
        path = paths.PROCESSED / f"{split}_images.npy"
        shape = (len(self.labels), *self.sources[0][0].shape[1:])
        blocks = (
            images[rows[start : start + _BLOCK]]
            for images, rows in self.sources
            for start in range(0, len(rows), _BLOCK)
        )
        artifacts.write_blocks(path, shape, np.uint8, blocks)
        artifacts.write_array(paths.PROCESSED / f"{split}_labels.npy", self.labels)
        return artifacts.read_array(path)


def _read(split: str, raw: dict[str, Any]) -> _Images:
    """Return the images of a split, with labels that are all 0 if there are none."""
    images = artifacts.read_array(paths.RAW / f"{split}_images.npy")
    rows = np.arange(len(images))
    if raw["classes"] is None:
        return _Images([(images, rows)], np.zeros(len(images), dtype=np.uint8))
    return _Images([(images, rows)], np.array(artifacts.read_array(paths.RAW / f"{split}_labels.npy")))


def _train_and_test(raw: dict[str, Any], data: Data) -> tuple[_Images, _Images]:
    """Return both parts; a test part is drawn from the train images if none is given."""
    train = _read("train", raw)
    if "test" in raw["splits"]:
        return train, _read("test", raw)
    n = len(train.labels)
    n_test = max(1, round(data.test_share * n))
    if n_test >= n:
        raise ParamsError(f"data.test_share: {data.test_share} of {n} images leaves none to train on")
    generator = seeding.numpy_generator(data.split_seed, "test")
    test = splits.stratified_subset(train.labels, n_test, generator)
    _check_classes(train.labels, test, raw["classes"] or [_UNLABELLED], "data.test_share")
    progress.note(f"no test split is given: {n_test} of {n} images are drawn (data.test_share)")
    return train.part(np.setdiff1d(np.arange(n), test)), train.part(test)


def _part(images: _Images, size: int | None, split: str, data: Data, classes: list[str]) -> _Images:
    if size is None:
        return images
    n = len(images.labels)
    if size > n:
        raise ParamsError(f"data.{split}_size: there are only {n} {split} images, not {size}")
    generator = seeding.numpy_generator(data.split_seed, "subset", split)
    chosen = splits.stratified_subset(images.labels, size, generator)
    _check_classes(images.labels, chosen, classes, f"data.{split}_size", whole=True)
    return images.part(chosen)


def _mean_and_deviation(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each value of images (n, c, h, w) on the scale [0, 1], (p,) float64."""
    pixels, n = images.reshape(len(images), -1), len(images)
    starts = range(0, n, _BLOCK)
    mean = sum(pixels[start : start + _BLOCK].sum(axis=0, dtype=np.int64) for start in starts) / n
    squares = sum(np.square(pixels[start : start + _BLOCK] - mean).sum(axis=0) for start in starts)
    return mean / 255, np.sqrt(squares / n) / 255


def _validation(labels: np.ndarray, data: Data, classes: list[str]) -> np.ndarray:
    """Return the rows of the train images that are for validation, sorted."""
    n = max(1, round(data.validation_share * len(labels)))
    if n > len(labels) - 2:
        raise ParamsError(
            f"data.validation_share: {data.validation_share} of {len(labels)} train images leaves {len(labels) - n} "
            "to train on"
        )
    generator = seeding.numpy_generator(data.split_seed, "validation")
    chosen = splits.stratified_subset(labels, n, generator)
    _check_classes(labels, chosen, classes, "data.validation_share")
    return chosen


def _check_classes(
    labels: np.ndarray, chosen: np.ndarray, classes: list[str], key: str, *, whole: bool = False
) -> None:
    """Refuse a part that lacks a class, or that takes all images of one so that none are left; `whole` may take all.

    Raises:
        ParamsError: the message names the classes, their images and the key.
    """
    before = np.bincount(labels, minlength=len(classes))
    after = np.bincount(labels[chosen], minlength=len(classes))
    missed = (before > 0) & ((after == 0) | ((after == before) & (not whole)))
    if missed.any():
        listed = ", ".join(f"{classes[label]} ({before[label]} images)" for label in np.flatnonzero(missed)[:10])
        raise ParamsError(f"{key}: every part needs an image of each class, but there are too few of {listed}")


def _draw(images: np.ndarray, labels: np.ndarray, classes: list[str]) -> None:
    grid = np.zeros((len(classes), _N_SHOWN, *images.shape[1:]), dtype=np.uint8)
    for label in range(len(classes)):
        of_class = images[np.flatnonzero(labels == label)[:_N_SHOWN]]
        grid[label, : len(of_class)] = of_class
    figure = figures.image_grid(grid, classes, "train images of each class")
    artifacts.write_figure(paths.METRICS / "preprocess" / "examples.png", figure)


if __name__ == "__main__":
    main()
