"""The background of images is what most of their border shows."""

import numpy as np
import pytest

from latentbench.data import background


@pytest.mark.parametrize("level", [0, 51, 255])
def test_what_is_shown_does_not_count_even_where_it_reaches_the_border(level: int) -> None:
    images = np.full((10, 8, 6), level, dtype=np.uint8)
    images[:, 1:-1, 1:-1] = 255 - level
    assert background.brightness(images) == level / 255
    images[:4] = 255 - level  # four of ten images are full
    assert background.brightness(images) == level / 255
    images[4:6] = 255 - level
    assert background.brightness(images) != level / 255


@pytest.mark.parametrize("place", [np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]])
def test_every_side_counts(place: tuple[slice, ...]) -> None:
    images = np.zeros((1, 3, 3), dtype=np.uint8)
    for side in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        images[side] = 200
    images[place] = 0  # three of eight pixels
    assert background.brightness(images) == 200 / 255
    images[:, 1, 1] = 255  # the middle is no border
    assert background.brightness(images) == 200 / 255


def test_the_real_images_are_on_black(images: np.ndarray) -> None:
    assert background.brightness(images) == 0
