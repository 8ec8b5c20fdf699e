"""Lines of a label and numbered values, `7 1:-1 2:0.5 ...`, in LIBSVM's format, compressed with bzip2 or not."""

import bz2
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import numpy as np

from latentbench.data.formats import base
from latentbench.data.formats.base import FormatError, Found, Split, Wanted

OPTIONS = ("lowest", "highest", "first_label")  # the values of black and of white, and the first label

_LINES = 2000  # read at a time
_VALUE_BYTES = 40  # of a numbered value, at most


def read(files: Mapping[str, Path], wanted: Wanted) -> Found:
    """Read `train`, `test` and so on, one file each; the dataset's `size` gives the shape of the values in a line.

    Raises:
        FormatError: a line is malformed, has too many values, or has one that is out of range.
    """
    low, high = (
        wanted.option(name, default, _is_number, "a number") for name, default in (("lowest", 0), ("highest", 1))
    )
    first = wanted.option("first_label", 0, lambda value: value in (0, 1), "0 or 1")
    if not low < high:
        raise FormatError(f"options.lowest ({low}) must be below options.highest ({high})")
    if wanted.size is None:
        raise FormatError("numbered values do not give the height and width of images: set them in 'size'")
    shape = (wanted.channels or 1, *wanted.size)
    splits = {}
    for split, kinds in base.by_split(files, ("",)).items():
        parts = [part for path in kinds[""] for part in _read(path, shape, (low, high), first)]
        splits[split] = Split(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    return Found(splits)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _read(
    path: Path, shape: tuple[int, ...], limits: tuple[float, float], first_label: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield images (n, *shape) uint8 and labels (n,) int64, some lines at a time."""
    from sklearn.datasets import load_svmlight_file

    n_values, (low, high), done = int(np.prod(shape)), limits, 0
    try:
        with _opened(path) as file:
            while lines := _some_lines(file, n_values, path):
                values, labels = load_svmlight_file(
                    io.BytesIO(b"".join(lines)), n_features=n_values, dtype=np.float64, zero_based=False
                )
                pixels = (values.toarray() - low) * (255.0 / (high - low))
                if not ((pixels > -0.5) & (pixels < 255.5)).all():
                    raise FormatError(f"{path.name}: a value after line {done} is not between {low} and {high}")
                if not ((labels >= first_label) & (labels == np.floor(labels)) & (labels <= base.MAX_LABEL + 1)).all():
                    raise FormatError(
                        f"{path.name}: a label after line {done} is not a whole number from {first_label}"
                    )
                yield np.rint(pixels).astype(np.uint8).reshape(-1, *shape), labels.astype(np.int64) - first_label
                done += len(labels)
    except FormatError:
        raise
    except (OSError, EOFError, ValueError, OverflowError, MemoryError) as error:
        raise FormatError(f"{path.name}: after line {done}, these are not lines of numbered values: {error}") from error
    if not done:
        raise FormatError(f"{path.name} has no lines")


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        is_packed = file.read(3) == b"BZh"
    return bz2.open(path) if is_packed else path.open("rb")


def _some_lines(file: IO[bytes], n_values: int, path: Path) -> list[bytes]:
    """Return the next lines; none at the end. A compressed line may be of any length, so it is not read to its end."""
    longest = _VALUE_BYTES * (n_values + 1)
    lines: list[bytes] = []
    while len(lines) < _LINES and (line := file.readline(longest + 1)):
        if len(line) > longest:
            raise FormatError(f"{path.name} has a line of more than {longest} bytes, for {n_values} values")
        lines.append(line)
    return lines
