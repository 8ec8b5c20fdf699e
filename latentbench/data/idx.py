"""The IDX format: a four-byte magic number, big-endian sizes, then unsigned bytes in C order."""

import math
import struct
from pathlib import Path

import numpy as np

from latentbench.errors import LatentbenchError

_UNSIGNED_BYTE = 0x08
# No image dataset of this kind is larger; a header that claims more is damaged or hostile.
MAX_BYTES = 4 * 2**30


class IdxError(LatentbenchError):
    """A file is not the IDX file that it should be."""


def parse_header(start: bytes, n_axes: int) -> tuple[tuple[int, ...], int]:
    """Return the shape that a header announces and the header's own length in bytes.

    Args:
        start: at least the first `4 + 4 * n_axes` bytes of the file.
        n_axes: 3 for images (count, height, width), 1 for labels (count).

    Raises:
        IdxError: the file is shorter than a header, is no IDX file of unsigned bytes with so many axes, is empty, or
            announces more than 4 GiB.
    """
    length = 4 + 4 * n_axes
    if len(start) < length:
        raise IdxError(f"truncated: {len(start)} bytes are no whole IDX header ({length} bytes)")
    zero, kind, axes = struct.unpack(">HBB", start[:4])
    if zero != 0 or kind != _UNSIGNED_BYTE or axes != n_axes:
        expected = f"0000{_UNSIGNED_BYTE:02x}{n_axes:02x}"
        raise IdxError(f"the magic number is {start[:4].hex()}, not {expected}")
    shape = struct.unpack(f">{n_axes}I", start[4:length])
    if 0 in shape:
        raise IdxError(f"the header announces an empty array of shape {shape}")
    if math.prod(shape) > MAX_BYTES:
        raise IdxError(f"oversized: the header announces shape {shape}, more than {MAX_BYTES} bytes")
    return shape, length


def read(path: Path, n_axes: int) -> np.ndarray:
    """Memory-map an uncompressed IDX file as uint8, read-only.

    Raises:
        IdxError: it cannot be read, is no such file, or its length is not what its header announces.
    """
    try:
        with path.open("rb") as file:
            shape, length = parse_header(file.read(4 + 4 * n_axes), n_axes)
        expected = length + math.prod(shape)
        if path.stat().st_size != expected:
            raise IdxError(f"{path} has {path.stat().st_size} bytes, its header announces {expected}")
        return np.memmap(path, dtype=np.uint8, mode="r", offset=length, shape=shape)
    except OSError as error:
        raise IdxError(f"cannot read {path}: {error}") from error
