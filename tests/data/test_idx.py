"""The IDX format, and what is refused as such."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentbench.data.formats import base as formats
from latentbench.data.formats import idx
from latentbench.data.formats.base import FormatError


def test_the_real_images_are_there(images: np.ndarray, labels: np.ndarray) -> None:
    assert images.shape == (10_000, 1, 28, 28)
    assert images.dtype == np.uint8
    assert np.array_equal(np.bincount(labels), [1000] * 10)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"\x00\x00\x08", "truncated"),
        (struct.pack(">HBBIII", 0, 8, 5, 1, 1, 1), "magic number is 00000805, not 000008"),
        (struct.pack(">HBB", 0, 8, 3), "truncated"),
        (struct.pack(">HBBIII", 0, 9, 3, 1, 1, 1), "magic number"),
        (struct.pack(">HBBIII", 1, 8, 3, 1, 1, 1), "magic number"),
        (struct.pack(">HBBIII", 0, 8, 3, 0, 28, 28), "empty array"),
        (struct.pack(">HBBIII", 0, 8, 3, 2**31, 28, 28), "oversized"),
        (struct.pack(">HBBIII", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), "oversized"),
    ],
)
def test_a_wrong_header_is_refused(header: bytes, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        idx.parse_header(header)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_the_wrong_length_is_refused(tmp_path: Path, change: int) -> None:
    path = tmp_path / "images"
    path.write_bytes(struct.pack(">HBBIII", 0, 8, 3, 2, 4, 5) + bytes(40 + change))
    with pytest.raises(FormatError, match=f"has {56 + change} bytes, but its header declares 56"):
        idx.load(path)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=24) | st.binary(min_size=4, max_size=20).map(b"\0\0\x08".__add__))
def test_whatever_a_header_is_its_shape_is_what_it_says_or_it_is_refused(start: bytes) -> None:
    try:
        shape, length, dtype = idx.parse_header(start)
    except FormatError:
        return
    assert start[:length] == struct.pack(f">HBB{len(shape)}I", 0, {1: 8, 4: 12}[dtype.itemsize], len(shape), *shape)
    assert 0 < np.prod(shape, dtype=object) * dtype.itemsize <= formats.MAX_BYTES
