"""The background of images is what most of their border shows."""

import numpy as np
import pytest

from latentbench.data import background

SIDES = (np.s_[..., 0, :], np.s_[..., -1, :], np.s_[..., 0], np.s_[..., -1])


@pytest.mark.parametrize("level", [0, 51, 255])
def test_what_is_shown_does_not_count_even_where_it_reaches_the_border(level: int) -> None:
    images = np.full((10, 1, 8, 6), level, dtype=np.uint8)
    images[..., 1:-1, 1:-1] = 255 - level
    assert background.brightness(images) == level / 255
    images[:4] = 255 - level  # four of ten images are full
    assert background.brightness(images) == level / 255
    images[4:6] = 255 - level
    assert background.brightness(images) != level / 255


@pytest.mark.parametrize("place", SIDES)
def test_every_side_counts(place: tuple[slice | int, ...]) -> None:
    images = np.zeros((1, 1, 3, 3), dtype=np.uint8)
    for side in SIDES:
        images[side] = 200
    images[place] = 0  # three of eight pixels
    assert background.brightness(images) == 200 / 255
    images[..., 1, 1] = 255  # the middle is no border
    assert background.brightness(images) == 200 / 255


def test_the_real_images_are_on_black(images: np.ndarray) -> None:
    assert background.brightness(images) == 0
