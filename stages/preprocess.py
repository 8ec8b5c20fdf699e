"""Turn the raw images into arrays: those that are used, the validation part, the scaler, the dataset's facts."""

from typing import Any

import numpy as np

from latentbench import figures, seeding
from latentbench.core import artifacts, progress
from latentbench.data import splits
from latentbench.params.base import ParamsError
from latentbench.params.data import Data
from stages import lifecycle, paths

_UNLABELLED = "image"  # what stands for a class where there are none
_N_SHOWN = 12  # images of each class
_MOST_SHOWN = 20  # classes


def main() -> None:
    """Run the stage."""
    with lifecycle.stage("preprocess") as view:
        data = view.section(Data, "data")
        raw = artifacts.read_json(paths.RAW / "dataset.json")
        classes: list[str] = raw["classes"] or [_UNLABELLED]
        (train_images, train_labels), (test_images, test_labels) = _train_and_test(raw, data)
        train_images, train_labels = _part(train_images, train_labels, data.train_size, "train", data, classes)
        test_images, test_labels = _part(test_images, test_labels, data.test_size, "test", data, classes)
        if "validation" in raw["splits"]:
            images, labels = _read("validation", raw)
            validation = np.arange(len(train_labels), len(train_labels) + len(labels), dtype=np.int64)
            train_images = np.concatenate([train_images, images])
            train_labels = np.concatenate([train_labels, labels])
        else:
            validation = _validation(train_labels, data, classes)
        artifacts.write_array(paths.PROCESSED / "train_images.npy", train_images)
        artifacts.write_array(paths.PROCESSED / "train_labels.npy", train_labels)
        artifacts.write_array(paths.PROCESSED / "test_images.npy", test_images)
        artifacts.write_array(paths.PROCESSED / "test_labels.npy", test_labels)
        artifacts.write_array(paths.PROCESSED / "val_index.npy", validation)

        pixels = train_images.reshape(len(train_images), -1) / np.float32(255)
        mean, deviation = pixels.mean(axis=0, dtype=np.float64), pixels.std(axis=0, dtype=np.float64)
        scale = np.where(deviation > 0, deviation, 1.0)  # a pixel that never changes stays as it is
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


def _read(split: str, raw: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of a split, the latter all 0 where there are none."""
    images = artifacts.read_array(paths.RAW / f"{split}_images.npy")
    if raw["classes"] is None:
        return images, np.zeros(len(images), dtype=np.uint8)
    return images, artifacts.read_array(paths.RAW / f"{split}_labels.npy")


def _train_and_test(raw: dict[str, Any], data: Data) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the images and labels of both; a test part is drawn from the train images where none is given."""
    images, labels = _read("train", raw)
    if "test" in raw["splits"]:
        return [(images, labels), _read("test", raw)]
    n_test = max(1, round(data.test_share * len(labels)))
    if n_test >= len(labels):
        raise ParamsError(f"data.test_share: {data.test_share} of {len(labels)} images leaves none to train on")
    generator = seeding.numpy_generator(data.split_seed, "test")
    test = splits.stratified_subset(labels, n_test, generator)
    _check_classes(labels, test, raw["classes"] or [_UNLABELLED], "data.test_share")
    train = np.setdiff1d(np.arange(len(labels)), test)
    progress.note(f"no test split is given: {n_test} of {len(labels)} images are drawn (data.test_share)")
    return [(images[each], labels[each]) for each in (train, test)]


def _part(
    images: np.ndarray, labels: np.ndarray, size: int | None, split: str, data: Data, classes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    if size is None:
        return images, labels
    if size > len(labels):
        raise ParamsError(f"data.{split}_size: there are only {len(labels)} {split} images, not {size}")
    generator = seeding.numpy_generator(data.split_seed, "subset", split)
    chosen = splits.stratified_subset(labels, size, generator)
    _check_classes(labels, chosen, classes, f"data.{split}_size", whole=True)
    return images[chosen], labels[chosen]


def _validation(labels: np.ndarray, data: Data, classes: list[str]) -> np.ndarray:
    """Return the rows of the train images that validate, sorted."""
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
    """Refuse a part in which a class has no image, or that leaves none of it to train on; `whole` is all there is.

    Raises:
        ParamsError: the message names the classes, their images and the key.
    """
    before = np.bincount(labels, minlength=len(classes))
    after = np.bincount(labels[chosen], minlength=len(classes))
    missed = (before > 0) & ((after == 0) | ((after == before) & (not whole)))
    if missed.any():
        told = ", ".join(f"{classes[label]} ({before[label]} images)" for label in np.flatnonzero(missed)[:10])
        raise ParamsError(f"{key}: every part needs an image of each class, and there are too few of {told}")


def _draw(images: np.ndarray, labels: np.ndarray, classes: list[str]) -> None:
    grid = np.zeros((len(classes), _N_SHOWN, *images.shape[1:]), dtype=np.uint8)
    for label in range(len(classes)):
        of_class = images[np.flatnonzero(labels == label)[:_N_SHOWN]]
        grid[label, : len(of_class)] = of_class
    figure = figures.image_grid(grid, classes, "train images of each class")
    artifacts.write_figure(paths.METRICS / "preprocess" / "examples.png", figure)


if __name__ == "__main__":
    main()
