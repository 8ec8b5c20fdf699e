"""Files that a stage may find in place of its own: no code in them runs, and what is wrong is one clear error.

Each pickle here would make a canary if it were loaded.
"""

import io
import os
import pickle  # noqa: TID251  # to make what must be refused
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from latentbench.checkpoints import Checkpoint, CheckpointError
from latentbench.core import artifacts
from tests.test_checkpoints import Training


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """Return the path that hostile content makes when it is run; it must not be there at the end."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists(), "code in a file was run"


def object_array(canary: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Canary(canary)], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def bare_pickle(canary: Path) -> bytes:
    return pickle.dumps(Canary(canary))


def archive_of_objects(canary: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.npy", object_array(canary))
    return buffer.getvalue()


def torch_archive(canary: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", bare_pickle(canary))
    return buffer.getvalue()


PICKLES = [object_array, bare_pickle, archive_of_objects, torch_archive]
READERS = {
    "a.npy": artifacts.read_array,
    "model.safetensors": lambda path: artifacts.read_model(path.parent),
    "a.json": artifacts.read_json,
    "a.csv": artifacts.read_table,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("make", PICKLES)
def test_a_pickle_is_refused_under_whatever_name(
    tmp_path: Path, canary: Path, name: str, make: Callable[[Path], bytes]
) -> None:
    path = tmp_path / name
    path.write_bytes(make(canary))
    with pytest.raises(artifacts.ArtifactError, match=name):
        READERS[name](path)


@pytest.mark.parametrize("make", PICKLES)
def test_a_pickle_is_no_state_of_a_training(
    tmp_path: Path, canary: Path, images: np.ndarray, make: Callable[[Path], bytes]
) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(make(canary))
    training = Training("dropout", [torch.tensor(images[:90, 8:20, 8:20])])
    with pytest.raises(CheckpointError, match=path.name):
        training.run(Checkpoint(path, 0.0), tmp_path / "loss.csv")


def test_the_canary_can_sing(tmp_path: Path) -> None:
    """Otherwise the tests above would see nothing."""
    pickle.loads(bare_pickle(tmp_path / "canary"))  # noqa: S301
    assert (tmp_path / "canary").exists()
