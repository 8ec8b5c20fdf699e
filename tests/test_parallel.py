"""Two processes that share each batch train what one process trains."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
from torch import Tensor

from tests.parallel_trainings import LOOPBACK, N_TRAIN, PLAN


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one process wrote."""

    facts: dict[str, Any]
    weights: dict[str, Tensor]

    @classmethod
    def read(cls, folder: Path, rank: int) -> "Outcome":
        facts = json.loads((folder / f"{rank}.json").read_text(encoding="utf-8"))
        return cls(facts, safetensors.torch.load_file(folder / f"{rank}.safetensors"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def outcomes(images: np.ndarray, root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, list[Outcome]]:
    """Return what one process made of the trainings, and what each of two did."""
    folder = tmp_path_factory.mktemp("parallel")
    np.save(folder / "images.npy", images[: N_TRAIN + 99])
    launcher = ["-m", "torch.distributed.run", "--nnodes", "1", "--nproc-per-node", "2"]
    launcher += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    for name, start in (("one", []), ("two", launcher)):
        (folder / name).mkdir()
        command = [sys.executable, *start, "-m", "tests.parallel_trainings"]
        command += [str(folder / "images.npy"), str(folder / name)]
        done = subprocess.run(
            command, cwd=root, env={**os.environ, **LOOPBACK}, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr[-5000:]
        assert done.stderr.count("resuming from step 2 of epoch 2") == 1  # one process speaks for all
    return Outcome.read(folder / "one", 0), [Outcome.read(folder / "two", rank) for rank in (0, 1)]


TASKS = ("dense", "conv", "muon", "vae", "total_correlation")


@pytest.mark.parametrize("task", TASKS)
def test_each_process_has_its_own_part_of_every_batch(task: str, outcomes: tuple[Outcome, list[Outcome]]) -> None:
    one, two = outcomes
    assert [each.facts["size"] for each in (one, *two)] == [1, 2, 2]
    batches = one.facts["shares"][task]
    assert [len(batch) for batch in batches] == [64, 64, 64, 64, 45] * PLAN.epochs
    for batch, first, second in zip(batches, *(each.facts["shares"][task] for each in two), strict=True):
        assert first + second == batch
        assert len(first) - len(second) == len(batch) % 2


@pytest.mark.parametrize("task", TASKS)
def test_two_processes_end_where_one_does(task: str, outcomes: tuple[Outcome, list[Outcome]]) -> None:
    one, two = outcomes
    rtol = 1e-4 if task in ("vae", "total_correlation") else 1e-8  # in single and in double precision
    for name, expected in one.weights.items():
        if name.startswith(f"{task}."):
            np.testing.assert_allclose(two[0].weights[name], expected, rtol=rtol, atol=rtol, err_msg=name)
    close = 1e-4 if task == "total_correlation" else 1e-5  # it is a small difference of sums in single precision
    for found, expected in zip(two[0].facts["epochs"][task], one.facts["epochs"][task], strict=True):
        assert found[0] == pytest.approx(expected[0], rel=close)
        assert found[1] == pytest.approx(expected[1], rel=close)
        assert found[2] == expected[2]


def test_all_processes_hold_the_same_bytes(outcomes: tuple[Outcome, list[Outcome]]) -> None:
    _, (first, second) = outcomes
    assert first.weights.keys() == second.weights.keys()
    assert all(tensor.equal(second.weights[name]) for name, tensor in first.weights.items())
    assert first.facts["epochs"] == second.facts["epochs"]
    assert first.facts["told"] == second.facts["told"] == ["state", "", None]


def test_two_processes_go_on_from_their_checkpoint_exactly(outcomes: tuple[Outcome, list[Outcome]]) -> None:
    one, two = outcomes
    for each in (one, *two):
        names = [name.removeprefix("resumed.") for name in each.weights if name.startswith("resumed.")]
        assert len(names) > 10
        assert all(each.weights[f"resumed.{name}"].equal(each.weights[f"dense.{name}"]) for name in names)
        assert each.facts["epochs"]["resumed"] == each.facts["epochs"]["dense"]
        assert each.facts["shares"]["resumed"] == each.facts["shares"]["dense"][7:]


def test_a_batch_that_cannot_be_shared_is_an_error(outcomes: tuple[Outcome, list[Outcome]]) -> None:
    says = "a batch of 1 images cannot be split between 2 processes: choose another batch_size"
    assert [each.facts["error"] for each in outcomes[1]] == [says, says]
