"""A run of the pipeline that is killed goes on where it was, and ends with the bytes of one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.pipeline.killed import Run
from tests.pipeline.workspace import Workspace

# Some seconds of training, on one thread so that other work on the machine does not make them minutes.
LONG = {"threads": 1, "ae_dense.training.images": 54_000, "ae_dense.training.patience": None}


def training_has_ended(checkpoints: Path) -> bool:
    """Tell whether nobody holds the lock of a checkpoint, which goes with its holder unless that is killed."""
    return not any(checkpoints.glob("*.lock"))


@pytest.fixture(scope="module")
def start(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return a workspace whose autoencoder is about to be trained for some seconds."""
    workspace = finished.copy(tmp_path_factory.mktemp("resume") / "start")
    workspace.set_params(LONG)
    workspace.commit("a longer training")
    return workspace


@pytest.fixture(scope="module")
def expected(start: Workspace) -> dict[str, bytes]:
    """Return what an uninterrupted run writes."""
    workspace = start.copy(start.folder.parent / "uninterrupted")
    done = workspace.run("dvc", "repro", "ae@ae_dense")
    assert "resuming from" not in done.stderr
    return written(workspace)


def written(workspace: Workspace, row: str = "ae_dense") -> dict[str, bytes]:
    """Return all that the training of a row wrote."""
    folders = tuple(f"{folder}/{row}" for folder in ("data/models", "data/embeddings", "data/samples", "metrics"))
    found = {name: content for name, content in workspace.outputs().items() if name.startswith(folders)}
    # A write that was killed may leave its temporary file, which is no output.
    found = {name: content for name, content in found.items() if not Path(name).match(".*.tmp")}
    of_diffusion = {f"{row}.npy", "coder_loss.csv", "guide_loss.csv", "denoiser.onnx"}
    made = {"train.npy", "test.npy"} if row == "ae_dense" else of_diffusion
    assert {Path(name).name for name in found} >= {"model.safetensors", "model.json", "loss.csv", "metrics.json", *made}
    return found


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    start: Workspace, expected: dict[str, bytes], tmp_path: Path
) -> None:
    workspace, log, moments = start.copy(tmp_path / "killed"), tmp_path / "log", random.Random(7)  # noqa: S311
    command = ("dvc", "repro", "ae@ae_dense")

    # The whole group, while the state is being written, and there is one from before.
    with Run(workspace, log, *command) as run:
        run.wait_until(run.has_saved)
        run.wait_until(run.is_saving)
        run.kill_group()
        assert "resuming from" not in run.said()
        assert run.has_saved()

    # DVC alone: the training notices, saves, and ends.
    with Run(workspace, log, *command) as run:
        run.wait_until(lambda: "resuming from step" in run.said())
        time.sleep(moments.uniform(0.1, 0.3))
        run.dvc.kill()
        deadline = time.monotonic() + 15
        while not training_has_ended(run.checkpoints) or "this stage has died; its state is kept" not in run.said():
            assert time.monotonic() < deadline, "the training outlives DVC, or does not tell why it ends"
            time.sleep(0.01)
        assert run.has_saved()

    # The training alone: DVC reports a failed stage.
    with Run(workspace, log, *command) as run:
        run.wait_until(lambda: "resuming from step" in run.said())
        time.sleep(moments.uniform(0.1, 0.3))
        os.kill(run.training(), signal.SIGKILL)
        assert run.end() != 0
        assert run.has_saved()

    # The whole group as the stage starts, be it before the state is read. (Killed even earlier, DVC may leave its own
    # .dvc/tmp/rwlock half written.)
    with Run(workspace, log, *command) as run:
        run.wait_until(lambda: "Running stage 'ae@ae_dense'" in run.said())
        time.sleep(moments.uniform(0.2, 2.0))
        run.kill_group()
        assert run.has_saved()

    with Run(workspace, log, *command, save_every_s=1000) as run:
        assert run.end() == 0, run.said()
        assert "resuming from step" in run.said()
        assert written(workspace) == expected
        assert list(run.checkpoints.iterdir()) == []


