"""What rows of the comparison cost, measured side by side on the threads that the pipeline uses.

Times differ from run to run: they are no metric, and lie with the timings of the stages.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial.distance import cdist

from latentbench import artifacts, inference, seeding
from latentbench.data.dataset import Dataset
from latentbench.diffusion import models as diffusion_models
from latentbench.diffusion.models import Sampling
from latentbench.networks.vaes import VAE
from latentbench.reduction import gaussian, isomap
from latentbench.reduction.scaling import Scaling
from stages import models, paths

_N = 1000  # images that are measured with, at most
_N_DRAWN = 250  # samples of a diffusion model: a batch of them
_N_WARM = 20  # images before that, since a first call also sets things up


def per_thousand(work: Callable[[int], object], n: int) -> float:
    """Return the seconds that `work` takes for 1,000 images, from one run with n of them after one with a few."""
    work(min(n, _N_WARM))
    started = time.perf_counter()
    work(n)
    return (time.perf_counter() - started) * 1000.0 / n


def transform(row: str, dataset: Dataset, latent_dim: int) -> float:
    """Return the seconds to map 1,000 test images, from uint8, to the representation of a row."""
    images = np.array(dataset.test_images[:_N])
    if row == "raw":
        return per_thousand(lambda n: _points(images[:n]), len(images))
    if row == "pca":
        arrays, _ = artifacts.read_model(paths.model("pca"))
        mean, axes = arrays["mean"], arrays["components"][:latent_dim].T
        return per_thousand(lambda n: ((_points(images[:n]) - mean) @ axes).astype(np.float32), len(images))
    if row == "isomap":
        return _isomap_transform(images, dataset)
    network = models.load_coder(row)
    pixels = torch.tensor(images)
    return per_thousand(
        lambda n: inference.apply(lambda batch: network.encode(inference.to_unit(batch)), pixels[:n]), len(images)
    )


def sample(row: str, dataset: Dataset, seed: int) -> float:
    """Return the seconds to draw 1,000 images, to uint8, from a generator as its stage does."""
    if row == "pca":
        arrays, _ = artifacts.read_model(paths.model("pca"))
        shape = dataset.test_images.shape[1:]
        generator = seeding.numpy_generator(seed, "evaluate", "costs")
        return per_thousand(lambda n: gaussian.to_pixels(gaussian.draw(**arrays, n=n, generator=generator), *shape), _N)
    if row.startswith("diffusion"):
        return _diffusion_sample(row, seed)
    network = models.load_coder(row)
    assert isinstance(network, VAE)
    draws = torch.randn((_N, network.latent_dim), generator=seeding.torch_generator(seed, "evaluate", "costs", row))
    return per_thousand(
        lambda n: inference.apply(lambda batch: inference.to_pixels(network.decode(batch)), draws[:n]), _N
    )


def _diffusion_sample(row: str, seed: int) -> float:
    guided = row.endswith("_guided")
    model, description = diffusion_models.load(paths.model(row.removesuffix("_guided")))
    sampling = Sampling(**description["sampling"])
    labels = torch.arange(_N_DRAWN) % len(description["classes"])
    drawn_from = seeding.derive(seed, "evaluate", "costs", row)

    def draw(n: int) -> object:
        return model.draw(
            drawn_from,
            range(n),
            sampling,
            labels[:n] if guided else None,
            description["guidance"] if guided else 1.0,
        )

    return per_thousand(draw, _N_DRAWN)


def _isomap_transform(images: np.ndarray, dataset: Dataset) -> float:
    """Time Isomap's out-of-sample transform.

    The geodesic distances from the train images to the landmarks are not kept (240 MB). Straight distances in the
    embedding stand in for them: what a transform takes does not depend on their values.
    """
    arrays, description = artifacts.read_model(paths.model("isomap"))
    scaled = Scaling(arrays["eigenvalues"], arrays["triangulation"], arrays["mean_squares"])
    embedding = artifacts.read_array(paths.embedding("isomap", "train"))
    landmarks = embedding[arrays["landmarks"]]
    train = dataset.train_points

    def ways_from(indices: np.ndarray) -> np.ndarray:
        ways: np.ndarray = cdist(embedding[indices], landmarks).astype(np.float32)
        return ways

    return per_thousand(
        lambda n: isomap.placed(_points(images[:n]), train, **description, ways_from=ways_from, scaled=scaled),
        len(images),
    )


def _points(images: np.ndarray) -> np.ndarray:
    points: np.ndarray = images.reshape(len(images), -1) / np.float32(255)
    return points
