"""Turn the raw files into arrays: the images that are used, the validation part, the scaler, the dataset's facts."""

import numpy as np

from latentbench import figures, seeding
from latentbench.core import artifacts
from latentbench.data import splits
from latentbench.data.formats import base as formats
from latentbench.data.formats.base import Format
from latentbench.params.base import ParamsError
from latentbench.params.data import Data
from stages import lifecycle, paths


def main() -> None:
    """Run the stage."""
    with lifecycle.stage("preprocess") as view:
        data = view.section(Data, "data")
        form = formats.of(data.format)
        train_images, train_labels = _read(form, "train", data.train_size, "train", data.split_seed)
        test_images, test_labels = _read(form, "t10k", data.test_size, "test", data.split_seed)
        artifacts.write_array(paths.PROCESSED / "train_images.npy", train_images)
        artifacts.write_array(paths.PROCESSED / "train_labels.npy", train_labels)
        artifacts.write_array(paths.PROCESSED / "test_images.npy", test_images)
        artifacts.write_array(paths.PROCESSED / "test_labels.npy", test_labels)

        n_validation = max(1, round(data.validation_share * len(train_labels)))
        if n_validation > len(train_labels) - 2:
            raise ParamsError(
                f"data.validation_share: {data.validation_share} of {len(train_labels)} train images leaves "
                f"{len(train_labels) - n_validation} to train on"
            )
        generator = seeding.numpy_generator(data.split_seed, "validation")
        validation = splits.stratified_subset(train_labels, n_validation, generator)
        artifacts.write_array(paths.PROCESSED / "val_index.npy", validation)

        pixels = train_images.reshape(len(train_images), -1) / np.float32(255)
        mean, deviation = pixels.mean(axis=0, dtype=np.float64), pixels.std(axis=0, dtype=np.float64)
        scale = np.where(deviation > 0, deviation, 1.0)  # a pixel that never changes stays as it is
        artifacts.write_model(
            paths.PROCESSED / "scaler",
            {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)},
            {"fitted_on": "train"},
        )
        _, height, width = train_images.shape
        facts = {
            "classes": list(data.classes),
            "height": height,
            "width": width,
            "channels": 1,
            "n_train": len(train_labels),
            "n_validation": n_validation,
            "n_test": len(test_labels),
        }
        artifacts.write_json(paths.PROCESSED / "dataset.json", facts)

        folder = paths.METRICS / "preprocess"
        sizes = ("n_train", "n_validation", "n_test")
        artifacts.write_metrics(folder / "metrics.json", {size: facts[size] for size in sizes})
        grid = np.zeros((len(data.classes), 12, height, width), dtype=np.uint8)
        for label in range(len(data.classes)):
            of_class = train_images[np.flatnonzero(train_labels == label)[: grid.shape[1]]]
            grid[label, : len(of_class)] = of_class
        figure = figures.image_grid(grid, data.classes, "train images of each class")
        artifacts.write_figure(folder / "examples.png", figure)


def _read(form: Format, raw: str, size: int | None, split: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    images = formats.read(form, paths.RAW / f"{raw}-images", 3)
    labels = formats.read(form, paths.RAW / f"{raw}-labels", 1)
    if size is None:
        return images, labels
    if size > len(labels):
        raise ParamsError(f"data.{split}_size: there are only {len(labels)} {split} images, not {size}")
    generator = seeding.numpy_generator(seed, "subset", split)
    chosen = splits.stratified_subset(labels, size, generator)
    return images[chosen], labels[chosen]


if __name__ == "__main__":
    main()
