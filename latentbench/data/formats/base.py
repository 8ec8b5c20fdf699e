"""What a format of raw data has to offer.

Each file beside this one is a format: it has the file's name, which `data.format` takes, and defines the functions of
`Format`. Its files hold one array of unsigned bytes: images (count, height, width) or labels (count).
"""

from pathlib import Path
from typing import Protocol, cast

import numpy as np

from latentbench import plugins
from latentbench.core.errors import LatentbenchError

# No image dataset of this kind is larger; a header that claims more is damaged or hostile.
MAX_BYTES = 4 * 2**30


class FormatError(LatentbenchError):
    """A file is not what its format and place say; the message tells why."""


class Format(Protocol):
    """The functions of a format's module."""

    def header_length(self, n_axes: int) -> int:
        """Return how many bytes of a file with so many axes are enough for `parse_header`."""

    def parse_header(self, start: bytes, n_axes: int) -> tuple[tuple[int, ...], int]:
        """Return the shape that a header announces and the header's own length in bytes.

        Args:
            start: the first `header_length(n_axes)` bytes of the file, or fewer where it is shorter.
            n_axes: 3 for images, 1 for labels.

        Raises:
            FormatError: it is no such header, or announces nothing or more than 4 GiB.
        """


def of(name: str) -> Format:
    """Return the format of that name.

    Raises:
        InputError: there is none.
    """
    return cast(Format, plugins.load("latentbench.data.formats", name))


def read(form: Format, path: Path, n_axes: int) -> np.ndarray:
    """Memory-map an uncompressed file of a format as uint8, read-only.

    Raises:
        FormatError: it cannot be read, is no such file, or its length is not what its header announces.
    """
    try:
        with path.open("rb") as file:
            shape, length = form.parse_header(file.read(form.header_length(n_axes)), n_axes)
        expected = length + int(np.prod(shape, dtype=object))
        if path.stat().st_size != expected:
            raise FormatError(f"{path} has {path.stat().st_size} bytes, its header announces {expected}")
        return np.memmap(path, dtype=np.uint8, mode="r", offset=length, shape=shape)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error}") from error


def check_shape(shape: tuple[int, ...], n_axes: int) -> None:
    """Refuse a shape that no dataset has.

    Raises:
        FormatError: it has another number of axes, or is that of nothing or of more than 4 GiB.
    """
    if len(shape) != n_axes:
        raise FormatError(f"the header announces {len(shape)} axes, not {n_axes}")
    if 0 in shape:
        raise FormatError(f"the header announces an empty array of shape {shape}")
    if np.prod(shape, dtype=object) > MAX_BYTES:
        raise FormatError(f"oversized: the header announces shape {shape}, more than {MAX_BYTES} bytes")
