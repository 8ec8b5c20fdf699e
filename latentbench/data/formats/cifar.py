"""The binary versions of CIFAR-10 and CIFAR-100: records of one or two labels and 3 x 32 x 32 bytes."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from latentbench.data.formats import base
from latentbench.data.formats.base import FormatError, Found, Split, Wanted

OPTIONS = ("labels", "label")  # how many labels a record has, and which of them to use, from 0

_SHAPE = (3, 32, 32)
_PICKLE = b"\x80"


def read(files: Mapping[str, Path], wanted: Wanted) -> Found:
    """Read `train` or `train_1` to `train_5`, and `test`.

    Raises:
        FormatError: a file does not hold such records, or is a pickle, which could run any code when it is read.
    """
    n_labels = wanted.option("labels", 1, lambda value: value in (1, 2), "1 or 2")
    which = wanted.option("label", n_labels - 1, lambda value: value in range(n_labels), f"below {n_labels}")
    splits = {}
    for split, kinds in base.by_split(files, ("",)).items():
        records = [_records(path, n_labels) for path in kinds[""]]
        labels = np.concatenate([np.asarray(each[:, which]) for each in records])
        images = [each[:, n_labels:].reshape(-1, *_SHAPE) for each in records]
        splits[split] = Split(images[0] if len(images) == 1 else np.concatenate(images), labels)
    return Found(splits)


def _records(path: Path, n_labels: int) -> np.ndarray:
    length = n_labels + int(np.prod(_SHAPE))
    with path.open("rb") as file:
        starts_as_pickle = file.read(1) == _PICKLE
    if starts_as_pickle and path.stat().st_size % length:
        raise FormatError(
            f"{path.name} is the pickled version, which can run any code when it is read: use the binary one "
            "(cifar-10-binary.tar.gz or cifar-100-binary.tar.gz)"
        )
    return base.records(path, (length,))
