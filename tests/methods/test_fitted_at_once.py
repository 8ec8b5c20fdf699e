"""What the stage `reduce` asks of a method: fitted to train images alone, back from its files as it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.decomposition
import torch

from latentbench import plugins
from latentbench.core import artifacts
from latentbench.data.dataset import Dataset
from latentbench.methods.base import Decodes, Encodes, FitsAtOnce, Material, Places, Represents
from latentbench.networks import weights
from latentbench.networks.classifier import Classifier
from latentbench.networks.weights import WeightsError
from latentbench.params import reductions
from latentbench.reduction.pca import PCA

OPTIONS: dict[str, dict[str, Any]] = {
    "kernel_pca": {"n_components": 12, "n_landmarks": 50, "bandwidth": 1.0},
    "patches": {"n_components": 12, "n_filters": 8, "patch_size": 5, "n_cells": 4},
    "random_projection": {"n_components": 12},
    "supervised": {"n_components": 12},
    "tsne": {"n_components": 2, "perplexity": 5.0, "n_iter": 20},
    "umap": {"n_components": 3, "n_neighbors": 8, "min_dist": 0.1, "spread": 1.0, "n_epochs": 20},
}
SHAPE = {"image_shape": [1, 28, 28], "n_classes": 10}
N = 200


@pytest.fixture(scope="module")
def network() -> Classifier:
    """Return a classifier that nobody taught: its features are of some use all the same."""
    torch.manual_seed(3)
    return Classifier(**SHAPE).eval()  # type: ignore[arg-type]


@pytest.fixture
def material(images: np.ndarray, labels: np.ndarray, network: Classifier, tmp_path: Path) -> Material:
    """Return what there is of 200 real images; the test images are not there, so that a fit cannot see them."""
    artifacts.write_array(tmp_path / "train_images.npy", images[:N])
    artifacts.write_array(tmp_path / "train_labels.npy", labels[:N])
    artifacts.write_json(tmp_path / "dataset.json", {"classes": [str(label) for label in range(10)], "labelled": True})
    return Material(Dataset(tmp_path), 5, (weights.to_arrays(network), {"network": SHAPE}))


def method_of(name: str) -> Any:
    return plugins.load("latentbench.methods", name).Method


def represented(method: Any, images: np.ndarray, material: Material) -> np.ndarray:
    if isinstance(method, Encodes):
        return method.encode(images)
    return np.asarray(method.place(images, material.dataset.train_pixels, method.embedding))


def test_every_method_that_params_may_name_is_here() -> None:
    assert OPTIONS.keys() == reductions.MODELS.keys()
    for name in plugins.names("latentbench.methods"):
        assert issubclass(method_of(name), FitsAtOnce) == (name in OPTIONS), name


@pytest.mark.parametrize("name", OPTIONS)
def test_it_comes_back_from_its_files_as_it_was(
    name: str, material: Material, images: np.ndarray, tmp_path: Path
) -> None:
    fitted = method_of(name).fit(material, **OPTIONS[name])
    arrays, description = fitted.kept()
    artifacts.write_model(tmp_path / "model", arrays, description)
    back = method_of(name).load(*artifacts.read_model(tmp_path / "model"))
    new = images[N : N + 40]
    found = represented(back, new, material)
    assert found.shape == (40, OPTIONS[name]["n_components"])
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert found.std(axis=0).min() > 0
    assert found.tobytes() == represented(fitted, new, material).tobytes()
    assert isinstance(back, Represents)
    assert isinstance(back, Encodes) != isinstance(back, Places)
    assert not isinstance(back, Decodes)


@pytest.mark.parametrize("name", OPTIONS)
def test_equal_seeds_give_equal_bytes_and_others_do_not(name: str, material: Material) -> None:
    fits = [
        method_of(name).fit(Material(material.dataset, seed, material.classifier), **OPTIONS[name])
        for seed in (5, 5, 6)
    ]
    first, second, other = (represented(fitted, material.dataset.train_images, material).tobytes() for fitted in fits)
    assert first == second
    assert (first == other) == (name in {"supervised", "tsne"}), "nothing is drawn there"


@pytest.mark.parametrize("name", ["kernel_pca", "patches", "random_projection", "supervised"])
def test_the_first_numbers_are_compared_as_many_as_networks_have(
    name: str, material: Material, images: np.ndarray
) -> None:
    fitted = method_of(name).fit(material, **OPTIONS[name])
    assert (fitted.n_compared(5), fitted.n_compared(64)) == (5, 12)
    np.testing.assert_allclose(fitted.encode(images[:30], 5), fitted.encode(images[:30])[:, :5], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["umap", "tsne"])
def test_a_map_has_a_size_of_its_own_and_keeps_train_images_where_they_were(name: str, material: Material) -> None:
    fitted = method_of(name).fit(material, **OPTIONS[name])
    assert fitted.n_compared(64) is None
    if name == "umap":
        placed = represented(fitted, material.dataset.train_images, material)
        np.testing.assert_allclose(placed, fitted.embedding, rtol=1e-6)


def test_a_random_projection_keeps_distances_as_the_lemma_says(material: Material) -> None:
    fitted = method_of("random_projection").fit(material, n_components=700)
    points = material.dataset.train_points[:60].astype(np.float64)
    products = fitted.encode(material.dataset.train_images[:60])
    np.testing.assert_allclose(products, points @ fitted.directions.T, atol=1e-4)
    differences = np.square(points[:30] - points[30:]).sum(axis=1)
    ratios = np.square(products[:30] - products[30:]).sum(axis=1) / differences
    # A square is one of a chi-squared variable with 700 degrees of freedom, over these: its deviation is sqrt(2 / 700).
    assert ratios.mean() == pytest.approx(1, abs=4 * (2 / 700) ** 0.5)
    assert 0.02 < ratios.std() < 0.1


def test_more_directions_than_pixels_are_cut(material: Material, capsys: pytest.CaptureFixture[str]) -> None:
    assert method_of("random_projection").fit(material, n_components=1000).n_compared(4096) == 784
    assert "1000 is cut to 784" in capsys.readouterr().err


def test_more_components_than_features_of_patches_are_cut(
    material: Material, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = method_of("patches").fit(material, n_components=100, n_filters=2, patch_size=3, n_cells=40)
    assert fitted.n_compared(4096) == 100, "no image has more cells than pixels"
    assert method_of("patches").fit(material, n_components=9, n_filters=2, patch_size=3, n_cells=2).n_compared(64) == 8
    assert "9 is cut to 8" in capsys.readouterr().err


def test_scores_of_patches_are_scikit_learns_components_of_their_features(material: Material) -> None:
    fitted = method_of("patches").fit(material, **OPTIONS["patches"])
    images = material.dataset.train_images
    features = fitted.features.of(images / np.float32(255))
    theirs = sklearn.decomposition.PCA(12, svd_solver="full").fit_transform(features)
    ours = fitted.encode(images)
    signs = np.sign((ours * theirs).sum(axis=0))
    np.testing.assert_allclose(ours, theirs * signs, atol=1e-4 * np.abs(theirs).max())


def test_kernel_pca_has_landmarks_and_bandwidth_of_train_images(material: Material) -> None:
    fitted = method_of("kernel_pca").fit(material, **OPTIONS["kernel_pca"]).fitted
    train = {point.tobytes() for point in material.dataset.train_points}
    assert len(fitted.landmarks) == 50
    assert all(point.tobytes() in train for point in fitted.landmarks)
    distances = np.linalg.norm(fitted.landmarks[:, None] - fitted.landmarks, axis=2)[np.triu_indices(50, 1)]
    assert fitted.bandwidth == pytest.approx(np.median(distances), rel=1e-5)


def test_the_supervised_row_is_pca_of_the_classifiers_features(
    material: Material, images: np.ndarray, network: Classifier
) -> None:
    fitted = method_of("supervised").fit(material, n_components=7)
    assert fitted.embedding.tobytes() == fitted.encode(images[:N]).tobytes()
    with torch.no_grad():
        train, new = (network.features(torch.tensor(part) / 255).numpy() for part in (images[:N], images[N : N + 30]))
    np.testing.assert_allclose(fitted.encode(images[N : N + 30]), PCA(7).fit(train).transform(new), atol=1e-4)


def test_without_labels_there_is_no_supervised_row(tmp_path: Path) -> None:
    artifacts.write_json(tmp_path / "dataset.json", {"classes": ["image"], "labelled": False})
    unlabelled = Material(Dataset(tmp_path), 5, ({}, {"features": "pca"}))
    assert method_of("supervised").fit(unlabelled, n_components=7) is None
    absent = method_of("absent").load({}, {"method": "absent"})
    assert not any(isinstance(absent, ability) for ability in (Represents, Encodes, Places, Decodes))


def test_weights_of_another_network_are_refused(material: Material) -> None:
    arrays, _ = method_of("supervised").fit(material, n_components=7).kept()
    with pytest.raises(WeightsError, match="do not fit Classifier"):
        method_of("supervised").load(arrays, {"network": {**SHAPE, "n_classes": 3}})
