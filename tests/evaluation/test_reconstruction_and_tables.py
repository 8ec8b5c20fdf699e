"""Reconstruction errors and the tables for people."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import mean_squared_error
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from latentbench.core.errors import InputError
from latentbench.evaluation import reconstruction, tables


def test_error_is_scikit_learns_and_zero_for_the_original(images: np.ndarray, rng: np.random.Generator) -> None:
    some = images[:2500]
    guess = rng.random(some.shape)
    expected = mean_squared_error(some.ravel() / 255, guess.ravel())
    assert reconstruction.mean_squared_error(some, guess) == pytest.approx(expected)
    assert reconstruction.mean_squared_error(some, some / 255) == 0


def noisy(images: np.ndarray, rng: np.random.Generator, amount: float) -> np.ndarray:
    return (images / 255 + amount * rng.standard_normal(images.shape)).clip(0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_is_torchmetrics_for_each_image_then_averaged(
    images: np.ndarray, rng: np.random.Generator, channels: int
) -> None:
    some = images[: 2100 * channels].reshape(2100, channels, 28, 28)
    guess = noisy(some, rng, 0.1)
    guess[0] = 0.5  # an image that is far worse tells the mean over images from that over pixels
    expected = peak_signal_noise_ratio(
        torch.tensor(guess), torch.tensor(some / 255), data_range=1.0, dim=(1, 2, 3), reduction="elementwise_mean"
    )
    assert reconstruction.psnr(some, guess).mean() == pytest.approx(expected.item())


def test_psnr_by_hand() -> None:
    images = np.zeros((2, 1, 3, 3), dtype=np.uint8)
    guess = np.stack([np.full((1, 3, 3), 0.1), np.full((1, 3, 3), 0.01)])
    assert reconstruction.psnr(images, guess).tolist() == pytest.approx([20, 40])
    perfect = reconstruction.psnr(images, np.zeros((2, 1, 3, 3))).mean()
    assert perfect == pytest.approx(10 * np.log10(12 * 255**2))
    # What rounding does to grey values is just that.
    grey = np.random.default_rng(1).uniform(size=(20, 1, 50, 50))
    assert reconstruction.psnr((255 * grey).round().astype(np.uint8), grey).mean() == pytest.approx(perfect, abs=0.1)


def torchmetrics_ssim(images: np.ndarray, guess: np.ndarray) -> float:
    """Return the mean over windows wholly within the images; torchmetrics' own mean counts reflected borders too."""
    pair = (torch.tensor(guess), torch.tensor(images / 255))
    _, maps = structural_similarity_index_measure(*pair, data_range=1.0, return_full_image=True)
    return torch.as_tensor(maps)[..., 5:-5, 5:-5].mean().item()


def test_ssim_is_torchmetrics(images: np.ndarray, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruction, "_BLOCK", 30)
    colour = images[:240].reshape(80, 3, 28, 28)
    for some in (images[:80], images[:50, :, 3:23, 7:20], images[:50, :, 4:15, :11], colour, colour[..., 3:23, 7:20]):
        guess = noisy(some, rng, 0.1)
        assert reconstruction.ssim(some, guess).mean() == pytest.approx(torchmetrics_ssim(some, guess), rel=1e-9)


def test_ssim_at_equal_inverted_and_unrelated_images(images: np.ndarray) -> None:
    some = images[:300]
    assert reconstruction.ssim(some, some / 255).mean() == pytest.approx(1, abs=1e-12)
    assert reconstruction.ssim(some, 1 - some / 255).mean() < 0
    assert reconstruction.ssim(some, images[300:600] / 255).mean() < 0.5


