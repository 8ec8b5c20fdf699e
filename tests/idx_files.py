"""Writes what the readers of IDX files are tested with."""

import struct

import numpy as np


def idx_bytes(array: np.ndarray) -> bytes:
    """Return an array of uint8 as an IDX file."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
