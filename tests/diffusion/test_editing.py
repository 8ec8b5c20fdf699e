"""Edits of images, by the ideal denoiser of Gaussian data."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentbench.core.errors import InputError
from latentbench.diffusion import editing, schedules
from latentbench.diffusion.denoising import Denoise
from latentbench.diffusion.samplers import base as samplers
from tests.diffusion import gaussian

PATH = schedules.make("karras").path(30, "rho")
# Two numbers each, strongly correlated: knowing one tells the other.
COVARIANCE = torch.tensor([[1.0, 0.9], [0.9, 1.0]])
PAIRS = gaussian.of_covariance(torch.zeros(2), COVARIANCE)


def generators(n: int, first: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(first + index) for index in range(n)]


def fill(
    denoise: Denoise,
    path: list[float],
    images: Tensor,
    known: Tensor,
    own: list[torch.Generator],
    repeats: int = 1,
) -> Tensor:
    y = samplers.start(own, images.shape[1:], path[0])
    return editing.inpaint(denoise, path, lambda x0: torch.where(known, images, x0), y, own, repeats)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.integers(1, 3))
def test_known_pixels_come_back_to_the_bit(seed: int, share: float, repeats: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values, chances = torch.rand(2, 2, 3, 4, 5, generator=generator)
    images, known = values * 2 - 1, chances < share
    path = schedules.make("karras").path(4, "rho")
    filled = fill(gaussian.denoise, path, images, known, generators(2), repeats)
    assert torch.equal(filled[known], images[known])
    assert torch.isfinite(filled).all()
    if not known.all():
        assert not torch.equal(filled[~known], images[~known])


def test_what_is_filled_in_agrees_with_what_is_known() -> None:
    known = torch.tensor([[True, False]]).expand(600, 2)
    images = torch.full((600, 2), 1.5)
    filled = fill(PAIRS, PATH, images, known, generators(600), 8)[:, 1]
    assert filled.mean().item() == pytest.approx(0.9 * 1.5, abs=0.12)  # E[b | a] and, below, Var[b | a]
    assert filled.var().item() == pytest.approx(1 - 0.9**2, abs=0.07)


def test_other_noise_fills_in_otherwise() -> None:
    images, known = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    first, second = (fill(gaussian.denoise, PATH, images, known, generators(1, seed)) for seed in (0, 1))
    assert (first - second).abs().mean() > 0.05


def test_the_more_noise_the_less_is_left_of_an_image() -> None:
    images = torch.full((500, 2), 2.0)
    kept = []
    for start in (0.2, 0.5, 1.0):
        path = schedules.make("karras").path(20, "rho", start)
        kept.append(editing.vary(PAIRS, path, images, generators(500)).mean().item())
    assert 2.0 > kept[0] > kept[1] > kept[2]
    assert kept[0] > 1.7
    assert abs(kept[2]) < 0.2


def test_inversion_finds_the_noise_that_an_image_is_made_of() -> None:
    y = samplers.start(generators(20), (2,), PATH[0])
    *_, made = samplers.sample(PAIRS, PATH, y, "heun")
    noise = editing.invert(PAIRS, PATH, made.y)
    torch.testing.assert_close(noise, y, rtol=0.03, atol=0.5)  # of a deviation of 80
    *_, again = samplers.sample(PAIRS, PATH, noise, "heun")
    torch.testing.assert_close(again.y, made.y, atol=0.02, rtol=0.02)


def test_blends_begin_and_end_with_the_images() -> None:
    first, second = torch.tensor([[1.0, 1.2]]), torch.tensor([[-0.5, -0.2]])
    noise = (editing.invert(PAIRS, PATH, images) for images in (first, second))
    between = editing.blend(PAIRS, PATH, *noise, [0.0, 0.5, 1.0])
    assert between.shape == (3, 1, 2)
    torch.testing.assert_close(between[0], first, atol=0.03, rtol=0)
    torch.testing.assert_close(between[2], second, atol=0.03, rtol=0)


def test_the_great_circle_keeps_the_length_of_noise() -> None:
    first, second = torch.randn(4, 1000), torch.randn(4, 1000)
    half = editing.spherical(first, second, 0.5)
    assert half.norm(dim=1).mean().item() == pytest.approx(1000**0.5, rel=0.05)
    straight = (first + second) / 2
    assert straight.norm(dim=1).mean().item() < 0.8 * 1000**0.5
    torch.testing.assert_close(editing.spherical(first, first, 0.3), first)


def ends(first: Tensor, second: Tensor) -> list[Tensor]:
    return [editing.spherical(first, second, share) for share in (0.0, 1.0)]


def test_the_ends_of_the_great_circle_are_the_points() -> None:
    first, second = torch.randn(3, 7), torch.randn(3, 7)
    assert torch.equal(ends(first, second)[0], first)
    assert torch.equal(ends(first, second)[1], second)


def test_one_generator_for_several_images_is_refused() -> None:
    """It would cover each with the same noise."""
    with pytest.raises(InputError, match="varying 4 images needs as many generators, not 1"):
        editing.vary(lambda y, _: y, [1.0, 0.0], torch.zeros(4, 1), [torch.Generator()])
