"""Two runs at once, and experiments on two workers, do not harm each other."""

import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.counting import Faults
from tests.pipeline.killed import Run
from tests.pipeline.workspace import Workspace

pytestmark = pytest.mark.faults

ROW = ("data/models/ae_dense", "data/embeddings/ae_dense", "metrics/ae_dense")
IMAGES = {"one": 54_000, "two": 55_800, "three": 57_600, "four": 59_400}
PATIENCE_S = 600.0


def of_row(workspace: Workspace) -> dict[str, bytes]:
    return {name: content for name, content in workspace.outputs().items() if name.startswith(ROW)}


def test_two_repros_at_once_end_as_one(finished: Workspace, tmp_path: Path, faults: Faults) -> None:
    both, alone = finished.copy(tmp_path / "both"), finished.copy(tmp_path / "alone")
    for workspace in (both, alone):
        workspace.set_params({"vae_dense.training.images": 5400})
    alone.run("dvc", "repro")
    with faults.one():
        command = ("dvc", "repro")
        with Run(both, tmp_path / "one", *command) as one, Run(both, tmp_path / "other", *command) as other:
            ended = [(run.end(), run.said()) for run in (one, other)]
        assert 0 in {code for code, _ in ended}, ended
        for code, said in ended:
            assert code == 0 or "Unable to acquire lock" in said or "is busy, it is being" in said, said
            assert "Traceback" not in said
        both.run("dvc", "repro")
        assert both.outputs() == alone.outputs()
        assert "up to date" in both.run("dvc", "repro").stdout


def test_four_experiments_on_two_workers_are_each_as_alone(finished: Workspace, tmp_path: Path, faults: Faults) -> None:
    workspace = finished.copy(tmp_path / "queue")
    workspace.set_params({"ae_dense.training.patience": None})  # each goes on long enough to meet another
    workspace.commit("longer trainings")
    checkpoints = workspace.folder / ".dvc/tmp/latentbench"
    for name, images in IMAGES.items():
        change = f"ae_dense.training.images={images}"
        workspace.run("dvc", "exp", "run", "--queue", "--name", name, "-S", change, "ae@ae_dense")
    try:
        # Its workers would keep a pipe open, and one would wait for them.
        start, environment = ("dvc", "queue", "start", "--jobs", "2"), workspace.environment()
        subprocess.run(start, cwd=workspace.folder, env=environment, stdout=subprocess.DEVNULL, check=True)
        deadline, most, status = time.monotonic() + PATIENCE_S, 0, ""
        while status.count("Success") < len(IMAGES) and "Failed" not in status:
            assert time.monotonic() < deadline, status
            for _ in range(200):
                most = max(most, len(list(checkpoints.glob("*.lock"))))
                time.sleep(0.02)
            status = workspace.run("dvc", "queue", "status").stdout
        assert "Failed" not in status, status
        assert most == 2, "they never trained side by side"
    finally:
        workspace.run("dvc", "queue", "stop", "--kill", check=False)
    for name, images in IMAGES.items():
        with faults.one():
            alone = finished.copy(tmp_path / f"alone {name}")
            alone.set_params({"ae_dense.training.images": images, "ae_dense.training.patience": None})
            alone.run("python", "-m", "stages.ae", "ae_dense")
            workspace.run("dvc", "exp", "apply", name)
            assert of_row(workspace) == of_row(alone)
    assert list(checkpoints.iterdir()) == []
