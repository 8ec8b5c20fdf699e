"""The IDX format: a four-byte magic number, big-endian sizes, then bytes or four-byte integers in C order."""

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from latentbench.data.formats import base
from latentbench.data.formats.base import FormatError, Found, Wanted

OPTIONS = ("transposed", "first_label")  # for images on their side, and labels from 1, as in EMNIST's letters

_TYPES: dict[int, np.dtype] = {0x08: np.dtype(np.uint8), 0x0C: np.dtype(">i4")}
_MOST_AXES = 4
HEADER = 4 + 4 * _MOST_AXES


def parse_header(start: bytes) -> tuple[tuple[int, ...], int, np.dtype]:
    """Return the shape that a header declares, the header's own length in bytes, and the type of the numbers.

    Args:
        start: the first `HEADER` bytes of the file, or fewer if it is shorter.

    Raises:
        FormatError: the file is shorter than a header, is not an IDX file of bytes or integers with the axes of images
            or labels, is empty, or declares more than 4 GiB.
    """
    if len(start) < 4:
        raise FormatError(f"truncated: {len(start)} bytes are not a complete IDX header")
    zero, kind, axes = struct.unpack(">HBB", start[:4])
    if zero != 0 or kind not in _TYPES or not 1 <= axes <= _MOST_AXES:
        raise FormatError(
            f"the magic number is {start[:4].hex()}, not 000008 (bytes) or 00000c (integers) and 01 to 04 (axes)"
        )
    length = 4 + 4 * axes
    if len(start) < length:
        raise FormatError(f"truncated: {len(start)} bytes are not a complete IDX header ({length} bytes)")
    shape = struct.unpack(f">{axes}I", start[4:length])
    base.check_shape(shape, _TYPES[kind].itemsize)
    return shape, length, _TYPES[kind]


def announced(start: bytes) -> int:
    """Return the total number of bytes in a file that begins with these."""
    shape, length, dtype = parse_header(start)
    return length + int(np.prod(shape, dtype=object)) * dtype.itemsize


def load(path: Path) -> np.ndarray:
    """Memory-map an uncompressed IDX file, read-only; if labels have other columns, as in QMNIST, only the labels.

    Raises:
        FormatError: it cannot be read, is not such a file, or its length is not what its header declares.
    """
    array = base.mapped(path, parse_header, HEADER)
    return array[:, 0] if array.ndim == 2 else array


def read(files: Mapping[str, Path], wanted: Wanted) -> Found:
    """Read a dataset: `train_images`, `train_labels` and so on, one file each.

    Raises:
        FormatError: a file is not such an array, or a label is below the first.
    """
    transposed = wanted.option("transposed", False, lambda value: isinstance(value, bool), "true or false")
    first = wanted.option("first_label", 0, lambda value: value in (0, 1), "0 or 1")

    def array(path: Path) -> np.ndarray:
        found = load(path)
        if found.ndim > 1:
            return found.swapaxes(1, 2) if transposed else found
        if found.min() < first:
            raise FormatError(f"{path.name} has the label {found.min()}, but labels count from {first}")
        return found - np.asarray(first, found.dtype) if first else found

    return base.read_pairs(files, array)
