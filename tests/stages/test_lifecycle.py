"""The name that a stage's unfinished training is kept by follows from all that the training does, and from no more."""

import subprocess
import sys
from pathlib import Path

import pytest

from latentbench.params.base import View
from stages import lifecycle

DVC_YAML = """
stages:
  train:
    matrix:
      row: [a, b]
    cmd: python -m stages.train ${item.row}
    deps:
    - code
    - networks/${item.row}.py
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a project of one stage, which this process is in."""
    (tmp_path / "code").mkdir()
    (tmp_path / "networks").mkdir()
    (tmp_path / "code/fit.py").write_text("steps = 1\n")
    for row in "ab":
        (tmp_path / f"networks/{row}.py").write_text(f"name = '{row}'\n")
    (tmp_path / "dvc.yaml").write_text(DVC_YAML)
    (tmp_path / "params.yaml").write_text("{}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def name(row: str = "a", params: dict[str, int] | None = None, facts: tuple[str, ...] = ("threads 1",)) -> str:
    """Return the name of the training of a row."""
    params = params or {"epochs": 3}
    return lifecycle.identity("train", row, View(params, list(params)), facts)


def test_other_code_params_rows_and_facts_are_other_trainings(project: Path) -> None:
    before = name()
    assert name(row="b") != before
    assert name(params={"epochs": 4}) != before
    assert name(facts=("threads 2",)) != before
    (project / "networks/b.py").write_text("name = 'c'\n")
    assert name() == before
    (project / "code/fit.py").write_text("steps = 2\n")
    assert name() != before


def test_bytecode_that_python_writes_meanwhile_is_no_other_training(project: Path) -> None:
    before = name()
    (project / "code/__pycache__").mkdir()
    (project / "code/__pycache__/fit.cpython-311.pyc").write_bytes(b"compiled")
    assert name() == before
    (project / "code/more.py").write_text("steps = 2\n")
    assert name() != before


def test_the_memory_of_the_process_that_started_a_stage_is_not_its_own(root: Path) -> None:
    inner = "from stages import lifecycle; print(lifecycle.peak_memory())"
    outer = f"import subprocess, sys; kept = bytes(600 * 2**20); subprocess.run([sys.executable, '-c', {inner!r}])"
    told = subprocess.run([sys.executable, "-c", outer], cwd=root, capture_output=True, text=True, check=True).stdout
    assert 10 * 2**20 < int(told) < 500 * 2**20
