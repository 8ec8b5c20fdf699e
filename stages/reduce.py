"""Fit a method that needs no training loop to the train images, and represent all images by it."""

import time

import numpy as np

from latentbench import figures, plugins, seeding, threads
from latentbench.core import artifacts, progress
from latentbench.core.errors import InputError
from latentbench.data.dataset import Dataset
from latentbench.methods.base import Encodes, FitsAtOnce, Material
from latentbench.params import reductions
from latentbench.params.project import Project
from stages import lifecycle, paths

_BLOCK = 10_000  # images that are encoded before they are written


def main() -> None:
    """Run the stage."""
    row = lifecycle.row(__doc__)
    with lifecycle.stage("reduce", row) as view:
        project, dataset = view.section(Project), Dataset(paths.PROCESSED)
        threads.use(project.threads)
        options = view.section(reductions.model_of(view.content()[row]), row).values()
        name = options.pop("method")
        method = plugins.load("latentbench.methods", name).Method
        if not issubclass(method, FitsAtOnce):
            raise InputError(f"{row}.method: {name} is not fitted at once")
        classifier = artifacts.read_model(paths.model("classifier"))
        material = Material(dataset, seeding.derive(project.seed, row), classifier)
        started = time.perf_counter()
        fitted = method.fit(material, **options)
        seconds = time.perf_counter() - started
        artifacts.write_json(paths.timing(f"fit@{row}"), {"seconds": round(seconds, 3)})
        if fitted is None:
            _leave_out(row, name, dataset)
            return
        arrays, description = fitted.kept()
        artifacts.write_model(paths.model(row), arrays, {**description, "method": name})
        known: np.ndarray | None = getattr(fitted, "embedding", None)
        if isinstance(fitted, Encodes):
            train = _encode(row, "train", fitted, dataset.train_images) if known is None else _keep(row, "train", known)
            _encode(row, "test", fitted, dataset.test_images)
        else:
            assert known is not None
            train = _keep(row, "train", known)
            _keep(row, "test", fitted.place(dataset.test_images, dataset.train_pixels, known))
        _draw(row, train, dataset)


def _encode(row: str, split: str, fitted: Encodes, images: np.ndarray) -> np.ndarray:
    """Write a method's encodings of images, block by block; return the file."""
    dims = fitted.encode(images[:1]).shape[1]
    blocks = (fitted.encode(images[start : start + _BLOCK]) for start in range(0, len(images), _BLOCK))
    artifacts.write_blocks(paths.embedding(row, split), (len(images), dims), np.float32, blocks)
    return artifacts.read_array(paths.embedding(row, split))


def _keep(row: str, split: str, embedding: np.ndarray) -> np.ndarray:
    artifacts.write_array(paths.embedding(row, split), embedding)
    return embedding


def _leave_out(row: str, name: str, dataset: Dataset) -> None:
    """Write that there is no such row, since the images lack what its method needs."""
    progress.note(f"{row}: the images have no labels, which {name} needs: the row is left out")
    artifacts.write_model(paths.model(row), {}, {"method": "absent"})
    for split, images in (("train", dataset.train_images), ("test", dataset.test_images)):
        artifacts.write_array(paths.embedding(row, split), np.empty((len(images), 0), np.float32))
    artifacts.write_figure(paths.METRICS / row / "scatter.png", figures.no_labels())


def _draw(row: str, embedding: np.ndarray, dataset: Dataset) -> None:
    n, dims = embedding.shape
    figure = figures.scatter(
        embedding[:, :2] if dims > 1 else np.c_[embedding, embedding],
        dataset.train_labels,
        dataset.classes,
        ("component 1", f"component {min(2, dims)}"),
        f"{row}: {n} train images" + (f", the first two of {dims} numbers" if dims > 2 else ""),
    )
    artifacts.write_figure(paths.METRICS / row / "scatter.png", figure, palette=True)


if __name__ == "__main__":
    main()
