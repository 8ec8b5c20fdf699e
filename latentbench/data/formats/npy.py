"""NumPy's own format, as `numpy.save` writes arrays of uint8 in C order."""

import io
from tokenize import TokenError

import numpy as np

from latentbench.data.formats.base import FormatError, check_shape

_LENGTH = 128  # of the header that NumPy writes for any array of few axes: it fills up to a multiple of 64


def header_length(n_axes: int) -> int:  # noqa: ARG001
    """Return the length of a header in bytes."""
    return _LENGTH


def parse_header(start: bytes, n_axes: int) -> tuple[tuple[int, ...], int]:
    """Return the shape that a header announces and the header's own length in bytes.

    Args:
        start: at least the first 128 bytes of the file.
        n_axes: 3 for images (count, height, width), 1 for labels (count).

    Raises:
        FormatError: the file is shorter than a header, holds no unsigned bytes in C order with so many axes, is empty,
            or announces more than 4 GiB.
    """
    stream = io.BytesIO(start[:_LENGTH])
    try:
        if np.lib.format.read_magic(stream) != (1, 0):
            raise FormatError("the header is of another version of the format than 1.0: numpy.save writes that")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except (ValueError, TypeError, LookupError, EOFError, TokenError, SyntaxError, RecursionError) as error:
        raise FormatError(f"this is no header of a .npy file: {error}") from error
    if dtype != np.uint8 or fortran:
        raise FormatError(f"it holds {dtype} in {'Fortran' if fortran else 'C'} order, not uint8 in C order")
    check_shape(shape, n_axes)
    return shape, stream.tell()
