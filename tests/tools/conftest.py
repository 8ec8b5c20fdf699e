"""A git repository with a committed run and experiments of it, as DVC leaves them; nothing is trained."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
import yaml

from tools.lib import experiments


def params_with(*, seed: int = 0, latent_dim: int = 64, beta: float = 1.0) -> dict[str, object]:
    """Return the params of a run that compares PCA, Isomap and a VAE."""
    rows = {"pca": ["pca"], "isomap": ["isomap"], "ae": [], "vae": ["vae_dense"], "diffusion": []}
    return {"rows": rows, "seed": seed, "latent_dim": latent_dim, "vae_dense": {"beta": beta}}


class Repository:
    """Commits and experiments of a project that holds params and comparisons."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.name", "test")
        self.git("config", "user.email", "test@example.org")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def write(self, params: dict[str, object], shift: float = 0.0, judge: str = "abc") -> None:
        """Write params, and comparisons whose scores are moved by `shift`."""
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        folder = self.folder / "metrics" / "evaluate"
        folder.mkdir(parents=True, exist_ok=True)
        ends = {"knn_accuracy_lo": 0.5, "knn_accuracy_hi": 0.9}
        judged = {"n": 10, "classifier": judge}
        # What the stage of a row writes, as DVC keeps it.
        outs = [{"path": "metrics/vae_dense/metrics.json", "hash": "md5", "md5": "0" * 32}]
        lock = {"schema": "2.0", "stages": {"vae@vae_dense": {"outs": outs}}}
        (self.folder / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
        training = self.folder / "metrics" / "vae_dense"
        training.mkdir(exist_ok=True)
        (training / "metrics.json").write_text(
            json.dumps({"epochs": 2, "validation_loss": 240 + shift}), encoding="utf-8"
        )
        representations = [
            {"row": "raw", "dims": 784, "knn_accuracy": 0.86, **ends},
            {"row": "pca", "dims": 64, "knn_accuracy": 0.86, **ends, "mse": 0.01},
            {"row": "isomap", "dims": 10, "knn_accuracy": 0.81 + shift, **ends},
            {
                "row": "vae_dense",
                "dims": 64,
                "knn_accuracy": 0.8 + shift,
                **ends,
                "knn_leave_one_out": 0.81 + shift,
                "mse": 0.02,
                "knn_weights": "uniform",
            },
        ]
        generators = [
            {"row": "real", "frechet": 1.0 + shift, "frechet_lo": 0.5, "frechet_hi": 1.5, **judged},
            {"row": "pca", "frechet": 300 + shift, "frechet_lo": 290, "frechet_hi": 310, **judged},
            {
                "row": "vae_dense",
                "frechet": 200 + shift,
                "frechet_lo": 190,
                "frechet_hi": 210,
                "bits_per_dim": 3 + shift,
                **judged,
            },
        ]
        bound = {"kl_nats": 20 + shift, "bits_per_dim": 3 + shift, "likelihood": "discretized_logistic"}
        likelihoods = [{"row": "vae_dense", "n": 10, **bound}]
        for name, rows in (
            ("representations", representations),
            ("generators", generators),
            ("likelihoods", likelihoods),
        ):
            pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a run")

    def add_experiment(self, name: str, params: dict[str, object], shift: float = 0.0, judge: str = "abc") -> str:
        """Keep an experiment of the last commit where DVC keeps it, and leave the workspace as it was."""
        head = self.git("rev-parse", "HEAD")
        self.write(params, shift, judge)
        self.git("add", "--all")
        made = self.git("commit-tree", "-p", head, "-m", name, self.git("write-tree"))
        self.git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", made)
        self.git("reset", "--quiet", "--hard", head)
        return made


def call(module: ModuleType, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a tool's command in a repository that has no DVC: every experiment is there already."""
    monkeypatch.setattr(experiments, "check_reproduced", lambda: None)
    monkeypatch.setattr(sys, "argv", ["tool", *arguments])
    module.main()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Return a repository with one committed run, seed 0 and beta 1, in which the test works."""
    monkeypatch.chdir(tmp_path)
    made = Repository(tmp_path)
    made.write(params_with())
    made.commit()
    return made
