"""What a format of raw data must provide.

Each file beside this one is a format. Its name is what `format` in a dataset's own file refers to, and it defines the
functions of `Format`. If a format can tell from the first bytes how long a file is (`Announces`), downloads are cut off
as soon as they are longer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from latentbench import plugins
from latentbench.core.errors import LatentbenchError

# No image dataset of this kind is larger; a header that claims more is damaged or hostile.
MAX_BYTES = 4 * 2**30
MAX_LABEL = 999  # with 1,000 classes, the most allowed

SPLITS = ("train", "validation", "test")


class FormatError(LatentbenchError):
    """A file does not match its format and role; the message says why."""


@dataclass(frozen=True)
class Split:
    """A part of a dataset.

    Attributes:
        images: (n, c, h, w) uint8, 1 or 3 channels.
        labels: (n,) integers from 0, or None.
    """

    images: np.ndarray
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Found:
    """What was read.

    Attributes:
        splits: by name, of `SPLITS`; "train" is always there.
        classes: names of the labels, if the files have them.
    """

    splits: Mapping[str, Split]
    classes: list[str] | None = None


@dataclass(frozen=True)
class Wanted:
    """What a format is given besides its files, as set in a dataset's own file.

    Attributes:
        channels, size, fit, background: of the images; None to keep what the files have.
        options: of the format.
        room: an empty folder for temporary files.
    """

    channels: int | None
    size: tuple[int, int] | None
    fit: str
    background: int | tuple[int, int, int]
    options: Mapping[str, Any]
    room: Path

    def option(self, name: str, default: Any, allowed: Callable[[Any], bool], rule: str) -> Any:
        """Return an option of the format.

        Raises:
            FormatError: it is not allowed; the message states the rule.
        """
        value = self.options.get(name, default)
        if not allowed(value):
            raise FormatError(f"options.{name} must be {rule}, not {value!r}")
        return value


class Format(Protocol):
    """The functions of a format's module."""

    OPTIONS: tuple[str, ...]  # names of the options it takes

    def read(self, files: Mapping[str, Path], wanted: Wanted) -> Found:
        """Read a dataset.

        Args:
            files: by role; for a format that reads a folder, only the folder, under "".
            wanted: what else is requested.

        Raises:
            FormatError: a file is damaged, of another format, or lacks something; the message names the file.
        """


@runtime_checkable
class Announces(Protocol):
    """A format whose files declare their length at the start."""

    HEADER: int  # bytes that are always enough to find it

    def announced(self, start: bytes) -> int:
        """Return the total number of bytes in a file that begins with these.

        Raises:
            FormatError: it is not such a file, or declares no data or more than 4 GiB.
        """


def of(name: str) -> Format:
    """Return the format of that name.

    Raises:
        InputError: there is none.
    """
    return cast(Format, plugins.load("latentbench.data.formats", name))


def by_split(files: Mapping[str, Path], kinds: tuple[str, ...]) -> dict[str, dict[str, list[Path]]]:
    """Sort files by split and by kind: `train_images`, or `train_images_1` and so on if there are several.

    Args:
        files: by role.
        kinds: such as "images" and "labels"; "" for a format whose files hold both.

    Raises:
        FormatError: a role is none of these, or there is no file to train on.
    """
    found: dict[str, dict[str, list[Path]]] = {}
    for role in sorted(files, key=_in_order):
        words = role.removesuffix(f"_{role.rsplit('_', 1)[-1]}") if role.rsplit("_", 1)[-1].isdecimal() else role
        split, _, kind = words.partition("_")
        if split not in SPLITS or kind not in kinds:
            allowed = ", ".join(f"{split}_{kind}".rstrip("_") for split in SPLITS for kind in kinds)
            raise FormatError(
                f"files.{role}: this format takes {allowed}, with _1, _2, ... after each if there are several"
            )
        found.setdefault(split, {}).setdefault(kind, []).append(files[role])
    if kinds[0] not in found.get("train", {}):
        raise FormatError(f"files: there is no {f'train_{kinds[0]}'.rstrip('_')}")
    for split, each in found.items():
        if kinds[0] not in each:
            raise FormatError(f"files: there is no {split}_{kinds[0]}")
    return found


