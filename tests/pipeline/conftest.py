"""One finished small run of the pipeline through DVC, which the tests of this folder share."""

import fcntl
import os
from pathlib import Path

import pytest

from tests.pipeline.workspace import SMALL, Workspace


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
