"""A killed training goes on as if nothing had been; its state on disk is whole, and one process's at a time."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from latentbench import checkpoints, inference, training
from latentbench.checkpoints import Checkpoint, CheckpointError
from latentbench.core.artifacts import ArtifactError
from latentbench.networks.autoencoders import base as autoencoders
from latentbench.training import Epoch, Plan, Step

# Everything on.
PLAN = Plan(
    epochs=8,
    batch_size=16,
    learning_rate=0.01,
    schedule="cosine",
    warmup_steps=5,
    weight_decay=0.05,
    clip_norm=0.5,
    patience=2,
    min_delta=0.012,
    ema_decay=0.8,
)


class SavesEvery(Checkpoint):
    """Saves after so many steps, however long they take."""

    def __init__(self, path: Path, n_steps: int) -> None:
        super().__init__(path, 0.0)
        self._n_steps, self._asked = n_steps, 0

    def is_due(self) -> bool:
        self._asked += 1
        return self._asked % self._n_steps == 0


class Killed(Exception):  # noqa: N818
    """Stands for SIGKILL."""


def build(name: str) -> nn.Module:
    torch.manual_seed(3)
    if name == "dropout":
        return nn.Sequential(
            *(nn.Flatten(), nn.Linear(144, 20), nn.ReLU(), nn.Dropout(0.3)),
            *(nn.Linear(20, 144), nn.Unflatten(1, (1, 12, 12))),
        )
    return autoencoders.build("dense" if name == "dense" else "conv", (1, 12, 12), 6)


@pytest.fixture(scope="module")
def data(images: np.ndarray) -> list[Tensor]:
    return [torch.tensor(images[:90, :, 8:20, 8:20])]


class Training:
    """A training of a small network on 60 images in 4 steps an epoch, which may be stopped after some new events."""

    def __init__(self, name: str, data: list[Tensor], plan: Plan = PLAN) -> None:
        self.network, self.plan, self.events = build(name), plan, list[Step | Epoch]()
        self._train, self._validation = [data[0][:60]], [data[0][60:]]

    def run(self, checkpoint: Checkpoint | None, table: Path, stop_after: int | None = None) -> dict[str, float]:
        def loss(batch: training.Batch) -> dict[str, Tensor]:
            originals = inference.to_unit(batch.tensors[0])
            noisy = originals + 0.2 * batch.normal(1, 12, 12)
            error = functional.mse_loss(self.network(noisy), originals)
            return {"loss": error + 0.01 * batch.uniform().mean(), "error": error}

        run = training.fit(self.network, loss, self._train, self._validation, self.plan, seed=5, checkpoint=checkpoint)

        def noted() -> Iterator[Step | Epoch]:
            n_new = 0
            for event in run:
                self.events.append(event)
                yield event
                n_new += isinstance(event, Step) or n_new > 0  # what comes before a step is only told again
                if n_new == stop_after:
                    raise Killed

        with closing(run):
            return training.follow(noted(), table, "test")

    def epochs(self) -> list[Epoch]:
        return [event for event in self.events if isinstance(event, Epoch)]


def assert_same(found: Training, expected: Training, folder: Path) -> None:
    assert found.epochs() == expected.epochs()
    weights = expected.network.state_dict()
    assert found.network.state_dict().keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in found.network.state_dict().items())
    assert not found.network.training
    assert (folder / "resumed.csv").read_bytes() == (folder / "whole.csv").read_bytes()


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize(("name", "min_delta"), [("dense", 0.012), ("conv", 0.012), ("dropout", 0.04)])
def test_a_training_stopped_anywhere_ends_as_if_it_had_not_been(
    name: str, min_delta: float, n_steps: int, data: list[Tensor], tmp_path: Path
) -> None:
    plan = dataclasses.replace(PLAN, min_delta=min_delta)
    whole = Training(name, data, plan)
    summary = whole.run(None, tmp_path / "whole.csv")
    assert 2 < len(whole.epochs()) < PLAN.epochs, "it should stop early, but not at once"
    path = tmp_path / "state.safetensors"
    # Of the 5 events of an epoch, each comes to be the last: after every step, between epochs; then the very last one.
    for stop_after in [*range(1, len(whole.events), 4), len(whole.events)]:
        path.unlink(missing_ok=True)
        with pytest.raises(Killed):
            Training(name, data, plan).run(SavesEvery(path, n_steps), tmp_path / "resumed.csv", stop_after)
        resumed = Training(name, data, plan)
        assert resumed.run(SavesEvery(path, n_steps), tmp_path / "resumed.csv") == summary
        assert_same(resumed, whole, tmp_path)
        steps = [event for event in resumed.events if isinstance(event, Step)]
        saved = [event for event in whole.events[:stop_after] if isinstance(event, Step)]
        assert len(steps) == sum(isinstance(event, Step) for event in whole.events) - len(saved) // n_steps * n_steps


def test_a_training_that_is_killed_again_and_again_gets_there(data: list[Tensor], tmp_path: Path) -> None:
    whole = Training("dense", data)
    whole.run(None, tmp_path / "whole.csv")
    path, n_kills = tmp_path / "state.safetensors", 0
    while True:
        resumed = Training("dense", data)
        try:
            resumed.run(SavesEvery(path, 1), tmp_path / "resumed.csv", stop_after=3)
            break
        except Killed:
            n_kills += 1
    assert n_kills > 4
    assert_same(resumed, whole, tmp_path)


def test_the_state_of_another_network_is_refused(data: list[Tensor], tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    with pytest.raises(Killed):
        Training("dropout", data).run(SavesEvery(path, 1), tmp_path / "loss.csv", 3)
    other = Training("dropout", data)
    other.network[1] = nn.Linear(144, 21)
    other.network[4] = nn.Linear(21, 144)
    with pytest.raises(CheckpointError, match=r"does not hold the state of this training; delete it .*size mismatch"):
        other.run(Checkpoint(path, 0.0), tmp_path / "loss.csv")
    with pytest.raises(CheckpointError, match=r"delete it to start over .*(Missing|Unexpected) key"):
        Training("conv", data).run(Checkpoint(path, 0.0), tmp_path / "loss.csv")


@pytest.mark.parametrize("damage", ["empty", "short", "header", "half", "other", "tail"])
def test_a_damaged_state_is_an_error_that_names_the_file(damage: str, data: list[Tensor], tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    with pytest.raises(Killed):
        Training("dropout", data).run(SavesEvery(path, 1), tmp_path / "loss.csv", 3)
    whole = path.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "short": whole[:5],
            "header": whole[:100],
            "half": whole[: len(whole) // 2],
            "other": bytes(1000),
            "tail": whole + b"more",
        }[damage]
    )
    with pytest.raises(CheckpointError) as caught:
        Training("dropout", data).run(Checkpoint(path, 0.0), tmp_path / "loss.csv")
    assert str(path) in str(caught.value)
    assert "delete it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_saving_waits_for_the_interval(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state.safetensors", 0.2)
    assert not checkpoint.is_due()
    time.sleep(0.21)
    assert checkpoint.is_due()
    checkpoint.save(b"1")
    assert not checkpoint.is_due()
    assert Checkpoint(tmp_path / "state.safetensors", 0.2).load() == b"1"
    assert Checkpoint(tmp_path / "none", 0.2).load() is None


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_state_before(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    checkpoint = Checkpoint(tmp_path / "state.safetensors", 0.0)
    checkpoint.save(b"before")
    with monkeypatch.context() as patch:
        patch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[broken], full)
        with pytest.raises(ArtifactError, match=r"cannot write .*state.*No space left"):
            checkpoint.save(b"after" * 1000)
    assert checkpoint.load() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_the_state_goes_when_the_work_ends_well_and_stays_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.safetensors"

    def fail() -> None:
        with checkpoints.locked(path, 0.0) as checkpoint:
            checkpoint.save(b"1")
            raise Killed

    with pytest.raises(Killed):
        fail()
    with checkpoints.locked(path, 0.0) as checkpoint:
        assert checkpoint.load() == b"1"
    assert list(path.parent.iterdir()) == []


HOLDER = """
import sys
from pathlib import Path
from latentbench import checkpoints
with checkpoints.locked(Path(sys.argv[1]), 0.0) as checkpoint:
    print("has it", checkpoint.load(), flush=True)
    checkpoint.save(sys.argv[2].encode())
    if not sys.stdin.readline():
        raise SystemExit(1)
