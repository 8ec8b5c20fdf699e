"""A folder of pictures: `class/…`, or `train/class/…` with `test/` and `val/` beside it, or flat without labels."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from latentbench import machine
from latentbench.core import artifacts
from latentbench.data import pictures
from latentbench.data.formats.base import FormatError, Found, Split, Wanted

OPTIONS = ()

_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def read(files: Mapping[str, Path], wanted: Wanted) -> Found:
    """Read the pictures of a folder, in the order of their paths.

    Raises:
        FormatError: there are none, one is damaged, or they differ in size and none is set.
    """
    folder = files[""]
    listed, classes = layout(folder)
    channels, size = _shape(wanted, [path for paths, _ in listed.values() for path in paths])
    decode = partial(pictures.decoded, channels=channels, size=size, fit=wanted.fit, background=wanted.background)
    splits = {}
    for split, (paths, labels) in listed.items():
        shape = (len(paths), channels, *size)
        whole = artifacts.zeros(shape, wanted.room / f"{split}.npy", np.uint8)
        pictures.decode_all(paths, decode, whole, f"{split} images", machine.n_cores())
        splits[split] = Split(whole, None if classes is None else np.array(labels))
    return Found(splits, classes)


def layout(folder: Path) -> tuple[dict[str, tuple[list[Path], list[int]]], list[str] | None]:
    """Return the pictures and labels of each split, and the classes by label; None if there are none.

    Raises:
        FormatError: there are no pictures, or some lie beside folders of classes.
    """
    below = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")}
    splits = {_SPLIT_NAMES[name.lower()]: path for name, path in below.items() if name.lower() in _SPLIT_NAMES}
    tops = splits if "train" in splits else {"train": folder}
    if splits and "train" not in splits:
        raise FormatError(f"{folder} has {', '.join(sorted(splits))}, but no train folder beside it")
    classes = sorted({path.name for top in tops.values() for path in _folders(top)})
    listed = {}
    for split, top in tops.items():
        loose = [path for path in sorted(top.iterdir()) if _is_picture(path)]
        if classes and loose:
            raise FormatError(f"{loose[0]} lies beside folders of classes: put every picture into one, or none")
        labelled = [
            (path, label)
            for label, name in enumerate(classes)
            for path in sorted((top / name).rglob("*"))
            if _is_picture(path)
        ]
        found = labelled if classes else [(path, 0) for path in loose]
        if not found:
            raise FormatError(f"{top} holds no pictures ({', '.join(pictures.SUFFIXES)})")
        listed[split] = [path for path, _ in found], [label for _, label in found]
    return listed, classes or None


def _folders(top: Path) -> list[Path]:
    return [path for path in top.iterdir() if path.is_dir() and not path.name.startswith(".")]


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in pictures.SUFFIXES and not path.name.startswith(".") and path.is_file()


def _shape(wanted: Wanted, paths: Sequence[Path]) -> tuple[int, tuple[int, int]]:
    """Return the channels and the size that all images get."""
    if wanted.channels is not None and wanted.size is not None:
        return wanted.channels, wanted.size
    there = list(pictures.shapes(paths))
    channels = wanted.channels or max(each[0] for each in there)
    if wanted.size is not None:
        return channels, wanted.size
    first = there[0][1:]
    other = next((index for index, each in enumerate(there) if each[1:] != first), None)
    if other is not None:
        height, width = there[other][1:]
        raise FormatError(
            f"{paths[other]} is {height} x {width}, {paths[0]} is {first[0]} x {first[1]} (height x width): "
            "set 'size' to resize them all"
        )
    return channels, first
