"""No stage does anything while any param is wrong, also one that it does not read."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.faults.counting import Faults
from tests.params.mistakes import every_mistake, with_value
from tests.pipeline.all_stages import runs
from tests.pipeline.workspace import Workspace

pytestmark = pytest.mark.faults


def test_every_stage_refuses_a_mistake_anywhere_before_it_writes(root: Path, faults: Faults, tmp_path: Path) -> None:
    workspace = Workspace(root, tmp_path)
    pipeline = yaml.safe_load((tmp_path / "dvc.yaml").read_text(encoding="utf-8"))
    params = workspace.params()
    mistakes = every_mistake(params)
    generator = np.random.default_rng(5)
    commands = {name.split("@")[0]: command for name, command, _ in runs(pipeline, params)}  # one run of each
    for command in commands.values():
        with faults.one():
            mistake = mistakes[generator.integers(len(mistakes))]
            content = with_value(params, mistake.key, mistake.value)
            (tmp_path / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
            before = {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts}
            done = workspace.run(*command.split(), check=False)
            assert done.returncode == 1, command
            assert done.stderr.startswith(f"params.yaml: {mistake.key}"), done.stderr
            assert "Traceback" not in done.stderr
            assert {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts} == before
