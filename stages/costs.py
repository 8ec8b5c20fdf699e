"""What rows of the comparison cost, measured side by side on the threads that the pipeline uses.

Times differ from run to run: they are not a metric, and are kept with the timings of the stages.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from latentbench import seeding
from latentbench.core import artifacts
from latentbench.data.dataset import Dataset, to_unit
from latentbench.methods.base import Draws, DrawsClasses, Encodes, Places
from stages import paths

_N = 1000  # images to measure with, at most
_N_OF_MANY_CALLS = 250  # samples of a row that calls a network more than once for each: a batch of them
_N_WARM = 20  # images to warm up with, since a first call also sets things up


def per_thousand(work: Callable[[int], object], n: int) -> float:
    """Return the seconds that `work` takes for 1,000 images, from one run with n images after a warm-up."""
    work(min(n, _N_WARM))
    started = time.perf_counter()
    work(n)
    return (time.perf_counter() - started) * 1000.0 / n


def transform(row: str, method: Encodes | Places | None, dataset: Dataset, first: int | None) -> float:
    """Return the seconds to map 1,000 uint8 test images to the first numbers of a row; `method` is None for pixels."""
    images = np.array(dataset.test_images[:_N])
    if method is None:
        return per_thousand(lambda n: to_unit(images[:n].reshape(n, -1)), len(images))
    if isinstance(method, Encodes):
        return per_thousand(lambda n: method.encode(images[:n], first), len(images))
    train, embedding = dataset.train_pixels, artifacts.read_array(paths.embedding(row, "train"))
    return per_thousand(lambda n: method.place(images[:n], train, embedding), len(images))


def sample(row: str, method: Any, dataset: Dataset, seed: int) -> dict[str, float]:
    """Return the seconds to draw 1,000 uint8 images as its stage does, by row; guided draws are a separate row."""
    found: dict[str, float] = {}
    if isinstance(method, Draws):
        n = _N if method.calls in (None, 1) else _N_OF_MANY_CALLS
        drawn_from = seeding.derive(seed, "evaluate", "costs", row)
        found[row] = per_thousand(lambda n: method.draw(n, drawn_from), n)
    if isinstance(method, DrawsClasses) and method.calls_guided is not None:
        name = f"{row}_guided"
        guided_from = seeding.derive(seed, "evaluate", "costs", name)
        labels = np.arange(_N_OF_MANY_CALLS) % len(dataset.classes)
        found[name] = per_thousand(lambda n: method.draw_classes(labels[:n], guided_from), _N_OF_MANY_CALLS)
    return found