@pytest.mark.faults
def test_an_experiment_in_a_temporary_copy_is_gone_on_with_in_another(
    start: Workspace, expected: dict[str, bytes], tmp_path: Path
) -> None:
    workspace, log = start.copy(tmp_path / "experiments"), tmp_path / "log"
    command = ("dvc", "exp", "run", "--temp", "--name", "again", "ae@ae_dense")
    with Run(workspace, log, *command) as run:
        run.wait_until(run.has_saved)
        run.kill_group()
        assert "resuming from" not in run.said()

    with Run(workspace, log, *command, save_every_s=1000) as run:
        assert run.end() == 0, run.said()
        assert "resuming from step" in run.said()
        assert list(run.checkpoints.iterdir()) == []
    workspace.run("dvc", "exp", "apply", "again")
    assert written(workspace) == expected


@pytest.mark.faults
def test_a_stage_of_two_trainings_goes_on_in_the_second(finished: Workspace, tmp_path: Path) -> None:
    workspace, log, row = finished.copy(tmp_path / "killed"), tmp_path / "log", "diffusion_latent"
    workspace.set_params({"threads": 1, "diffusion_latent.small.training.images": 108_000})
    command = ("dvc", "repro", f"diffusion@{row}")
    uninterrupted = workspace.copy(tmp_path / "uninterrupted")
    uninterrupted.run(*command)

    with Run(workspace, log, *command) as run:
        run.wait_until(lambda: len(list(run.checkpoints.glob("[!.]*.safetensors"))) == 2)
        run.kill_group()
        assert "resuming from" not in run.said()

    with Run(workspace, log, *command, save_every_s=1000) as run:
        assert run.end() == 0, run.said()
        assert run.said().count("resuming from step") == 2  # the first one's last step, and the second's newest
        assert list(run.checkpoints.iterdir()) == []
    assert written(workspace, row) == written(uninterrupted, row)


HOLDER = """
import sys
from pathlib import Path
from latentbench.core import locks
with locks.held(Path(sys.argv[1]), "holds it"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_stage_waits_for_one_of_its_kind_and_clears_what_that_wrote(finished: Workspace, tmp_path: Path) -> None:
    workspace, log = finished.copy(tmp_path / "two"), tmp_path / "log"
    lock = workspace.folder / ".dvc/tmp/latentbench-stages/pca@pca.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as orphan:
        assert orphan.stdout is not None
        assert orphan.stdout.readline() == "held\n"
        with Run(workspace, log, "python", "-m", "stages.pca", "pca") as run:
            run.wait_until(lambda: "waiting for it to end" in run.said())
            assert f"process {orphan.pid} still runs this stage" in run.said()
            (workspace.folder / "data/models/pca/of_other_params.npy").write_bytes(b"1")
            time.sleep(0.3)
            assert run.dvc.poll() is None
            orphan.communicate("go\n")
            assert run.end() == 0
    assert not lock.exists()
    assert workspace.outputs() == finished.outputs()


def test_a_stage_that_does_not_train_ends_when_its_dvc_is_killed(finished: Workspace, tmp_path: Path) -> None:
    workspace, log = finished.copy(tmp_path / "killed"), tmp_path / "log"
    lock = workspace.folder / ".dvc/tmp/latentbench-stages/isomap@isomap.lock"
    workspace.set_params({"isomap.n_landmarks": 100})
    with Run(workspace, log, "dvc", "repro", "isomap") as run:
        run.wait_until(lambda: "Running stage 'isomap@isomap'" in run.said())
        run.wait_until(lock.exists)
        started = psutil.Process(run.dvc.pid).children(recursive=True)
        run.dvc.kill()
        _, alive = psutil.wait_procs(started, timeout=15)
        assert alive == []
        assert "the run that started this stage has died" in run.said()