"""


def start(code: str, *arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("end", ["well", "killed"])
def test_a_second_process_waits_for_the_first_and_says_so(end: str, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    with start(HOLDER, path, "first") as first, start(HOLDER, path, "second") as second:
        streams = {first: first.stdout, second: second.stdout}
        # Whichever is quicker has it; the other speaks up.
        while not path.exists():
            time.sleep(0.02)
            assert first.poll() is None
            assert second.poll() is None
        holder = first if path.read_bytes() == b"first" else second
        waiter = second if holder is first else first
        assert streams[holder] is not None
        assert waiter.stderr is not None
        assert streams[holder].readline() == "has it None\n"
        assert f"process {holder.pid} is training the same model; waiting for it to end" in waiter.stderr.readline()
        if end == "killed":
            holder.send_signal(signal.SIGKILL)
        else:
            holder.communicate("go\n")
        found = None if end == "well" else path.read_bytes()
        output, _ = waiter.communicate("go\n", timeout=30)
        assert output == f"has it {found}\n"
        assert waiter.returncode == 0
    assert list(tmp_path.iterdir()) == []


ORPHAN = """
import os, sys, time
from pathlib import Path
from latentbench import checkpoints
from latentbench.core import orphans
checkpoint = checkpoints.Checkpoint(Path(sys.argv[1]), 1000.0, orphans.ancestors_until("MARK"))
Path(sys.argv[2]).write_text("ready")
deadline = time.monotonic() + 30
while time.monotonic() < deadline:
    if checkpoint.is_due():
        try:
            checkpoint.save(b"kept")
        except orphans.OrphanedError as error:
            Path(sys.argv[2]).write_text(f"orphaned: {error}")
            break
    time.sleep(0.02)
