"""From a dataset's own file to its images: fetched, read, checked, and written in one shape whatever the format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latentbench.core import artifacts, progress
from latentbench.data import pictures, sources
from latentbench.data.formats import base as formats
from latentbench.data.formats.base import FormatError, Found, Split, Wanted
from latentbench.data.sources import RawFile, Source
from latentbench.params import dataset as descriptions
from latentbench.params.dataset import Description

_BYTE = 256  # labels that fit into uint8


def obtain(description: Description, folder: Path, places: Sequence[Source] | None = None) -> str:
    """Fetch a dataset, write it into `folder`, and return the name of the source that it came from.

    It writes, for each split, `<split>_images.npy` (n, channels, height, width) uint8 and, if the dataset has labels,
    `<split>_labels.npy` (n,) uint8, or uint16 for more than 256 classes; and `dataset.json`, which describes the whole.
    Nothing appears there until all of it has been checked.

    Args:
        description: of the dataset.
        folder: to write into.
        places: to fetch from; those of the description by default.

    Raises:
        InputError: there is no such format.
        FormatError: the format has no such option.
        SourceError: no source worked; the message has a line for each with its reason.
        ArtifactError: a file cannot be written.
    """
    form = formats.of(description.format)
    unknown = sorted(set(description.options) - set(form.OPTIONS))
    if unknown:
        raise FormatError(
            f"options: the format {description.format} has no {', '.join(unknown)}; it has "
            f"{', '.join(form.OPTIONS) or 'none'}"
        )
    files = [RawFile(role, file.name, file.member, file.sha256, file.md5) for role, file in description.files.items()]
    with sources.staging() as room:
        fetched, work = room / "fetched", room / "work"
        fetched.mkdir()
        work.mkdir()

        def read(paths: dict[str, Path]) -> Found:
            found = form.read(paths, _wanted(description, work))
            return _checked(found, description, work)

        if places is None:
            places = [_place(each) for each in description.sources]
        name, found = sources.fetch(places, files, form, fetched, read)
        progress.note(f"the data came from: {name}")
        _write(found, description, folder, _watched(name, places, description))
        return name


def _place(source: descriptions.Source) -> Source:
    if source.folder is not None:
        return sources.folder_source(Path(source.folder))
    if source.http is not None:
        return sources.http_source(source.http)
    if source.hub is not None:
        return sources.hub_source(source.hub)
    if source.python is not None:
        return sources.python_source(source.python)
    assert source.debian is not None  # exactly one is given
    return sources.debian_source(source.debian)


def _wanted(description: Description, room: Path) -> Wanted:
    size, background = description.size, description.background
    return Wanted(
        description.channels,
        None if size is None else (size[0], size[1]),
        description.fit,
        background if isinstance(background, int) else (background[0], background[1], background[2]),
        description.options,
        room,
    )


def _checked(found: Found, description: Description, room: Path) -> Found:
    """Return what was read, in one shape and with labels from 0; check what no single file can show."""
    classes = found.classes or description.classes
    if found.classes is not None and description.classes is not None and found.classes != description.classes:
        raise FormatError(
            f"the files have the classes {found.classes}, but the dataset's own file has {description.classes}"
        )
    splits = {name: _reshaped(name, split, description, room) for name, split in found.splits.items()}
    shapes = {split.images.shape[1:] for split in splits.values()}
    if len(shapes) != 1:
        raise FormatError(f"the splits differ in the shape of their images: {sorted(shapes)}")
    ((_, height, width),) = shapes
    low, high = descriptions.SMALLEST, descriptions.LARGEST
    if not (low <= height <= high and low <= width <= high):
        raise FormatError(
            f"images are {height} x {width} pixels, but must be from {low} x {low} to {high} x {high}: set 'size' to "
            "resize them"
        )
    labelled = {name for name, split in splits.items() if split.labels is not None}
    if labelled and labelled != set(splits):
        raise FormatError(
            f"{', '.join(sorted(labelled))} has labels, but {', '.join(sorted(set(splits) - labelled))} has none"
        )
    for name, split in splits.items():
        if split.labels is None:
            continue
        if len(split.images) != len(split.labels):
            raise FormatError(f"{name} has {len(split.images)} images but {len(split.labels)} labels")
        highest = int(split.labels.max())
        if highest > formats.MAX_LABEL:
            raise FormatError(
                f"{name} has the label {highest}; there may be at most {formats.MAX_LABEL + 1} classes, from 0"
            )
        if classes is not None and highest >= len(classes):
            raise FormatError(f"{name} has the label {highest}, but there are names for only {len(classes)} classes")
    if labelled and classes is None:
        highest = max(int(split.labels.max()) for split in splits.values() if split.labels is not None)
        classes = [str(label) for label in range(highest + 1)]
    if labelled and classes is not None and not 2 <= len(classes) <= formats.MAX_LABEL + 1:
        raise FormatError(
            f"there must be 2 to {formats.MAX_LABEL + 1} classes, not {len(classes)}; if there is only one, leave "
            "out the labels"
        )
    return Found(splits, classes if labelled else None)


def _reshaped(name: str, split: Split, description: Description, room: Path) -> Split:
    """Return a split with the requested channels and size; its own images if they already have both."""
    n, channels, height, width = split.images.shape
    wanted_channels = description.channels or channels
    size = (height, width) if description.size is None else (description.size[0], description.size[1])
    if (wanted_channels, *size) == (channels, height, width):
        return split
    background = _wanted(description, room).background
    whole = artifacts.zeros((n, wanted_channels, *size), room / f"{name}_resized.npy", np.uint8)
    images = pictures.resized(split.images, wanted_channels, size, description.fit, background)
    for index, image in enumerate(progress.bar(images, total=n, desc=f"{name}: {size[0]} x {size[1]}", unit="image")):
        whole[index] = image
    return Split(whole, split.labels)


def _watched(name: str, places: Sequence[Source], description: Description) -> dict[str, str]:
    """Return the folder that the files came from and their fingerprint, if a change in it could go unnoticed."""
    taken = next(place for place in places if place.name == name)
    found = None if taken.folder is None else descriptions.fingerprint(description, taken.folder)
    return {} if found is None else {"folder": str(taken.folder), "fingerprint": found}


def _write(found: Found, description: Description, folder: Path, watched: dict[str, str]) -> None:
    facts: dict[str, Any] = {
        "title": description.title,
        "licence": description.licence,
        "citation": description.citation,
        "image_shape": list(found.splits["train"].images.shape[1:]),
        "classes": found.classes,
        "splits": [name for name in formats.SPLITS if name in found.splits],
        **watched,
    }
    for name, split in found.splits.items():
        artifacts.write_array(folder / f"{name}_images.npy", split.images)
        if split.labels is not None:
            artifacts.write_array(folder / f"{name}_labels.npy", _compact(split.labels, found.classes))
    artifacts.write_json(folder / "dataset.json", facts)


def _compact(labels: np.ndarray, classes: Sequence[str] | None) -> np.ndarray:
    assert classes is not None
    return labels.astype(np.uint8 if len(classes) <= _BYTE else np.uint16)
