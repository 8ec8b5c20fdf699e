"""The Fréchet distance: against torchmetrics, at known answers, and its interval against repetition."""

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from scipy.spatial.distance import cdist
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from latentbench.core.errors import InputError
from latentbench.evaluation import samples


class FirstPixels(nn.Module):
    """Features that are just pixels, so that both implementations see the same."""

    num_features = 12

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :12].double() / 255


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return samples.frechet_distance(samples.moments(a), samples.moments(b))


def test_distance_is_that_of_torchmetrics(images: np.ndarray) -> None:
    pixels = torch.tensor(images[:800, :, 10:14, 10:13])
    peer = FrechetInceptionDistance(feature=FirstPixels(), reset_real_features=True).set_dtype(torch.float64)
    peer.update(pixels[:400], real=True)
    peer.update(pixels[400:], real=False)
    features = FirstPixels()(pixels).numpy()
    assert distance(features[:400], features[400:]) == pytest.approx(peer.compute().item(), rel=1e-6)


def test_distance_between_gaussians_is_the_closed_form(rng: np.random.Generator) -> None:
    n = 200_000
    a = rng.normal(0.0, 1.0, (n, 2))
    b = rng.normal([3.0, 0.0], [2.0, 0.5], (n, 2))
    # 3^2 + (1 - 2)^2 + (1 - 0.5)^2
    assert distance(a, b) == pytest.approx(10.25, rel=0.01)


def test_distance_is_zero_for_equal_sets_and_symmetric(rng: np.random.Generator) -> None:
    a, b = rng.random((50, 5)), rng.random((60, 5)) * 2
    assert distance(a, a) == pytest.approx(0, abs=1e-9)
    # Rounding alone falls on either side of zero.
    assert min(distance(scale * x, scale * x[::-1]) for x in (a, b) for scale in 10.0 ** np.arange(6)) >= 0
    assert distance(a, b) == pytest.approx(distance(b, a))


def test_features_far_from_zero_are_told(rng: np.random.Generator) -> None:
    """The sums of their products would leave nothing of their variance: a distance of -105 in the place of 0.27."""
    a, b = rng.normal(size=(1000, 8)), 1.1 * rng.normal(size=(1000, 8)) + 0.1
    assert distance(a + 1e4, b + 1e4) == pytest.approx(distance(a, b), rel=1e-6)
    with pytest.raises(InputError, match="1e.08 times as far from zero .* subtract one vector"):
        distance(a + 1e8, b + 1e8)


def test_different_features_are_told(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="same features, not 5 and 6"):
        distance(rng.random((50, 5)), rng.random((50, 6)))
    with pytest.raises(InputError, match=r"same features, not \(5,\) and \(6,\)"):
        samples.kernel_estimate(rng.random((50, 5)), rng.random((50, 6)), 5, rng)


def test_features_that_never_change_are_harmless(rng: np.random.Generator) -> None:
    a, b = rng.random((50, 3)), rng.random((50, 3))
    constant = np.zeros((50, 2))
    assert distance(np.hstack([a, constant]), np.hstack([b, constant])) == pytest.approx(distance(a, b))


def test_rounding_does_not_show_where_features_are_redundant(rng: np.random.Generator) -> None:
    """In another order sums round differently; features of rank 40 in 128 dimensions make the most of that."""
    a, b = (rng.normal(size=(3000, 40)) @ rng.normal(size=(40, 128)) * 10 for _ in range(2))
    b = a + 0.01 * b
    expected = distance(a, b)
    for _ in range(5):
        assert distance(a[rng.permutation(3000)], b[rng.permutation(3000)]) == pytest.approx(expected, abs=1e-8)


def test_real_images_score_better_than_repeated_ones_and_these_than_noise(
    points: np.ndarray, rng: np.random.Generator
) -> None:
    features = points[:, 300:332]
    real, reference = features[:2000], features[2000:4000]
    repeated = np.repeat(real[:20], 100, axis=0)
    noise = rng.random(real.shape)
    assert 0 <= distance(real, reference) < distance(repeated, reference) < distance(noise, reference)


