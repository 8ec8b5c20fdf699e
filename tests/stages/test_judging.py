"""The judge of generated images at known answers: real images, noise, one image repeated, half of the classes, blur."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from latentbench import artifacts
from latentbench.data.dataset import Dataset
from latentbench.params.base import validate
from latentbench.params.evaluate import EvaluateParams
from stages.judging import Judge

N = 600
PARAMS = {
    "k_max": 5,
    "n_bootstrap": 100,
    "n_groups": 20,
    "raw_l1": False,
    "importance_samples": 1,
    "bound_draws": 1,
    "features": "classifier",
    "coverage_k": 5,
    "cas_epochs": 5,
    "likelihood_images": 10,
}


@pytest.fixture(scope="module")
def dataset(images: np.ndarray, labels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return 4,000 train images, of which 400 validate, and 2,000 test images, all of them real."""
    folder: Path = tmp_path_factory.mktemp("processed")
    parts = {"train": slice(0, 4000), "test": slice(4000, 6000)}
    for name, part in parts.items():
        artifacts.write_array(folder / f"{name}_images.npy", images[part])
        artifacts.write_array(folder / f"{name}_labels.npy", labels[part])
    artifacts.write_array(folder / "val_index.npy", np.arange(0, 4000, 10))
    artifacts.write_json(folder / "dataset.json", {"classes": [str(label) for label in range(10)]})
    return Dataset(folder)


@pytest.fixture(scope="module")
def judge(dataset: Dataset) -> Judge:
    """Return a judge that sees pixels and tells classes by their means."""
    means = torch.stack([torch.tensor(dataset.train_points[dataset.train_labels == c].mean(axis=0)) for c in range(10)])

    def see(pixels: Tensor) -> Tensor:
        return pixels.flatten(1).float() / 255.0

    def classify(pixels: Tensor) -> Tensor:
        return (-torch.cdist(see(pixels), means)).softmax(dim=1)

    return Judge(see, classify, dataset, validate(EvaluateParams, PARAMS), 0, N)


@pytest.fixture(scope="module")
def real(judge: Judge, dataset: Dataset) -> dict[str, float]:
    """Return the scores of real images that are neither the target's nor trained on."""
    return judge.scores("real", dataset.train_images[:N], dataset.train_labels[:N], from_train=True)


def test_real_images_are_as_good_as_can_be(real: dict[str, float]) -> None:
    assert real["n"] == N
    assert real["coverage"] > 0.9
    assert real["density"] == pytest.approx(1, abs=0.1)
    assert real["sharpness"] == pytest.approx(1, abs=0.1)
    assert real["classes_present"] == 10
    assert real["cas"] > 0.6
    assert "nearest_train" not in real


def test_noise_is_none_of_that(judge: Judge, real: dict[str, float], rng: np.random.Generator) -> None:
    noise = judge.scores("noise", rng.integers(256, size=(N, 28, 28)).astype(np.uint8))
    assert noise["frechet"] > 20 * real["frechet"]
    assert noise["kernel_distance"] > 20 * abs(real["kernel_distance"])
    assert noise["density"] == noise["coverage"] == 0
    assert noise["sharpness"] > 3
    assert noise["nearest_train"] > 1.5
    assert noise["cas"] < real["cas"] - 0.3


def test_one_image_repeated_covers_next_to_nothing(judge: Judge, dataset: Dataset, real: dict[str, float]) -> None:
    one = judge.scores("one", np.repeat(dataset.train_images[:1], N, axis=0))
    assert one["frechet"] > 5 * real["frechet"]
    assert one["coverage"] < 0.05
    assert one["classes_present"] == 1
    assert one["nearest_train"] == 0, "it is in the train images"
    assert one["cas"] == pytest.approx(0.1, abs=0.03)


def test_half_of_the_classes_is_half_a_cover(judge: Judge, dataset: Dataset, real: dict[str, float]) -> None:
    some = np.flatnonzero(dataset.train_labels < 5)[:N]
    half = judge.scores("half", dataset.train_images[some], dataset.train_labels[some], from_train=True)
    assert 0.4 < half["coverage"] < 0.8 < real["coverage"]
    assert half["density"] > 0.6, "what is there is good"
    assert half["cas"] == pytest.approx(real["cas"] / 2, abs=0.12)


def test_blur_cannot_hide(judge: Judge, dataset: Dataset) -> None:
    images = dataset.train_images[:N] / 4
    blurred = images + np.roll(images, 1, axis=1) + np.roll(images, 1, axis=2) + np.roll(images, (1, 1), axis=(1, 2))
    assert judge.scores("blur", blurred.astype(np.uint8))["sharpness"] < 0.7
