"""A run that is killed anywhere, again and again, ends with the bytes of one that was not."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.faults.counting import Faults
from tests.faults.test_full_disk import is_whole
from tests.pipeline.all_stages import ELSEWHERE, ORDER, first_run
from tests.pipeline.killed import PATIENCE_S, Run
from tests.pipeline.workspace import Workspace

pytestmark = pytest.mark.faults

N_PARTS = 2  # every other run of the pipeline each, one for each worker of the tests
VICTIMS = ("dvc", "stage", "group")
SAVING = "group as it saves"
MORE_RUNS = ("vae@vae_residual", "diffusion@diffusion_latent")  # than the first of each stage
TRAINING = ("classifier", "ae", "vae", "diffusion")
CUT_OFF = "dvc.lock' validation failed"  # DVC's own file, which it was killed in writing
LONGEST_S = 9.0  # from the start of DVC to the kill


def stage_below(run: "subprocess.Popen[bytes]") -> int | None:
    """Return the number of the process in which a stage runs."""
    with suppress(psutil.Error):  # any of them may end while it is looked at
        for child in psutil.Process(run.pid).children(recursive=True):
            if any(part.startswith("stages.") for part in child.cmdline()):
                return child.pid
    return None


def wait(run: Run, victim: str, seconds: float) -> None:
    """Wait for the moment of the kill, or for the end of the run.

    Args:
        run: of the pipeline.
        victim: of the kill. One that saves is killed as it does.
        seconds: from the start of DVC to the kill, or twice those from the start of a stage to the kill of that.
    """
    began = time.monotonic()
    while run.dvc.poll() is None:
        if victim == "stage" and not stage_below(run.dvc):
            began = time.monotonic() - seconds / 2
        if victim == SAVING and run.is_saving():
            return
        if time.monotonic() - began > (2 * LONGEST_S if victim == SAVING else seconds):
            return
        time.sleep(0.005)


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


@dataclass
class Tally:
    """What was killed, in which runs of the pipeline, how often as a state was saved, and as DVC wrote dvc.lock."""

    killed: Counter[str] = field(default_factory=Counter)
    met: set[str] = field(default_factory=set)
    n_saving: int = 0
    n_cut_off: int = 0


def forget(workspace: Workspace, name: str) -> None:
    """Make DVC forget that it has run something, so that it runs it again."""
    shutil.rmtree(workspace.folder / ".dvc/cache/runs", ignore_errors=True)
    path, kept, is_kept = workspace.folder / "dvc.lock", [], True
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if re.match(r"  \S", line):  # a run begins
            is_kept = line != f"  {name}:\n"
        kept += [line] * is_kept
    path.write_text("".join(kept), encoding="utf-8")
    if workspace.run("git", "status", "--porcelain").stdout:
        workspace.commit(f"as if {name} had not run")


@pytest.mark.parametrize("part", range(N_PARTS))
def test_a_pipeline_killed_at_random_moments_ends_with_the_same_bytes(
    finished: Workspace, tmp_path: Path, faults: Faults, part: int
) -> None:
    workspace, expected, log = finished.copy(tmp_path / "killed"), finished.outputs(), tmp_path / "log"
    moments, tally = random.Random(part), Tally()  # noqa: S311
    stages = [stage for stage in ORDER if stage != ELSEWHERE]
    runs = [*(first_run(workspace, stage)[0] for stage in stages), *MORE_RUNS][part::N_PARTS]
    for name in runs:
        forget(workspace, name)
        trains = name.partition("@")[0] in TRAINING
        for victim in (*VICTIMS, *VICTIMS[:2], SAVING if trains else "group"):
            while not kill_once(workspace, log, victim, moments, expected, faults, tally):
                forget(workspace, name)  # it was over before
        done = workspace.run("dvc", "repro", check=False)
        if CUT_OFF in done.stderr:
            workspace.run("git", "checkout", "dvc.lock")
            done = workspace.run("dvc", "repro")
        assert done.returncode == 0, done.stderr[-3000:]
        assert workspace.outputs() == expected
    assert "up to date" in workspace.run("dvc", "repro").stdout
    assert list((workspace.folder / ".dvc/tmp/latentbench").iterdir()) == []
    left = [path for top in ("data", "metrics") for path in (workspace.folder / top).rglob(".*.tmp")]
    assert left == []
    assert tally.killed.total() == 6 * len(runs)
    assert min(tally.killed[victim] for victim in VICTIMS) >= len(runs), tally
    assert tally.n_saving >= 2, tally
    assert tally.n_cut_off <= len(runs), tally
    assert len(tally.met & set(runs)) >= len(runs) * 2 // 3, tally


def kill_once(
    workspace: Workspace,
    log: Path,
    victim: str,
    moments: random.Random,
    expected: dict[str, bytes],
    faults: Faults,
    tally: Tally,
) -> bool:
    """Kill a run of the pipeline, look at what it leaves, and return whether it was killed before it was over."""
    run = Run(workspace, log, "dvc", "repro")  # what it leaves alive stays so: the next one must cope with that
    wait(run, victim, moments.uniform(0.0, LONGEST_S))
    saving = run.is_saving()
    hit, said = kill(run.dvc, victim), run.said()
    assert "Traceback" not in said, said[-3000:]
    if run.dvc.returncode == 0:
        assert workspace.outputs() == expected
        return False
    if not hit and CUT_OFF in said:  # docs/guarantees.md tells of this, and what to do
        workspace.run("git", "checkout", "dvc.lock")
        tally.n_cut_off += 1
        return kill_once(workspace, log, victim, moments, expected, faults, tally)
    with faults.one():
        assert hit, f"it ended by itself: {said[-3000:]}"
        assert run.dvc.returncode == -signal.SIGKILL or hit == "stage", f"{hit}: {said[-3000:]}"
        remove_cut_off_locks(workspace)
        check_all_is_whole(workspace, expected)
    tally.killed[hit] += 1
    tally.n_saving += saving
    tally.met |= set(re.findall(r"Running stage '([^']+)'", said)[-1:])
    return True
