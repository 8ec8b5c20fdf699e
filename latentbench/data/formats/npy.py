"""NumPy's own formats: one array per `.npy` file, or several by name in one `.npz`."""

import io
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError

import numpy as np

from latentbench.core import artifacts
from latentbench.data.formats import base
from latentbench.data.formats.base import FormatError, Found, Wanted

OPTIONS = ("arrays",)  # for an .npz: the name of each array by its role, such as {train_images: x}

# An .npz names its arrays as Keras does, or as MedMNIST does.
_NAMES = (
    {"train_images": "x_train", "train_labels": "y_train", "test_images": "x_test", "test_labels": "y_test"},
    {
        f"{split}_{kind}": f"{short}_{kind}"
        for split, short in (("train", "train"), ("validation", "val"), ("test", "test"))
        for kind in ("images", "labels")
    },
)
_MOST_HEADER = 4096  # bytes; with few axes, a header has 128
_BLOCK = 4096  # images that are converted at a time


def read(files: Mapping[str, Path], wanted: Wanted) -> Found:
    """Read a dataset: one file per array, or `archive` for all.

    Raises:
        FormatError: a file is damaged, or does not hold such arrays.
    """
    if set(files) == {"archive"}:
        names = wanted.option("arrays", None, lambda value: value is None or isinstance(value, dict), "names by role")
        files = _unpacked(files["archive"], names, wanted.room)
    return base.read_pairs(files, lambda path: load(path, wanted.room))


def parse_header(start: bytes) -> tuple[tuple[int, ...], int, np.dtype]:
    """Return the shape that a header declares, the header's length in bytes, and the type of the numbers.

    Raises:
        FormatError: it is not the header of an array of plain numbers in C order, or declares no data or over 4 GiB.
    """
    stream = io.BytesIO(start[:_MOST_HEADER])
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(stream)
        else:
            raise FormatError(
                f"the header has version {version} of the format: save the array with numpy.save, which writes 1.0"
            )
    except (ValueError, TypeError, LookupError, EOFError, TokenError, SyntaxError, RecursionError) as error:
        raise FormatError(f"this is not the header of a .npy file: {error}") from error
    if fortran or dtype.kind not in "uif" or dtype.hasobject:
        raise FormatError(f"it holds {dtype} in {'Fortran' if fortran else 'C'} order, not numbers in C order")
    base.check_shape(tuple(shape), dtype.itemsize)
    return tuple(shape), stream.tell(), dtype


def load(path: Path, room: Path) -> np.ndarray:
    """Return the array of a `.npy` file, memory-mapped: uint8, or integer labels.

    Float images from 0 to 1 are converted to bytes, in a file in `room`.

    Raises:
        FormatError: it cannot be read, is not such a file, has another length than its header declares, or holds
            numbers that are neither bytes nor in that range.
    """
    array = base.mapped(path, parse_header, _MOST_HEADER)
    if array.ndim == 2:  # labels, as in MedMNIST
        if array.shape[1] != 1:
            raise FormatError(
                f"{path.name} has the shape {array.shape}: it holds neither images nor one label for each"
            )
        array = array[:, 0]
    if array.dtype == np.uint8:
        return array
    return _as_bytes(array, path.name, room) if array.ndim > 1 else _whole(array, path)


def _whole(labels: np.ndarray, path: Path) -> np.ndarray:
    if not np.all(np.isfinite(labels)) or np.any(labels != np.floor(labels)) or labels.min() < 0:
        raise FormatError(f"{path.name}: labels must be whole numbers from 0")
    return np.asarray(labels).astype(np.int64)


def _as_bytes(images: np.ndarray, name: str, room: Path) -> np.ndarray:
    is_float = images.dtype.kind == "f"
    high = 1.0 if is_float else 255
    whole = artifacts.zeros(images.shape, room / f"{name}.bytes.npy", np.uint8)
    for start in range(0, len(images), _BLOCK):
        block = np.asarray(images[start : start + _BLOCK])
        if not (block.min() >= 0 and block.max() <= high):  # NaN included
            raise FormatError(
                f"{name}: images of {images.dtype} must lie between 0 and {high:g}; these range from {block.min()} to "
                f"{block.max()}"
            )
        whole[start : start + _BLOCK] = np.rint(block * 255.0) if is_float else block
    return whole


def _unpacked(archive: Path, names: Mapping[str, str] | None, room: Path) -> dict[str, Path]:
    """Unpack the arrays of an `.npz` into files in `room`; return these by role."""
    try:
        with zipfile.ZipFile(archive) as members:
            there = {info.filename.removesuffix(".npy"): info for info in members.infolist()}
            choices = [names] if names is not None else [names for names in _NAMES if set(names.values()) & set(there)]
            if not choices or choices[0]["train_images"] not in there:
                raise FormatError(
                    f"{archive.name} holds {', '.join(sorted(there)) or 'nothing'}: set options.arrays to say which is "
                    "train_images, train_labels, ..."
                )
            found = {}
            for role, name in choices[0].items():
                if name not in there:
                    if names is not None:
                        raise FormatError(f"{archive.name} has no array {name!r}; it has {', '.join(sorted(there))}")
                    continue
                if there[name].file_size > base.MAX_BYTES + _MOST_HEADER:
                    raise FormatError(f"oversized: {archive.name} would unpack {there[name].file_size} bytes of {name}")
                found[role] = room / f"{role}.npy"
                with members.open(there[name]) as packed, found[role].open("wb") as whole:
                    shutil.copyfileobj(packed, whole, 1 << 20)
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise FormatError(f"{archive.name} is not a complete .npz file: {error}") from error
    return found
