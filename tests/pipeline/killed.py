"""A command of a workspace that a test may kill, with all that it starts."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.pipeline.workspace import Workspace

PATIENCE_S = 300.0


class Run:
    """One `dvc` command in a process group of its own, with the training that it starts.

    Args:
        workspace: where it runs.
        command: what to run.
        log: file that takes what all of its processes say.
        save_every_s: seconds between two states on disk.
    """

    def __init__(self, workspace: Workspace, log: Path, *command: str, save_every_s: float = 0.1) -> None:
        self._log = log
        self.checkpoints = workspace.folder / ".dvc/tmp/latentbench"
        with log.open("wb") as output:
            self.dvc = subprocess.Popen(
                command,
                cwd=workspace.folder,
                env=workspace.environment(LATENTBENCH_CHECKPOINT_SECONDS=str(save_every_s)),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running, however the test ends."""
        with suppress(ProcessLookupError):
            os.killpg(self.dvc.pid, signal.SIGKILL)
        self.dvc.wait()

    def said(self) -> str:
        """Return what was said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def wait_until(self, what: Callable[[], object]) -> None:
        """Wait for something to happen while the run goes on."""
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert self.dvc.poll() is None, f"it ended first:\n{self.said()}"
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.002)

    def has_saved(self) -> bool:
        """Tell whether there is a state on disk."""
        return any(self.checkpoints.glob("[!.]*.safetensors"))

    def is_saving(self) -> bool:
        """Tell whether a state is being written."""
        return any(self.checkpoints.glob(".*.tmp"))

    def training(self) -> int:
        """Return the number of the process that trains."""
        (lock,) = self.checkpoints.glob("*.lock")
        return int(lock.read_text(encoding="utf-8"))

    def kill_group(self) -> None:
        """Kill DVC and all that it started."""
        os.killpg(self.dvc.pid, signal.SIGKILL)
        self.dvc.wait()

    def end(self) -> int:
        """Wait for the end and return the exit status."""
        return self.dvc.wait(timeout=PATIENCE_S)
