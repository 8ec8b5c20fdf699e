"""NumPy's formats as raw data, against NumPy itself, and what is refused as such."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentbench.data.formats import base, npy
from latentbench.data.formats.base import FormatError, Wanted


def wanted(room: Path, **options: Any) -> Wanted:
    return Wanted(None, None, "crop", 0, options, room)


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((2, 3, 4), dtype=np.complex64), "complex64 in C order, not numbers"),
        (np.asfortranarray(np.zeros((2, 3, 4), dtype=np.uint8)), "Fortran order"),
        (np.zeros((2, 3, 4, 5, 6), dtype=np.uint8), "5 axes; images have 3 or 4"),
        (np.zeros((0, 3, 4), dtype=np.uint8), "empty array"),
    ],
)
def test_an_array_of_another_kind_is_refused(array: np.ndarray, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        npy.parse_header(saved(array))


def test_an_array_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "images"
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }".ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    with pytest.raises(FormatError, match=r"object in C order"):
        npy.load(path, tmp_path)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_the_wrong_length_is_refused(tmp_path: Path, change: int) -> None:
    path = tmp_path / "images"
    path.write_bytes(saved(np.zeros((2, 4, 5), dtype=np.uint8))[: 168 + change] + bytes(max(change, 0)))
    with pytest.raises(FormatError, match=f"has {168 + change} bytes, but its header declares 168"):
        npy.load(path, tmp_path)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float64])
def test_bytes_and_floats_up_to_one_give_the_same_images(images: np.ndarray, tmp_path: Path, dtype: type) -> None:
    some = images[:20, 0]
    path = tmp_path / "images"
    path.write_bytes(saved(some.astype(dtype) / 255 if np.issubdtype(dtype, np.floating) else some.astype(dtype)))
    found = npy.load(path, tmp_path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, some)


@pytest.mark.parametrize(("value", "says"), [(1.01, "between 0 and 1"), (-0.1, "from -0.1"), (np.nan, "nan")])
def test_floats_of_another_scale_are_refused(tmp_path: Path, value: float, says: str) -> None:
    array = np.full((3, 8, 8), 0.5)
    array[1, 2, 3] = value
    path = tmp_path / "images"
    path.write_bytes(saved(array))
    with pytest.raises(FormatError, match=says):
        npy.load(path, tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        {"train_images": "x_train", "train_labels": "y_train", "test_images": "x_test", "test_labels": "y_test"},
        {
            "train_images": "train_images",
            "train_labels": "train_labels",
            "validation_images": "val_images",
            "validation_labels": "val_labels",
            "test_images": "test_images",
            "test_labels": "test_labels",
        },
    ],
    ids=["keras", "medmnist"],
)
@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_is_read_by_the_names_in_use(
    images: np.ndarray, labels: np.ndarray, tmp_path: Path, names: dict[str, str], packed: bool
) -> None:
    rows = {"train": slice(0, 30), "validation": slice(30, 40), "test": slice(40, 60)}
    arrays = {}
    for role, name in names.items():
        split, kind = role.split("_")
        # MedMNIST has its labels as a column.
        arrays[name] = images[rows[split], 0] if kind == "images" else labels[rows[split], None]
    path = tmp_path / "archive"
    with path.open("wb") as file:
        (np.savez_compressed if packed else np.savez)(file, **arrays)
    room = tmp_path / "room"
    room.mkdir()
    found = npy.read({"archive": path}, wanted(room))
    assert set(found.splits) == {role.split("_")[0] for role in names}
    for split, each in found.splits.items():
        np.testing.assert_array_equal(each.images, images[rows[split]])
        np.testing.assert_array_equal(each.labels, labels[rows[split]])


def test_an_archive_of_other_names_needs_them_told(images: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    with path.open("wb") as file:
        np.savez(file, pixels=images[:5], other=images[:2])
    with pytest.raises(FormatError, match=r"holds other, pixels: set options\.arrays"):
        npy.read({"archive": path}, wanted(tmp_path))
    found = npy.read({"archive": path}, wanted(tmp_path, arrays={"train_images": "pixels"}))
    np.testing.assert_array_equal(found.splits["train"].images, images[:5])
    assert found.splits["train"].labels is None
    with pytest.raises(FormatError, match="has no array 'lost'"):
        npy.read({"archive": path}, wanted(tmp_path, arrays={"train_images": "pixels", "test_images": "lost"}))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=140) | st.binary(max_size=130).map(b"\x93NUMPY\x01\x00\x76\x00".__add__))
def test_whatever_a_header_is_it_is_refused_or_small_enough(start: bytes) -> None:
    try:
        shape, length, dtype = npy.parse_header(start)
    except FormatError:
        return
    assert length <= 4096
    assert re.match(r"[uif]", dtype.kind)
    assert 0 < np.prod(shape, dtype=object) * dtype.itemsize <= base.MAX_BYTES
