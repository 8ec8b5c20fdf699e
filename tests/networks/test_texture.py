"""Texture energies against their definition, and what they do and do not see."""

import numpy as np
import torch
from scipy import ndimage

from latentbench.networks import texture

L3, E3, S3 = np.array([1.0, 2.0, 1.0]), np.array([-1.0, 0.0, 1.0]), np.array([-1.0, 2.0, -1.0])


def test_energies_are_laws(rng: np.random.Generator) -> None:
    images = rng.random((3, 1, 14, 12))
    ours = texture.energies(torch.tensor(images)).numpy()
    for kind, (down, across) in enumerate([(S3, S3), (S3, L3), (L3, S3), (E3, E3), (S3, E3), (E3, S3)]):
        mask = np.outer(down, across) / (np.linalg.norm(down) * np.linalg.norm(across))
        for image, measured in zip(images[:, 0], ours[:, kind], strict=True):
            answers = ndimage.correlate(image, mask, mode="constant")
            padded = np.pad(answers**2, 1)
            windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4))[::2, ::2]
            np.testing.assert_allclose(measured, np.sqrt(windows.mean(axis=(2, 3)) + 1e-4), rtol=1e-6)


def test_each_channel_of_colour_has_the_energies_that_it_has_alone() -> None:
    images, originals = torch.rand(2, 4, 3, 14, 12).double()
    both = texture.energies(images)
    assert both.shape == (4, 18, 7, 6)
    for channel, energies in enumerate(both.split(6, dim=1)):
        torch.testing.assert_close(energies, texture.energies(images[:, [channel]]))
    alone = [texture.loss(images[:, [channel]], originals[:, [channel]]) for channel in range(3)]
    torch.testing.assert_close(texture.loss(images, originals), torch.stack(alone).mean())


def test_flat_and_sloping_areas_have_no_detail() -> None:
    down, across = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    sloping = (0.3 + 0.02 * down - 0.01 * across)[None, None].double()
    inside = texture.energies(sloping)[:, :, 2:-2, 2:-2]
    torch.testing.assert_close(inside, torch.full_like(inside, 0.01))


def test_only_how_much_detail_there_is_counts() -> None:
    stripes = (torch.arange(16) % 2).float().expand(1, 1, 16, 16)
    moved, flat = 1.0 - stripes, torch.full((1, 1, 16, 16), 0.5)
    assert torch.nn.functional.mse_loss(moved, stripes) == 1.0 > torch.nn.functional.mse_loss(flat, stripes)
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(texture.energies(moved)[inside], texture.energies(stripes)[inside])
    assert texture.loss(moved, stripes) < 0.1 * texture.loss(flat, stripes)
