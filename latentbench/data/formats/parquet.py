"""Parquet with a column of encoded pictures, as Hugging Face stores image datasets; one file or several shards."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from latentbench import machine
from latentbench.core import artifacts
from latentbench.data import pictures
from latentbench.data.formats import base
from latentbench.data.formats.base import FormatError, Found, Split, Wanted

if TYPE_CHECKING:
    import pyarrow as pa

OPTIONS = ("image", "label")  # names of the columns

_LINES = 1000  # read at a time


def read(files: Mapping[str, Path], wanted: Wanted) -> Found:
    """Read `train`, `test` and so on; shards are `train_1`, `train_2`, ....

    Raises:
        FormatError: a file is not Parquet, does not have these columns, or holds a damaged picture.
    """
    image = wanted.option("image", "image", lambda value: isinstance(value, str), "the name of a column")
    label = wanted.option("label", "label", lambda value: value is None or isinstance(value, str), "a column, or null")
    by_split = base.by_split(files, ("",))
    shape = _shape(by_split["train"][""][0], image, wanted)
    return Found({split: _read(split, kinds[""], image, label, shape, wanted) for split, kinds in by_split.items()})


def _shape(path: Path, image: str, wanted: Wanted) -> tuple[int, tuple[int, int]]:
    """Return the channels and the size that all images get: if they are not set, those of the first."""
    if wanted.channels is not None and wanted.size is not None:
        return wanted.channels, wanted.size
    for batch in _batches(path, [image]):
        channels, height, width = pictures.decoded(_encoded(batch, image, path)[0], wanted.channels, wanted.size).shape
        return channels, (height, width)
    raise FormatError(f"{path.name} has no lines")


def _read(
    split: str,
    paths: Sequence[Path],
    image: str,
    label: str | None,
    shape: tuple[int, tuple[int, int]],
    wanted: Wanted,
) -> Split:
    n = sum(_opened(path).metadata.num_rows for path in paths)
    if n == 0:
        raise FormatError(f"{paths[0].name} has no lines")
    channels, size = shape
    whole = artifacts.zeros((n, channels, *size), wanted.room / f"{split}.npy", np.uint8)
    decode = partial(pictures.decoded, channels=channels, size=size, fit=wanted.fit, background=wanted.background)
    labels: list[int] = []
    start = 0
    for path in paths:
        for batch in _batches(path, [image] if label is None else [image, label]):
            encoded = _encoded(batch, image, path)
            part = whole[start : start + len(encoded)]
            try:
                if wanted.size is None:
                    part[:] = np.stack([_same_size(decode(each), part.shape[1:]) for each in encoded])
                else:
                    pictures.decode_all(encoded, decode, part, f"{path.name}: images", machine.n_cores())
            except FormatError as error:
                raise FormatError(f"{path.name}, after line {start}: {error}") from error
            if label is not None:
                labels += _labels(batch, label, path)
            start += len(encoded)
    return Split(whole, None if label is None else np.array(labels, dtype=np.int64))


def _same_size(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if pixels.shape != shape:
        raise FormatError(
            f"a picture has {pixels.shape[1]} x {pixels.shape[2]} pixels, but the first has {shape[1]} x {shape[2]}: "
            "set 'size' to resize them all"
        )
    return pixels


def _opened(path: Path) -> Any:
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path)
    except Exception as error:  # pyarrow raises its own errors and the system's
        raise FormatError(f"{path.name} is not a complete Parquet file: {error}") from error


def _batches(path: Path, names: list[str]) -> Iterator["pa.RecordBatch"]:
    opened = _opened(path)
    there = opened.schema_arrow.names
    for name in names:
        if name not in there:
            raise FormatError(f"{path.name} has no column {name!r}; it has {', '.join(there)}")
    try:
        yield from opened.iter_batches(_LINES, columns=names)
    except FormatError:
        raise
    except Exception as error:  # as above
        raise FormatError(f"{path.name} is damaged: {error}") from error


def _encoded(batch: "pa.RecordBatch", image: str, path: Path) -> list[bytes]:
    found: list[bytes] = []
    for each in batch.column(image).to_pylist():
        content = each.get("bytes") if isinstance(each, dict) else each
        if not isinstance(content, bytes):
            raise FormatError(f"{path.name}: the column {image!r} must hold the bytes of pictures")
        found.append(content)
    return found


def _labels(batch: "pa.RecordBatch", label: str, path: Path) -> list[int]:
    found: list[int] = batch.column(label).to_pylist()
    if not all(isinstance(each, int) and 0 <= each <= base.MAX_LABEL for each in found):
        raise FormatError(f"{path.name}: the column {label!r} must hold whole numbers from 0")
    return found
