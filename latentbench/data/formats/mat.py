"""MATLAB files like SVHN's: X (height, width, channels, n) uint8 and y from 1 to 10, where 10 stands for 0."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from latentbench.data.formats import base
from latentbench.data.formats.base import FormatError, Found, Split, Wanted

OPTIONS = ("images", "labels")  # names of the variables


def read(files: Mapping[str, Path], wanted: Wanted) -> Found:
    """Read `train`, `test` and so on, one file each.

    Raises:
        FormatError: a file is not a MATLAB file of version 4 to 7.2, or lacks these variables.
    """
    names = [
        wanted.option(kind, default, lambda value: isinstance(value, str), "the name of a variable")
        for kind, default in (("images", "X"), ("labels", "y"))
    ]
    splits = {}
    for split, kinds in base.by_split(files, ("",)).items():
        parts = [_read(path, *names) for path in kinds[""]]
        splits[split] = Split(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))
    return Found(splits)


def _read(path: Path, images: str, labels: str) -> tuple[np.ndarray, np.ndarray]:
    from scipy import io

    try:
        if path.stat().st_size > base.MAX_BYTES:
            raise FormatError(f"oversized: {path.name} has {path.stat().st_size} bytes")
        there = {name: (shape, kind) for name, shape, kind in io.whosmat(str(path))}
        for name in (images, labels):
            if name not in there:
                raise FormatError(f"{path.name} has no variable {name!r}; it has {', '.join(sorted(there)) or 'none'}")
            if np.prod(there[name][0], dtype=object) > base.MAX_BYTES:
                raise FormatError(f"oversized: {name} in {path.name} is {there[name][0]}")
        found = io.loadmat(str(path), variable_names=[images, labels], squeeze_me=False)
        pixels, numbers = np.asarray(found[images]), np.asarray(found[labels]).ravel()
    except FormatError:
        raise
    except Exception as error:  # SciPy's reader raises whatever a damaged file leads to
        raise FormatError(f"{path.name} is not a complete MATLAB file: {type(error).__name__}: {error}") from error
    if pixels.ndim != 4 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise FormatError(f"{images} in {path.name} must be (height, width, channels, n) uint8, not {pixels.shape}")
    if numbers.dtype.kind not in "ui" or len(numbers) != pixels.shape[3] or numbers.min(initial=0) < 0:
        raise FormatError(f"{labels} in {path.name} must be a whole number from 0 for each image")
    labels_from_0 = np.where(numbers == 10, 0, numbers) if numbers.min() == 1 and numbers.max() == 10 else numbers
    return np.ascontiguousarray(pixels.transpose(3, 2, 0, 1)), labels_from_0.astype(np.int64)
