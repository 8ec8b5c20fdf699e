"""One finished small run of the pipeline through DVC, which the tests of this folder share."""

from pathlib import Path

import pytest

from tests.pipeline.workspace import SMALL, Workspace


@pytest.fixture(scope="session")
def finished(root: Path, raw_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace in which `dvc repro` has run every stage on real images and the result is committed."""
    workspace = Workspace(root, tmp_path_factory.mktemp("finished"))
    workspace.set_params(SMALL)
    workspace.take_data_from(raw_data)
    workspace.commit("small params")
    workspace.run("dvc", "repro")
    workspace.commit("a run")
    return workspace
