"""`dvc exp run -S` writes params.yaml anew: it must change the lines of its param, and no others."""

import shutil
import subprocess
import sys
from difflib import ndiff
from pathlib import Path

import pytest

STAGE = "stages:\n  copy:\n    cmd: cp params.yaml copy.yaml\n    params: [params.yaml: ]\n    outs: [copy.yaml]\n"


@pytest.fixture
def project(root: Path, tmp_path: Path) -> Path:
    """Return a DVC project that has this project's params and one stage, which reads them all."""
    shutil.copy(root / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text(STAGE, encoding="utf-8")
    for command in (
        ["git", "init", "--quiet"],
        ["git", "config", "user.name", "test"],
        ["git", "config", "user.email", "test@example.org"],
        [sys.executable, "-m", "dvc", "init", "--quiet"],
        ["git", "add", "--all"],
        ["git", "commit", "--quiet", "--message", "params"],
    ):
        subprocess.run(command, cwd=tmp_path, check=True)
    return tmp_path


def test_an_experiment_changes_the_lines_of_its_params_alone(project: Path) -> None:
    """All kinds of values in one run: a scalar, a list, an empty one, a value for null, null for a value."""
    changes = {
        "latent_dim=32": (["latent_dim: 64"], ["latent_dim: 32"]),
        "rows.ae=[]": (["  ae:", "  - ae_dense", "  - ae_conv", "  - ae_residual"], ["  ae: []"]),
        "data.train_size=5000": (["  train_size:"], ["  train_size: 5000"]),
        "pca.reconstructions=[5,184]": (["  - 10"], ["  - 5"]),
        "vae_dense.beta=0.5": (["  beta: 1.0"], ["  beta: 0.5"]),
        "latent_explore.dimensions=[0,1]": ([], ["  - 0", "  - 1"]),
        "evaluate.likelihood_images=null": (["  likelihood_images: 1000"], ["  likelihood_images:"]),
    }
    path = project / "params.yaml"
    before = path.read_text(encoding="utf-8")
    given = [part for override in changes for part in ("-S", override)]
    subprocess.run([sys.executable, "-m", "dvc", "exp", "run", "--quiet", *given], cwd=project, check=True)
    changed = list(ndiff(before.splitlines(), path.read_text(encoding="utf-8").splitlines()))
    for sign, expected in zip("-+", zip(*changes.values(), strict=True), strict=True):
        lines = [line[2:].split("  #")[0].rstrip() for line in changed if line.startswith(sign)]
        assert lines == [line for part in expected for line in part]
    gone, new = ([line.partition("#")[2] for line in changed if line[0] == sign and "#" in line] for sign in "-+")
    assert gone == new, "a comment was lost"
