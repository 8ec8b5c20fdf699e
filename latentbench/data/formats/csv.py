"""Lines of a label and pixels, as in Kaggle's MNIST."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from latentbench.data.formats import base
from latentbench.data.formats.base import FormatError, Found, Split, Wanted

OPTIONS = ("label", "highest")  # where the label is: first, last or none; and the value of white

_LINES = 5000  # read at a time


def read(files: Mapping[str, Path], wanted: Wanted) -> Found:
    """Read `train`, `test` and so on, one file each; the dataset's `size` gives the shape of the pixels in a line.

    Raises:
        FormatError: a line has the wrong number of values, or one that is not a whole number in range.
    """
    label = wanted.option("label", "first", lambda value: value in ("first", "last", "none"), "first, last or none")
    highest = wanted.option("highest", 255, lambda value: isinstance(value, int) and 1 <= value <= 255, "1 to 255")
    if wanted.size is None:
        raise FormatError("a table of pixels does not give the height and width of images: set them in 'size'")
    shape = (wanted.channels or 1, *wanted.size)
    splits = {}
    for split, kinds in base.by_split(files, ("",)).items():
        parts = [_read(path, shape, label, highest) for path in kinds[""]]
        images = np.concatenate([images for images, _ in parts])
        splits[split] = Split(images, None if label == "none" else np.concatenate([labels for _, labels in parts]))
    return Found(splits)


def _read(path: Path, shape: tuple[int, ...], label: str, highest: int) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    n_pixels = int(np.prod(shape))
    n_columns = n_pixels + (label != "none")
    images: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            start = file.readline(100 * n_columns)
        cells = start.rstrip("\n").split(",")
        header = None if _is_number(cells[-1 if label == "last" else 0]) else 0
        with pd.read_csv(path, header=header, chunksize=_LINES, dtype=np.float64) as blocks:
            for block in blocks:
                values = block.to_numpy()
                if values.shape[1] != n_columns:
                    raise FormatError(
                        f"{path.name} has {values.shape[1]} values in a line, not {n_columns}: "
                        f"{' x '.join(map(str, shape))} pixels{'' if label == 'none' else ' and a label'}"
                    )
                pixels = values if label == "none" else values[:, 1:] if label == "first" else values[:, :-1]
                numbers = values[:, 0 if label == "first" else -1] if label != "none" else np.zeros(len(values))
                _check_whole(path, len(labels) * _LINES, pixels, highest, "pixels")
                _check_whole(path, len(labels) * _LINES, numbers[:, None], base.MAX_LABEL, "labels")
                images.append(np.rint(pixels * (255 / highest)).astype(np.uint8).reshape(-1, *shape))
                labels.append(numbers.astype(np.int64))
    except FormatError:
        raise
    except (OSError, ValueError, OverflowError, MemoryError) as error:
        raise FormatError(f"{path.name} is not a table of numbers: {error}") from error
    if not sum(map(len, images)):
        raise FormatError(f"{path.name} has no lines")
    return np.concatenate(images), np.concatenate(labels)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_whole(path: Path, first: int, values: np.ndarray, highest: int, what: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # from comparing NaN
        wrong = ~((values >= 0) & (values <= highest) & (values == np.floor(values))).all(axis=1)
    if wrong.any():
        line = first + int(wrong.argmax()) + 1
        raise FormatError(f"{path.name}: the {what} of image {line} are not whole numbers from 0 to {highest}")