def test_ssim_falls_with_noise_and_sees_structure_that_the_error_does_not(
    images: np.ndarray, rng: np.random.Generator
) -> None:
    some = images[:200]
    found = [reconstruction.ssim(some, noisy(some, rng, amount)).mean() for amount in (0.01, 0.05, 0.2)]
    assert found == sorted(found, reverse=True)
    white = np.full((20, 1, 16, 16), 200, dtype=np.uint8)
    shifted = np.full(white.shape, 200 / 255 - 0.1)
    scattered = 200 / 255 + 0.1 * rng.choice([-1.0, 1.0], size=white.shape)
    assert reconstruction.mean_squared_error(white, shifted) == pytest.approx(
        reconstruction.mean_squared_error(white, scattered)
    )
    assert reconstruction.ssim(white, shifted).mean() > 0.95
    assert reconstruction.ssim(white, scattered).mean() < 0.2


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("score", [reconstruction.squared_errors, reconstruction.psnr, reconstruction.ssim])
def test_each_image_has_its_own_score_whatever_the_block(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    channels: int,
    images: np.ndarray,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = images[: 7 * channels].reshape(7, channels, 28, 28)
    guess = np.stack([noisy(some[i : i + 1], rng, 0.02 * (i + 1))[0] for i in range(7)])
    monkeypatch.setattr(reconstruction, "_BLOCK", 3)
    singly = [score(some[i : i + 1], guess[i : i + 1]).item() for i in range(7)]
    assert score(some, guess).tolist() == pytest.approx(singly, rel=1e-12)
    assert len(set(singly)) == 7


@pytest.mark.parametrize(("height", "width"), [(5, 5), (6, 11), (1, 1), (2, 30)])
def test_images_smaller_than_the_window_have_a_smaller_one(
    height: int, width: int, images: np.ndarray, rng: np.random.Generator
) -> None:
    some = images[:40, :, 10 : 10 + height][..., np.arange(width) % 28]
    assert reconstruction.ssim(some, some / 255).mean() == pytest.approx(1, abs=1e-12)
    assert -1 <= reconstruction.ssim(some, rng.random(some.shape)).mean() < 0.9


def test_ssim_of_a_single_window_by_its_definition(images: np.ndarray, rng: np.random.Generator) -> None:
    """Five rows and columns are one window: weighted moments over all pixels."""
    x, y = images[7, 0, 10:15, 10:15] / 255, rng.random((5, 5))
    offsets = np.arange(-2, 3)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    weights /= weights.sum()
    mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
    var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
    cov = (weights * (x - mean_x) * (y - mean_y)).sum()
    expected = (2 * mean_x * mean_y + 1e-4) * (2 * cov + 9e-4)
    expected /= (mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4)
    found = reconstruction.ssim(images[7:8, :, 10:15, 10:15], y[None, None])
    assert found.mean() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("score", [reconstruction.mean_squared_error, reconstruction.psnr, reconstruction.ssim])
def test_shapes_must_agree(score: Callable[[np.ndarray, np.ndarray], float]) -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        score(np.zeros((2, 1, 3, 3), dtype=np.uint8), np.zeros((2, 9)))


@pytest.mark.parametrize("score", [reconstruction.mean_squared_error, reconstruction.psnr, reconstruction.ssim])
def test_images_on_another_scale_are_told(images: np.ndarray, score: Callable[[np.ndarray, np.ndarray], float]) -> None:
    some = images[:2]
    with pytest.raises(InputError, match="not uint8 and uint8"):
        score(some, some)
    with pytest.raises(InputError, match="not float64 and float64"):
        score(some / 255, some / 255)


def test_a_value_shares_its_cell_with_its_interval() -> None:
    table = pd.DataFrame(
        {"row": ["raw", "pca"], "dims": [784.0, 64.0], "a": [0.85551, 0.5], "a_lo": [0.8, 0.4], "a_hi": [0.9, 0.6]}
    ).assign(mse=[float("nan"), 0.0123456])
    assert tables.markdown(table) == (
        "| row | dims | a | mse |\n|---|---|---|---|\n"
        "| raw | 784 | 0.8555 (0.8 to 0.9) |  |\n| pca | 64 | 0.5 (0.4 to 0.6) | 0.01235 |\n"
    )


def test_what_is_kept_of_pixels_is_a_table_of_its_own() -> None:
    table = pd.DataFrame({"row": ["raw", "pca"], "dims": [784, 64], "stress": [None, 0.2], "stress_lo": [None, 0.1]})
    table = table.assign(stress_hi=[None, 0.3], mse=[None, 0.5], spearman=[None, 0.9])
    assert tables.markdown(table) == (
        "| row | dims | mse |\n|---|---|---|\n| raw | 784 |  |\n| pca | 64 | 0.5 |\n"
        "\n| row | stress | spearman |\n|---|---|---|\n| pca | 0.2 (0.1 to 0.3) | 0.9 |\n"
    )
