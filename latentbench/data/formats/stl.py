"""The binary version of STL-10: images of 3 x 96 x 96 bytes, column by column, and labels from 1."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from latentbench.data.formats import base
from latentbench.data.formats.base import FormatError, Found, Split, Wanted

OPTIONS = ()

_SHAPE = (3, 96, 96)


def read(files: Mapping[str, Path], wanted: Wanted) -> Found:  # noqa: ARG001
    """Read `train_images`, `train_labels`, `test_images` and `test_labels`.

    Raises:
        FormatError: a file does not hold such images or labels.
    """
    splits = {}
    for split, kinds in base.by_split(files, ("images", "labels")).items():
        if "labels" not in kinds:
            raise FormatError(f"files: there is no {split}_labels")
        images, labels = (base.records(kinds[kind][0], shape) for kind, shape in (("images", _SHAPE), ("labels", ())))
        if labels.min() < 1:
            raise FormatError(f"{kinds['labels'][0].name} has the label 0: STL-10 counts from 1")
        splits[split] = Split(images.swapaxes(2, 3), np.asarray(labels) - 1)
    return Found(splits)