def test_interval_contains_its_estimate_and_covers_repetitions() -> None:
    rng = np.random.default_rng(0)
    shift = np.array([0.5, 0, 0, 0])
    estimates = [
        samples.frechet_estimate(rng.normal(size=(500, 4)), rng.normal(size=(500, 4)) + shift, 20, rng)
        for _ in range(60)
    ]
    middle = np.mean([estimate.value for estimate in estimates])
    assert all(estimate.low <= estimate.value <= estimate.high for estimate in estimates)
    covered = np.mean([estimate.low <= middle <= estimate.high for estimate in estimates])
    assert 0.85 <= covered <= 1.0
    spread = np.std([estimate.value for estimate in estimates])
    half_widths = np.mean([(estimate.high - estimate.low) / 2 for estimate in estimates])
    assert half_widths == pytest.approx(2.09 * spread, rel=0.35)


@pytest.mark.parametrize(("n", "m"), [(100, 99), (30, 30)])
def test_unequal_or_tiny_sets_are_refused(rng: np.random.Generator, n: int, m: int) -> None:
    with pytest.raises(ValueError, match=f"not {n} and {m}"):
        samples.frechet_estimate(rng.random((n, 3)), rng.random((m, 3)), 20, rng)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`")
def test_kernel_distance_is_that_of_torchmetrics(images: np.ndarray) -> None:
    pixels = torch.tensor(images[:800, :, 10:14, 10:13])
    peer = KernelInceptionDistance(feature=FirstPixels(), subsets=1, subset_size=400).set_dtype(torch.float64)
    peer.update(pixels[:400], real=True)
    peer.update(pixels[400:], real=False)
    features = FirstPixels()(pixels).numpy()
    found = samples.kernel_estimate(features[:400], features[400:], 20, np.random.default_rng(0))
    assert found.value == pytest.approx(peer.compute()[0].item(), rel=1e-6)


def test_density_and_coverage_are_those_of_prdc(points: np.ndarray) -> None:
    real, generated = points[:500], points[500:1000] * 1.1  # so many coordinates that no distances are equal
    expected = compute_prdc(real, generated, nearest_k=5)
    found = samples.density_and_coverage(real, generated, 5, 20, np.random.default_rng(0))
    assert found[0].value == pytest.approx(expected["density"], rel=1e-9)
    assert found[1].value == pytest.approx(expected["coverage"], rel=1e-9)


def test_density_does_not_depend_on_where_zero_is(points: np.ndarray) -> None:
    real, generated = (points[start : start + 500, 300:332].astype(np.float64) for start in (0, 500))
    near, far = (
        samples.density_and_coverage(real + shift, generated + shift, 5, 20, np.random.default_rng(0))
        for shift in (0.0, 1e8)
    )
    assert [score.value for score in far] == pytest.approx([score.value for score in near], abs=0.01)


def test_scores_at_known_answers(points: np.ndarray, rng: np.random.Generator) -> None:
    features = points[:, 300:332]
    real, other = features[:1000], features[1000:2000]
    noise, one = rng.random(real.shape), np.repeat(real[:1], 1000, axis=0)
    far = real + 100

    def scores(generated: np.ndarray) -> tuple[float, float, float]:
        generator = np.random.default_rng(0)
        kernel = samples.kernel_estimate(generated, real, 20, generator).value
        density, coverage = samples.density_and_coverage(real, generated, 5, 20, generator)
        return kernel, density.value, coverage.value

    kernel, density, coverage = scores(other)
    assert kernel == pytest.approx(0, abs=0.01)
    assert density == pytest.approx(1, abs=0.15)
    assert coverage > 0.9
    assert scores(noise)[0] > 10 * abs(kernel)
    assert scores(far)[1:] == (0, 0)
    assert scores(one)[2] < 0.05
    half = other[np.argsort(other[:, 0])[:500]].repeat(2, axis=0)
    assert coverage > scores(half)[2] > scores(one)[2]


def test_intervals_of_kernel_distance_and_coverage_fit_their_spread() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        a, b = rng.normal(size=(400, 3)), rng.normal([0.5, 0, 0], size=(400, 3))
        found.append((samples.kernel_estimate(a, b, 20, rng), samples.density_and_coverage(a, b, 5, 20, rng)[1]))
    for estimates in zip(*found, strict=True):
        middle = np.mean([estimate.value for estimate in estimates])
        covered = np.mean([estimate.low <= middle <= estimate.high for estimate in estimates])
        assert covered >= 0.8


def test_blur_is_not_sharp_and_noise_is_too_sharp(images: np.ndarray, rng: np.random.Generator) -> None:
    real = images[:300] / 255
    blurred = (real + np.roll(real, 1, axis=2) + np.roll(real, 1, axis=3)) / 3
    noisy = real + 0.2 * rng.normal(size=real.shape)
    mean = samples.sharpness(real).mean()
    assert samples.sharpness(blurred).mean() < 0.7 * mean
    assert samples.sharpness(noisy).mean() > 1.5 * mean
    others = samples.sharpness(images[300:600] / 255)
    estimate = samples.ratio_estimate(others, samples.sharpness(real), 20, rng)
    assert estimate.value == pytest.approx(others.mean() / mean)
    assert estimate.low < 1 < estimate.high


def test_the_interval_of_a_ratio_is_that_of_the_delta_method() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.gamma(4, 1, 2000), rng.gamma(9, 1, 2000)
    ratio = a.mean() / b.mean()
    error = ratio * np.sqrt(a.var() / a.mean() ** 2 + b.var() / b.mean() ** 2) / np.sqrt(2000)
    widths = []
    for _ in range(30):
        estimate = samples.ratio_estimate(a, b, 20, rng)
        assert estimate.value == pytest.approx(ratio)
        widths.append((estimate.high - estimate.low) / 2)
    assert np.mean(widths) == pytest.approx(2.093 * error, rel=0.1)  # Student's t on 19 degrees of freedom


def test_a_wave_has_its_power_at_its_frequency() -> None:
    wave = np.sin(2 * np.pi * 7 / 28 * np.arange(28))
    frequencies, powers = samples.power_spectra(np.tile(wave, (2, 1, 28, 1)))
    assert powers.shape == (2, len(frequencies))
    assert frequencies[powers[1].argmax()] == pytest.approx(7 / 28)


def test_the_spectrum_of_colour_is_the_mean_of_those_of_its_channels(images: np.ndarray) -> None:
    colour = images[:60].reshape(20, 3, 28, 28)[..., :20] / 255
    frequencies, powers = samples.power_spectra(colour)
    alone = [samples.power_spectra(colour[:, [channel]]) for channel in range(3)]
    for found, _ in alone:
        np.testing.assert_array_equal(found, frequencies)
    np.testing.assert_allclose(powers, np.mean([each for _, each in alone], axis=0), rtol=1e-12)
    sharp = [samples.sharpness(colour[:, [channel]]) for channel in range(3)]
    np.testing.assert_allclose(samples.sharpness(colour), np.mean(sharp, axis=0), rtol=1e-12)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_told(rng: np.random.Generator, wrong: float) -> None:
    features = rng.normal(size=(50, 3))
    features[[7, 9], 1] = wrong
    with pytest.raises(InputError, match="in 2 of 50 rows, first in row 7"):
        samples.moments(features)


def test_a_ball_without_a_radius_holds_nothing_however_distances_are_rounded(rng: np.random.Generator) -> None:
    copies = np.repeat(rng.normal(size=(20, 32)) * 10, 5, axis=0)  # each with more copies than neighbours are asked for
    real, generated = np.r_[copies, rng.normal(size=(60, 32))], np.r_[copies, rng.normal(size=(60, 32))]
    radii = np.sort(cdist(real, real), axis=1)[:, 3]
    assert (radii[:100] == 0).all()
    inside = cdist(real, generated) < radii[:, None]
    density, coverage = samples.density_and_coverage(real, generated, 3, 4, rng)
    assert density.value == pytest.approx(inside.sum() / (3 * len(real)))
    assert coverage.value == pytest.approx(inside.any(axis=1).mean())
