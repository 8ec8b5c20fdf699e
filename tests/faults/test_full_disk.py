"""A write that fails is one clear error and loses nothing: every file is as before or whole, and a rerun succeeds.

The system refuses files above a size (RLIMIT_FSIZE), as it would on a full disk. Since equal params give equal bytes,
whatever a stage wrote before its disk was full must be what was there already.
"""

import resource
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.faults.counting import Faults
from tests.pipeline.all_stages import ELSEWHERE, ORDER, first_run
from tests.pipeline.killed import Run
from tests.pipeline.workspace import Workspace

SAMPLE = "preprocess"


def run_on_a_full_disk(
    workspace: Workspace, command: str, n_bytes: int, save_every_s: float = 1000
) -> subprocess.CompletedProcess[str]:
    """Run a command whose files cannot grow above a size."""
    return subprocess.run(
        command.split(),
        cwd=workspace.folder,
        env=workspace.environment(LATENTBENCH_CHECKPOINT_SECONDS=str(save_every_s)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes)),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def sizes_written(workspace: Workspace, name: str) -> list[int]:
    """Return the sizes of the files that a run of a stage writes, rising."""
    lock = yaml.safe_load((workspace.folder / "dvc.lock").read_text(encoding="utf-8"))
    found = set()
    for out in lock["stages"][name]["outs"]:
        path = workspace.folder / out["path"]
        files = path.rglob("*") if path.is_dir() else [path]
        found |= {each.stat().st_size for each in files if each.is_file()}
    return sorted(found)


def fill_the_disk(workspace: Workspace, name: str, command: str, before: Mapping[str, bytes], faults: Faults) -> None:
    sizes = sizes_written(workspace, name)
    for n_bytes in sorted({sizes[0] - 1, sizes[len(sizes) // 2] - 1, sizes[-1] - 1}):
        with faults.one():
            done = run_on_a_full_disk(workspace, command, n_bytes)
            told = [
                line
                for line in done.stderr.splitlines()
                if line.startswith(f"{name.split('@', maxsplit=1)[0]}: cannot ")
            ]
            assert done.returncode == 1, f"{name}, {n_bytes} bytes: {done.stderr[-2000:]}"
            assert "Traceback" not in done.stderr, f"{name}, {n_bytes} bytes: {done.stderr[-3000:]}"
            assert len(told) == 1, f"{name}, {n_bytes} bytes: {done.stderr[-2000:]}"
            assert "File too large" in told[0]
            after = workspace.outputs()
            assert set(after) == set(before), f"{name}, {n_bytes} bytes"
            changed = [file for file in before if not is_whole(file, before[file], after[file])]
            assert changed == [], f"{name}, {n_bytes} bytes"


def is_whole(name: str, expected: bytes, found: bytes) -> bool:
    """Tell whether a file is as it should be; a table of losses grows with each epoch, whole each time."""
    return found == expected or (name.endswith("loss.csv") and expected.startswith(found) and found.endswith(b"\n"))


@pytest.mark.faults
@pytest.mark.parametrize("stage", [stage for stage in ORDER if stage not in {SAMPLE, ELSEWHERE}])
def test_a_full_disk_is_one_error_in_every_stage(
    finished: Workspace, tmp_path: Path, stage: str, faults: Faults
) -> None:
    check_a_full_disk(finished.copy(tmp_path / "full"), stage, faults)


def test_a_full_disk_is_one_error_and_a_rerun_succeeds(finished: Workspace, tmp_path: Path, faults: Faults) -> None:
    check_a_full_disk(finished.copy(tmp_path / "full"), SAMPLE, faults)


def check_a_full_disk(workspace: Workspace, stage: str, faults: Faults) -> None:
    before = workspace.outputs()
    name, command = first_run(workspace, stage)
    fill_the_disk(workspace, name, command, before, faults)
    workspace.run(*command.split())
    assert workspace.outputs() == before


@pytest.mark.faults
def test_a_state_outlives_a_full_disk(finished: Workspace, tmp_path: Path, faults: Faults) -> None:
    workspace, log = finished.copy(tmp_path / "full"), tmp_path / "log"
    workspace.set_params({"ae_dense.training.images": 54_000, "ae_dense.training.patience": None})
    alone = workspace.copy(tmp_path / "alone")
    _, command = first_run(workspace, "ae")
    with Run(workspace, log, *command.split()) as run:
        run.wait_until(run.has_saved)
        run.kill_group()
    (state,) = run.checkpoints.glob("[!.]*.safetensors")
    kept = state.read_bytes()
    with faults.one():
        done = run_on_a_full_disk(workspace, command, len(kept) - 1, save_every_s=0.1)
        assert done.returncode == 1, done.stderr[-2000:]
        assert "Traceback" not in done.stderr
        assert "File too large" in done.stderr.splitlines()[-1], done.stderr[-2000:]
        assert state.read_bytes() == kept
    assert "resuming from step" in workspace.run(*command.split()).stderr
    alone.run(*command.split())
    assert workspace.outputs() == alone.outputs()
    assert list(run.checkpoints.iterdir()) == []