"""
STARTER = """
import os, subprocess, sys
subprocess.run(sys.argv[1:], env={**os.environ, "MARK": "1"})
"""


@pytest.mark.parametrize("between", ["nothing", "a shell"])
def test_a_training_whose_starter_was_killed_saves_and_stops(between: str, tmp_path: Path) -> None:
    if between == "a shell" and not Path("/proc/self/environ").exists():
        pytest.skip("without /proc a process sees its parent only")
    state, said = tmp_path / "state.safetensors", tmp_path / "said"
    command = [sys.executable, "-c", ORPHAN, str(state), str(said)]
    if between == "a shell":
        command = ["/bin/sh", "-c", '"$@"; true', "sh", *command]
    with subprocess.Popen([sys.executable, "-c", STARTER, *command]) as starter:
        while not said.exists():
            time.sleep(0.02)
            assert starter.poll() is None
        time.sleep(0.2)
        assert said.read_text(encoding="utf-8") == "ready"
        assert not state.exists()
        starter.kill()
    deadline = time.monotonic() + 15
    while not said.read_text(encoding="utf-8").startswith("orphaned") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "the run that started this stage has died; its state is kept" in said.read_text(encoding="utf-8")
    assert state.read_bytes() == b"kept"


LATE_ORPHAN = """
import sys, time
from pathlib import Path
from latentbench.core import orphans
Path(sys.argv[1]).write_text("started")
deadline = time.monotonic() + 30
while not Path(sys.argv[2]).exists() and time.monotonic() < deadline:
    time.sleep(0.02)
try:
    said = f"goes on below {orphans.ancestors_until('MARK')}"
except orphans.OrphanedError as error:
    said = f"orphaned: {error}"
Path(sys.argv[1]).write_text(said)
"""


def test_a_process_that_finds_its_starter_dead_does_not_begin(tmp_path: Path) -> None:
    said, go = tmp_path / "said", tmp_path / "go"
    command = [sys.executable, "-c", STARTER, sys.executable, "-c", LATE_ORPHAN, str(said), str(go)]
    # In a session of its own, as behind a terminal: whoever adopts the orphan belongs to another.
    with subprocess.Popen(command, start_new_session=True) as starter:
        while not said.exists():
            time.sleep(0.02)
            assert starter.poll() is None
        starter.kill()
    go.touch()
    deadline = time.monotonic() + 15
    while said.read_text(encoding="utf-8") in {"", "started"} and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "orphaned: the run that started this stage has died" in said.read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(ArtifactError, match="cannot lock .*file/state.lock"),
        checkpoints.locked(tmp_path / "file" / "state.safetensors", 1.0),
    ):
        pass
