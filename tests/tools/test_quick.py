"""`make quick`: a sketch in a folder of its own that leaves the project as it was."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from latentbench.core import artifacts
from latentbench.params.base import ParamsError
from tests.pipeline.workspace import Workspace
from tools import quick

FEW = ["rows.isomap=[]", "rows.reductions=[]", "rows.ae=[ae_conv]", "rows.vae=[]", "rows.diffusion=[]"]


def test_a_sketch_has_every_table_and_picture_and_changes_nothing_else(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy(tmp_path / "copy")
    before = workspace.run("git", "status", "--porcelain").stdout
    locked = (workspace.folder / "dvc.lock").read_bytes()
    done = workspace.run("python", "-m", "tools.quick", "--set", *FEW, "latent_dim=4", "data.test_size=150")
    folder = workspace.folder / "quick"
    assert "the sketch is in quick" in done.stderr
    page = (folder / "report/index.html").read_text(encoding="utf-8")
    assert "A sketch, from few images and short trainings (budget 0.04)" in page
    table = artifacts.read_table(folder / "metrics/evaluate/representations.csv").set_index("row")
    assert list(table.index) == ["raw", "pca", "ae_conv"]
    assert table.loc["ae_conv", "dims"] == 4
    assert (folder / "metrics/evaluate/reconstructions.png").is_file()
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    assert (params["budget"], params["data"]["test_size"]) == (quick._SKETCH["budget"], 150)
    assert workspace.run("git", "status", "--porcelain").stdout == before
    assert (workspace.folder / "dvc.lock").read_bytes() == locked
    assert workspace.run("dvc", "status").stdout == finished.run("dvc", "status").stdout


def test_a_sketch_of_another_dataset_fetches_that_alone(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy(tmp_path / "copy")
    shutil.rmtree(workspace.folder / "data/raw")  # it needs no other dataset
    workspace.run("python", "-m", "tools.quick", "--set", *FEW[:2], "rows.ae=[]", *FEW[3:], "data.dataset=digits")
    folder = workspace.folder / "quick"
    assert artifacts.read_json(folder / "data/processed/dataset.json")["image_shape"] == [1, 8, 8]
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    assert params["data"]["train_size"] is None, "there are fewer than a sketch takes"
    assert "digits" in (folder / "report/index.html").read_text(encoding="utf-8")
    assert not (workspace.folder / "data/raw").exists()


def test_a_stage_that_fails_is_named_with_its_log(finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy(tmp_path / "copy")
    damaged = workspace.folder / "data/raw/train_images.npy"
    damaged.unlink()
    damaged.write_bytes(b"no array")
    done = workspace.run("python", "-m", "tools.quick", "--set", *FEW, check=False)
    assert done.returncode == 1
    assert "train_images.npy" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_sketch_that_is_killed_leaves_no_worker(root: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(600)\n"
    )
    command = f"""
from pathlib import Path
from tools import quick
if __name__ == "__main__":
    quick.run(Path({str(tmp_path)!r}), [quick.Task("slow", "slow", [], frozenset())], 1)
"""
    (tmp_path / "sketch.py").write_text(command)
    environment = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, tmp_path / "sketch.py"], env=environment, start_new_session=True) as sketch:
        pid = tmp_path / "pid"
        waited_for(lambda: pid.exists() and pid.read_text())
        sketch.kill()
        waited_for(lambda: not psutil.pid_exists(int(pid.read_text())))


def waited_for(true: Callable[[], object]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("latent_dim", "write a change as KEY=VALUE"),
        ("latent_dimm=3", "latent_dimm: there is no such param"),
        ("budget=0", "budget: .*greater than 0"),
    ],
)
def test_a_wrong_change_is_told(
    change: str, says: str, root: Path, finished: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.folder)
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    with pytest.raises((quick.QuickError, ParamsError, quick.experiments.ExperimentError), match=says):
        quick.sketched(params, [change])
    assert not (finished.folder / "quick").exists()
