"""The IDX format: a four-byte magic number, big-endian sizes, then unsigned bytes in C order."""

import struct

from latentbench.data.formats.base import FormatError, check_shape

_UNSIGNED_BYTE = 0x08


def header_length(n_axes: int) -> int:
    """Return the length of a header in bytes."""
    return 4 + 4 * n_axes


def parse_header(start: bytes, n_axes: int) -> tuple[tuple[int, ...], int]:
    """Return the shape that a header announces and the header's own length in bytes.

    Args:
        start: at least the first `4 + 4 * n_axes` bytes of the file.
        n_axes: 3 for images (count, height, width), 1 for labels (count).

    Raises:
        FormatError: the file is shorter than a header, is no IDX file of unsigned bytes with so many axes, is empty, or
            announces more than 4 GiB.
    """
    length = header_length(n_axes)
    if len(start) < length:
        raise FormatError(f"truncated: {len(start)} bytes are no whole IDX header ({length} bytes)")
    zero, kind, axes = struct.unpack(">HBB", start[:4])
    if zero != 0 or kind != _UNSIGNED_BYTE or axes != n_axes:
        expected = f"0000{_UNSIGNED_BYTE:02x}{n_axes:02x}"
        raise FormatError(f"the magic number is {start[:4].hex()}, not {expected}")
    shape = struct.unpack(f">{n_axes}I", start[4:length])
    check_shape(shape, n_axes)
    return shape, length
