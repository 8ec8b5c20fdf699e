"""The picture of the whole comparison."""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tools.lib import comparison
from tools.lib.comparison import Line


def drawn(lines: list[Line]) -> np.ndarray:
    """Return the picture of some lines, (height, width, 3) uint8."""
    canvas = FigureCanvasAgg(comparison.figure(lines))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def test_every_image_stands_in_its_place_and_what_a_row_cannot_do_stays_white(images: np.ndarray) -> None:
    rebuilt, new = images[:6] / 255.0, images[6:13] / 255.0
    picture = drawn([Line("real images", rebuilt, new), Line("a", None, new), Line("b", rebuilt, None)])
    found = [(row, column) for row in range(3) for column in range(2) if _shows(picture, row, column, (rebuilt, new))]
    assert found == [(0, 0), (0, 1), (1, 1), (2, 0)]
    tops = _places(picture)
    assert (picture[tops[1] : tops[1] + 56, 176 : 176 + 6 * 60] == 255).all()


def _places(picture: np.ndarray) -> list[int]:
    return [picture.shape[0] - 60 * (3 - row) for row in range(3)]


def _shows(picture: np.ndarray, row: int, column: int, blocks: tuple[np.ndarray, np.ndarray]) -> bool:
    """Tell whether all images of a block are where they should be, twice as large and dark on light."""
    left = (176, 176 + 6 * 60 + 132)[column]
    top = _places(picture)[row]
    for place, image in enumerate(blocks[column]):
        expected = 255.0 * (1.0 - image[0].repeat(2, axis=0).repeat(2, axis=1))
        shown = picture[top : top + 56, left + 60 * place : left + 60 * place + 56, 0].astype(float)
        if np.abs(shown - expected).max() > 2.0:
            return False
    return True


def test_numbers_are_told_in_few_words() -> None:
    assert comparison._told({"mse": 0.01036, "knn_accuracy": 0.8629, "dims": 64}) == "error 0.0104\nkNN 86.3%"
    assert comparison._told({"frechet": 15.43, "coverage": 0.884}) == "Fréchet 15\ncoverage 88%"
