"""What every test may use: the real images, one finished small run of the pipeline, and generators that are seeded."""

import fcntl
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from latentbench.core import artifacts
from tests.pipeline.workspace import SMALL, Workspace

pytest_plugins = ("tests.network", "tests.faults.counting")

ROOT = Path(__file__).resolve().parents[1]
# SHA-256 of Fashion-MNIST's pixels, in the order of its files.
PIXELS = {
    "train": "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
    "test": "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what needs the finished run last, but for one test that makes it first: no process waits for another's."""
    late = [item for item in items if "finished" in getattr(item, "fixturenames", ())]
    early = [item for item in items if item not in set(late)]
    items[:] = late[:1] + early + late[1:]


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the top of the project."""
    return ROOT


@pytest.fixture(scope="session")
def raw_data(root: Path) -> Path:
    """Return the folder of the raw dataset, which `make test` fetches before it runs pytest."""
    folder = root / "data" / "raw"
    for split, sha256 in PIXELS.items():
        path = folder / f"{split}_images.npy"
        if not path.is_file() or hashlib.sha256(artifacts.read_array(path).tobytes()).hexdigest() != sha256:
            pytest.fail(f"{path} is not Fashion-MNIST's, on which the tests run: 'git checkout params.yaml; make data'")
    return folder


@pytest.fixture(scope="session")
def images(raw_data: Path) -> np.ndarray:
    """Return the 10,000 real test images, (n, 1, 28, 28) uint8."""
    return artifacts.read_array(raw_data / "test_images.npy")


@pytest.fixture(scope="session")
def labels(raw_data: Path) -> np.ndarray:
    """Return their labels, (n,) uint8."""
    return np.array(artifacts.read_array(raw_data / "test_labels.npy"))


@pytest.fixture(scope="session")
def points(images: np.ndarray) -> np.ndarray:
    """Return the test images as points, (n, 784) float32 in [0, 1]."""
    return images.reshape(len(images), -1) / np.float32(255)


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a seeded NumPy generator."""
    return np.random.default_rng(7)


@pytest.fixture(autouse=True)
def _seed_torch() -> None:
    torch.manual_seed(7)


@pytest.fixture(scope="session")
def finished(root: Path, raw_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace in which `dvc repro` has run every stage on real images and the result is committed.

    Where several processes test at a time, one of them makes it and each has a copy.
    """
    own = tmp_path_factory.mktemp("finished")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return _make(root, raw_data, own)
    shared = tmp_path_factory.getbasetemp().parent
    made = shared / "finished.path"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            original = _make(root, raw_data, tmp_path_factory.mktemp("original"))
            made.write_text(str(original.folder), encoding="utf-8")
    return Workspace.opened(Path(made.read_text(encoding="utf-8"))).copy(own / "copy")


def _make(root: Path, raw_data: Path, folder: Path) -> Workspace:
    workspace = Workspace(root, folder)
    workspace.set_params(SMALL)
    workspace.take_data_from(raw_data)
    workspace.commit("small params")
    workspace.run("dvc", "commit", "--force", "explorer_libraries")
    workspace.run("dvc", "repro")
    workspace.commit("a run")
    return workspace
