"""NumPy's format as raw data, against NumPy itself, and what is refused as such."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentbench.data import sources
from latentbench.data.formats import base as formats
from latentbench.data.formats import npy
from latentbench.data.formats.base import FormatError


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_a_dataset_in_this_format_is_fetched(images: np.ndarray, labels: np.ndarray, tmp_path: Path) -> None:
    place, raw = tmp_path / "place", tmp_path / "raw"
    place.mkdir()
    arrays = {
        "train-images": images[:30],
        "train-labels": labels[:30],
        "t10k-images": images[30:50],
        "t10k-labels": labels[30:50],
    }
    files = []
    for name, array in arrays.items():
        (place / f"{name}.npy").write_bytes(saved(array))
        files.append(sources.RawFile(name, f"{name}.npy", array.ndim, None))
    form = formats.of("npy")
    sources.fetch([sources.folder_source(place)], files, form, raw, 10)
    for name, array in arrays.items():
        np.testing.assert_array_equal(formats.read(form, raw / name, array.ndim), array)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((2, 3, 4), dtype=np.float32), "float32 in C order, not uint8"),
        (np.asfortranarray(np.zeros((2, 3, 4), dtype=np.uint8)), "Fortran order"),
        (np.zeros((2, 3), dtype=np.uint8), "2 axes, not 3"),
        (np.zeros((0, 3, 4), dtype=np.uint8), "empty array"),
    ],
)
def test_an_array_of_another_kind_is_refused(array: np.ndarray, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        npy.parse_header(saved(array), 3)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_the_wrong_length_is_refused(tmp_path: Path, change: int) -> None:
    path = tmp_path / "images"
    path.write_bytes(saved(np.zeros((2, 4, 5), dtype=np.uint8))[: 168 + change] + bytes(max(change, 0)))
    with pytest.raises(FormatError, match=f"has {168 + change} bytes, its header announces 168"):
        formats.read(npy, path, 3)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=140) | st.binary(max_size=130).map(b"\x93NUMPY\x01\x00\x76\x00".__add__))
def test_whatever_a_header_is_it_is_refused_or_small_enough(start: bytes) -> None:
    try:
        shape, length = npy.parse_header(start, 3)
    except FormatError:
        return
    assert length <= 128
    assert 0 < np.prod(shape, dtype=object) <= formats.MAX_BYTES
