"""A run that is killed anywhere, again and again, ends with the bytes of one that was not."""

import json
import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import prepare
from tests.faults.counting import Faults
from tests.faults.test_full_disk import is_whole
from tests.pipeline.killed import PATIENCE_S, Run
from tests.pipeline.workspace import Workspace

pytestmark = pytest.mark.faults

N_PARTS = 2  # each a pipeline of its own, one for each worker of the tests
N_KILLS = 52  # in each
N_STAGES = 8  # that a kill must have met, at least
VICTIMS = ("dvc", "stage", "group", "group as it saves")
CUT_OFF = "dvc.lock' validation failed"  # DVC's own file, which it was killed in writing
LONGEST_S = 12.0  # from the start of DVC to the kill


def stage_below(run: "subprocess.Popen[bytes]") -> int | None:
    """Return the number of the process in which a stage runs."""
    with suppress(psutil.Error):  # any of them may end while it is looked at
        for child in psutil.Process(run.pid).children(recursive=True):
            if any(part.startswith("stages.") for part in child.cmdline()):
                return child.pid
    return None


def wait(run: Run, victim: str, seconds: float) -> None:
    """Wait for the moment of the kill, or the end of the run."""
    deadline = time.monotonic() + (seconds if victim != "group as it saves" else 2 * LONGEST_S)
    while run.dvc.poll() is None and time.monotonic() < deadline:
        if victim == "group as it saves" and run.is_saving():
            return
        time.sleep(0.001)


def kill(run: "subprocess.Popen[bytes]", victim: str) -> str:
    """Kill what is meant, or the group where that is not there, and return what was killed: nothing if all is over."""
    if run.poll() is not None:
        return ""
    if victim == "stage" and (stage := stage_below(run)):
        with suppress(ProcessLookupError):
            os.kill(stage, signal.SIGKILL)
            run.wait(timeout=PATIENCE_S)
            return victim
    if victim == "dvc":  # what it has started notices, or is waited for
        run.kill()
    else:
        os.killpg(run.pid, signal.SIGKILL)
    run.wait(timeout=PATIENCE_S)
    return "group" if victim == "stage" else victim


def remove_cut_off_locks(workspace: Workspace) -> None:
    """Remove DVC's own list of locks where it was killed as it wrote that, as its message says."""
    path = workspace.folder / ".dvc/tmp/rwlock"
    try:
        json.loads(path.read_text(encoding="utf-8") or "x")
    except FileNotFoundError:
        pass
    except ValueError:
        path.unlink()


def check_all_is_whole(workspace: Workspace, expected: dict[str, bytes]) -> None:
    """Every file that is there is as in an undisturbed run; a table of losses may lack its last epochs."""
    for name, content in expected.items():
        with suppress(FileNotFoundError):  # not made yet, or an orphan is about to replace it
            assert is_whole(name, content, (workspace.folder / name).read_bytes()), name


@pytest.mark.parametrize("part", range(N_PARTS))
def test_a_pipeline_killed_at_random_moments_ends_with_the_same_bytes(
    root: Path, raw_data: Path, finished: Workspace, tmp_path: Path, faults: Faults, part: int
) -> None:
    expected, moments = finished.outputs(), random.Random(part)  # noqa: S311
    workspace, log, killed = prepare(root, raw_data, tmp_path / "0"), tmp_path / "log", Counter[str]()
    stages, n_saving, n_cut_off = set[str](), 0, 0
    while killed.total() < N_KILLS:
        victim = VICTIMS[killed.total() % len(VICTIMS)]
        run = Run(workspace, log, "dvc", "repro")  # what it leaves alive stays so: the next one must cope with that
        wait(run, victim, moments.uniform(0.0, LONGEST_S))
        saving = run.is_saving()
        hit, said = kill(run.dvc, victim), run.said()
        assert "Traceback" not in said, said[-3000:]
        if run.dvc.returncode == 0:  # it was over: begin anew
            assert workspace.outputs() == expected
            workspace = prepare(root, raw_data, tmp_path / f"{killed.total()}")
            continue
        if not hit and CUT_OFF in said:  # docs/guarantees.md tells of this, and what to do
            workspace.run("git", "checkout", "dvc.lock")
            n_cut_off += 1
            continue
        with faults.one():
            assert hit, f"it ended by itself: {said[-3000:]}"
            assert run.dvc.returncode == -signal.SIGKILL or hit == "stage", f"{hit}: {said[-3000:]}"
            remove_cut_off_locks(workspace)
            check_all_is_whole(workspace, expected)
        killed[hit] += 1
        n_saving += saving
        stages |= set(re.findall(r"Running stage '([^']+)'", said)[-1:])
    assert min(killed[victim] for victim in VICTIMS) >= N_KILLS // len(VICTIMS) // 2, killed
    assert n_saving >= N_KILLS // 10
    assert len(stages) >= N_STAGES, stages
    assert n_cut_off <= N_KILLS // 5
    if CUT_OFF in workspace.run("dvc", "status", check=False).stderr:
        workspace.run("git", "checkout", "dvc.lock")
    workspace.run("dvc", "repro")
    assert workspace.outputs() == expected
    assert "up to date" in workspace.run("dvc", "repro").stdout
    assert list((workspace.folder / ".dvc/tmp/latentbench").iterdir()) == []
    left = [path for top in ("data", "metrics") for path in (workspace.folder / top).rglob(".*.tmp")]
    assert left == []
