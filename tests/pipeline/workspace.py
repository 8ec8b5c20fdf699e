"""A copy of the project, as committed or about to be, with params that make every stage quick."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

# Small enough for seconds a stage, large enough that every class is there and every number is defined.
SMALL: dict[str, Any] = {
    "latent_dim": 6,
    "n_samples": 240,
    "precision": "float32",  # as on processors without bfloat16; tests/test_training.py and tests/diffusion have both
    "threads": 1,  # the other core is for the other worker of the tests
    "rows.reductions": ["umap", "supervised"],
    "rows.ae": ["ae_dense", "ae_conv"],
    "rows.vae": ["vae_dense", "vae_residual"],
    "data.train_size": 2000,
    "data.test_size": 300,
    "classifier.training.images": 5400,
    "pca.n_components": 30,
    "pca.reconstructions": [5, 30],
    "isomap.n_landmarks": 120,
    "isomap.n_sheets": 2,
    "isomap.search": {"n_neighbors": [8], "n_components": [5]},
    "random_projection.n_components": 20,
    "kernel_pca": {"method": "kernel_pca", "n_components": 30, "n_landmarks": 100, "bandwidth": 1.0},
    "patches": {"method": "patches", "n_components": 20, "n_filters": 8, "patch_size": 5, "n_cells": 4},
    "supervised.n_components": 20,
    "umap.n_epochs": 50,
    "ae_dense.training.images": 3600,
    "ae_conv.training.images": 3600,
    "ae_residual.training.images": 3600,
    "vae_dense.training.images": 3600,
    "vae_conv.training.images": 3600,
    "vae_residual.training.images": 3600,
    "densities.compared": ["mixture"],
    "densities.components": [1, 4],
    "latent_explore.n_prior_samples": 100,
    "latent_explore.map_points": 300,
    "latent_explore.interpolation_steps": 4,
    "diffusion.small.channels": 8,
    "diffusion.small.training.images": 3600,
    "diffusion.sampling.calls": 4,
    "diffusion_latent.small.coder.latent_dim": 8,
    "diffusion_latent.small.coder.training.images": 3600,
    "diffusion_latent.small.width": 32,
    "diffusion_latent.small.n_blocks": 1,
    "diffusion_latent.small.training.images": 3600,
    "diffusion_latent.sampling.calls": 4,
    "diffusion_latent.guidance": {"scale": 2.0, "dropped_share": 0.2},
    "diffusion_explore.n_compared": 50,
    "diffusion_explore.calls": [3, 5],
    "diffusion_explore.n_edited": 20,
    "diffusion_explore.inversion_steps": 4,
    "diffusion_explore.inpaint_calls": 4,
    "diffusion_explore.inpaint_repeats": 1,
    "diffusion_explore.inpaint_draws": 2,
    "diffusion_explore.strengths": [0.5],
    "evaluate.n_bootstrap": 200,
    "evaluate.likelihood_images": 60,
    "evaluate.bound_draws": 2,
    "evaluate.importance_samples": 4,
}

# The rows that are left out there: `test_another_dataset_is_one_param` has them, so that each is run once.
OTHER_ROWS = {
    "rows.reductions": ["random_projection", "kernel_pca", "patches"],
    "rows.ae": ["ae_residual"],
    "rows.vae": ["vae_conv"],
}
EVERY_ROW = {key: SMALL[key] + others for key, others in OTHER_ROWS.items()}


class Workspace:
    """A git repository of its own that holds the project; DVC's cache is its own too."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if name == "dvc.lock" or name.startswith("metrics/") or not (root / name).is_file():
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
        libraries = "data/explorer_libraries"  # `make test` fetches them before it runs pytest
        if not (root / libraries).is_dir():
            raise AssertionError(f"there is no {libraries}: 'make data' fetches it")
        shutil.copytree(root / libraries, folder / libraries)
        self.run("git", "init", "--quiet", "--initial-branch", "main")
        self.run("git", "config", "user.name", "test")
        self.run("git", "config", "user.email", "test@example.org")

    @classmethod
    def opened(cls, folder: Path) -> "Workspace":
        """Return the workspace that a folder is."""
        workspace = cls.__new__(cls)
        workspace.folder = folder
        return workspace

    def copy(self, folder: Path) -> "Workspace":
        """Return a copy of this workspace as it is, DVC's cache included, which goes its own way."""
        return Workspace.opened(Path(shutil.copytree(self.folder, folder, symlinks=True)))

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment that commands run in: this Python's tools come first on PATH."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "LATENTBENCH_RECORD_PARAMS": "", **more}

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the workspace; its output is kept as text."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=3600,  # against a hang alone: a busy machine takes several times as long as a quiet one
        )
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
        return done

    def set_up_make(self) -> None:
        """Give the workspace the environment of the tests as its own, so that `make` has nothing to set up."""
        environment = self.folder / ".venv"
        if environment.exists():  # of the workspace that this is a copy of
            return
        environment.mkdir()
        for path in Path(sys.prefix).iterdir():
            (environment / path.name).symlink_to(path)
        (environment / "installed").unlink(missing_ok=True)
        (environment / "installed").touch()

    def commit(self, message: str) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def params(self) -> dict[str, Any]:
        """Return the content of params.yaml."""
        content: dict[str, Any] = yaml.safe_load((self.folder / "params.yaml").read_text(encoding="utf-8"))
        return content

    def set_params(self, changes: dict[str, Any]) -> None:
        """Change params by dotted key."""
        content = self.params()
        for key, value in changes.items():
            *path, last = key.split(".")
            section = content
            for part in path:
                section = section[part]
            section[last] = value
        (self.folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    def set_dataset(self, **changes: Any) -> None:
        """Change what the file of Fashion-MNIST says."""
        path = self.folder / "datasets/fashion_mnist.yaml"
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump(content | changes, sort_keys=False), encoding="utf-8")

    def take_data_from(self, folder: Path) -> None:
        """Make a folder of arrays, named as in data/raw, the only source."""
        files = {
            f"{split}_{kind}": f"{split}_{kind}.npy" for split in ("train", "test") for kind in ("images", "labels")
        }
        self.set_dataset(
            format="npy",
            sources=[{"folder": str(folder)}],
            files={role: {"name": name} for role, name in files.items()},
        )

    def outputs(self) -> dict[str, bytes]:
        """Return the bytes of everything that stages write, but for what it cost."""
        found = {}
        for top in ("data", "metrics"):
            for path in sorted((self.folder / top).rglob("*")):
                name = path.relative_to(self.folder).as_posix()
                if path.is_file() and path.name != ".gitignore" and not name.startswith("data/timing/"):
                    found[name] = path.read_bytes()
        return found


def stages_run(output: str) -> list[str]:
    """Return the names of the stages that `dvc repro` or `dvc exp run` said it ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]
