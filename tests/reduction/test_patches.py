"""Features of patches, against patches that are cut out one by one, and against scikit-learn's k-means."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.feature_extraction.image import extract_patches_2d

from latentbench.core.errors import InputError
from latentbench.reduction import patches
from latentbench.reduction.patches import PatchFeatures


@pytest.fixture(scope="module")
def units(images: np.ndarray) -> np.ndarray:
    """Return 120 real images, (120, 1, 28, 28) float32 in [0, 1]."""
    return images[:120] / np.float32(255)


@pytest.fixture(scope="module")
def learned(units: np.ndarray) -> PatchFeatures:
    """Return 12 filters of 5x5 pixels, and a grid of 7x7 cells."""
    return PatchFeatures.learn(units, 12, 5, 7, np.random.default_rng(0))


def by_hand(features: PatchFeatures, image: np.ndarray) -> np.ndarray:
    """Return the features of one grey image (h, w), patch by patch, in float64."""
    k, _, size, _ = features.filters.shape
    height, width = image.shape
    padded = np.pad(image.astype(np.float64), size // 2)
    cut = extract_patches_2d(padded, (size, size)).reshape(height * width, size**2)  # row by row
    even = (cut - cut.mean(axis=1, keepdims=True)) / np.sqrt(cut.var(axis=1, ddof=1, keepdims=True) + 1e-4)
    answers = even @ features.filters.reshape(k, -1).T - features.offsets
    maps = np.maximum(answers - 0.5, 0.0).reshape(height, width, k)
    rows, columns = (np.array_split(np.arange(side), features.n_cells) for side in (height, width))
    means = [[maps[np.ix_(row, column)].mean(axis=(0, 1)) for column in columns] for row in rows]
    return np.sqrt(means).transpose(2, 0, 1)


def test_features_are_those_of_patches_cut_out_one_by_one(units: np.ndarray, learned: PatchFeatures) -> None:
    found = learned.of(units)
    assert found.shape == (120, learned.n_features) == (120, 12 * 49)
    assert found.dtype == np.float32
    for index in (0, 20, 119):  # in the first batch, at the start of another, and the last
        expected = by_hand(learned, units[index, 0]).ravel()
        np.testing.assert_allclose(found[index] ** 2, expected**2, atol=5e-5)  # roots near zero magnify rounding


def test_brightness_and_contrast_of_a_picture_count_for_little(units: np.ndarray, learned: PatchFeatures) -> None:
    plain, dimmed = learned.of(units), learned.of(0.5 * units)
    assert np.abs(plain - dimmed).mean() < 0.1 * plain.mean()


def test_answers_are_products_of_whitened_patches_with_directions_of_length_one(units: np.ndarray) -> None:
    few = units[:30]  # few enough for every patch to be learned from
    learned = PatchFeatures.learn(few, 12, 5, 7, np.random.default_rng(0))
    assert learned.filters.shape == (12, 1, 5, 5)
    np.testing.assert_allclose(learned.filters.sum(axis=(1, 2, 3)), 0.0, atol=1e-5)
    cut = patches._patches(few, 5)
    even = patches._even(cut[cut.var(dim=1) > 1e-4]).numpy().astype(np.float64)
    answers = even @ learned.filters.reshape(12, -1).T - learned.offsets
    np.testing.assert_allclose(answers.mean(axis=0), 0.0, atol=1e-4)  # whitening centres them
    values, vectors = np.linalg.eigh(np.cov(even.T))
    # Back through the whitening, a filter is its direction, but for the constant, which even patches lack.
    unwhiten = vectors * np.sqrt(values.clip(min=0) + 0.1) @ vectors.T
    constant = np.full(25, 0.2)
    directions = learned.filters.reshape(12, -1) @ unwhiten
    lengths = np.square(directions - np.outer(directions @ constant, constant)).sum(axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=0.02)


def test_centres_are_about_as_close_to_points_as_those_of_scikit_learns_k_means() -> None:
    generator = np.random.default_rng(1)
    points = generator.normal(size=(2000, 4)).astype(np.float32)
    points[:, :2] *= 3  # spread unevenly over the sphere
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    ours = patches._directions(torch.from_numpy(points), 10).numpy()
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1.0, rtol=1e-5)
    theirs = KMeans(10, n_init=5, random_state=0).fit(points).cluster_centers_
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    cosines = [(points @ centres.T).max(axis=1).mean() for centres in (ours, theirs)]
    start = (points @ points[:10].T).max(axis=1).mean()
    assert cosines[0] > start + 0.5 * (cosines[1] - start)
    assert cosines[0] > 0.97 * cosines[1]


def test_whitened_patches_have_little_correlation(units: np.ndarray) -> None:
    cut = patches._even(patches._patches(units, 5))
    cut = cut[cut.var(dim=1) > 0.5]
    values = np.linalg.eigvalsh(np.cov(cut.numpy().T))
    white = np.linalg.eigvalsh(np.cov((cut @ patches._whitening(cut)).numpy().T))
    np.testing.assert_allclose(white, values / (values + 0.1), atol=1e-3)


def test_images_in_colour_have_filters_over_all_channels(images: np.ndarray) -> None:
    colour = images[:90].reshape(30, 3, 28, 28) / np.float32(255)
    features = PatchFeatures.learn(colour, 6, 3, 4, np.random.default_rng(0))
    assert features.filters.shape == (6, 3, 3, 3)
    assert features.of(colour).shape == (30, 6 * 16)
    assert features.of(colour[:0]).shape == (0, 6 * 16)


def test_what_cannot_be_is_told(units: np.ndarray) -> None:
    generator = np.random.default_rng(0)
    with pytest.raises(InputError, match="no patch of these images varies"):
        PatchFeatures.learn(np.full((4, 1, 12, 12), 0.0, np.float32), 4, 5, 3, generator)
    for n_filters, size, n_cells in ((0, 5, 7), (4, 4, 7), (4, 1, 7), (4, 5, 0), (4, 5, 29)):
        with pytest.raises(InputError, match="1 to 28 cells"):
            PatchFeatures.learn(units, n_filters, size, n_cells, generator)