def _in_order(role: str) -> tuple[str, int]:
    words, _, number = role.rpartition("_")
    return (words, int(number)) if number.isdecimal() else (role, 0)


def channels_first(images: np.ndarray, name: str) -> np.ndarray:
    """Return images as (n, c, h, w), given that shape, (n, height, width, channels) or (n, height, width).

    Raises:
        FormatError: the shape is none of these.
    """
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        return images.transpose(0, 3, 1, 2)
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    raise FormatError(
        f"{name}: images must be (n, height, width), with 1 or 3 channels before or after the size if they have any, "
        f"not {images.shape}"
    )


def check_shape(shape: tuple[int, ...], item_bytes: int) -> None:
    """Refuse a shape that no array of a dataset has, given the size of a number in bytes.

    Raises:
        FormatError: it has the wrong number of axes, is empty, or takes more than 4 GiB.
    """
    if not 1 <= len(shape) <= 4:
        raise FormatError(f"the header declares {len(shape)} axes; images have 3 or 4, labels 1 or 2")
    if 0 in shape:
        raise FormatError(f"the header declares an empty array of shape {shape}")
    if np.prod(shape, dtype=object) * item_bytes > MAX_BYTES:
        raise FormatError(f"oversized: the header declares the shape {shape}, more than {MAX_BYTES} bytes")


def mapped(path: Path, parse: Callable[[bytes], tuple[tuple[int, ...], int, np.dtype]], header: int) -> np.ndarray:
    """Memory-map the array of an uncompressed file, read-only.

    Args:
        path: of the file.
        parse: returns the shape that a header declares, the header's length, and the type of the numbers.
        header: bytes that are enough for `parse`.

    Raises:
        FormatError: it cannot be read, is not such a file, or its length is not what its header declares.
    """
    try:
        with path.open("rb") as file:
            shape, length, dtype = parse(file.read(header))
        expected = length + int(np.prod(shape, dtype=object)) * dtype.itemsize
        if path.stat().st_size != expected:
            raise FormatError(f"{path.name} has {path.stat().st_size} bytes, but its header declares {expected}")
        return np.memmap(path, dtype=dtype, mode="r", offset=length, shape=shape)
    except OSError as error:
        raise FormatError(f"cannot read {path.name}: {error}") from error


def records(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Memory-map a file of records of bytes without a header, (n, *shape) uint8, read-only.

    Raises:
        FormatError: it cannot be read, or is not a whole number of records.
    """
    length = int(np.prod(shape))
    try:
        size = path.stat().st_size
        if size == 0 or size % length or size > MAX_BYTES:
            raise FormatError(f"{path.name} has {size} bytes, which is not a whole number of records of {length}")
        return np.memmap(path, dtype=np.uint8, mode="r", shape=(size // length, *shape))
    except OSError as error:
        raise FormatError(f"cannot read {path.name}: {error}") from error


def read_pairs(files: Mapping[str, Path], load: Callable[[Path], np.ndarray]) -> Found:
    """Read a dataset whose images and labels are arrays, in separate files."""
    splits = {}
    for split, kinds in by_split(files, ("images", "labels")).items():
        arrays = {
            kind: (load(paths[0]) if len(paths) == 1 else np.concatenate([load(path) for path in paths]))
            for kind, paths in kinds.items()
        }
        labels = arrays.get("labels")
        if labels is not None and labels.ndim != 1:
            raise FormatError(f"{split}_labels: labels must have 1 axis, not {labels.ndim}")
        splits[split] = Split(channels_first(arrays["images"], f"{split}_images"), labels)
    return Found(splits)
