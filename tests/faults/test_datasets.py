"""Datasets of other kinds through every stage, by one `dvc exp run` each, to the report."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from sklearn.datasets import load_sample_images

from latentbench.core import artifacts
from tests.pipeline.workspace import EVERY_ROW, SMALL, Workspace

pytestmark = pytest.mark.faults

ALL = EVERY_ROW | {"data.train_size": None, "data.test_size": None}


def patches_of_cells(side: int, counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return patches (n, 3, side, side) of two photographs, cut into 48 cells each of which is a class, and labels."""
    generator = np.random.default_rng(0)
    cells = [
        np.hsplit(row, 6)[column]
        for photograph in load_sample_images().images
        for row in np.vsplit(photograph[:424, :636], 4)
        for column in range(6)
    ]
    patches, labels = [], []
    for label, n in enumerate(counts):
        height, width = cells[label].shape[:2]
        tops, lefts = generator.integers(0, height - side + 1, n), generator.integers(0, width - side + 1, n)
        patches += [cells[label][top : top + side, left : left + side] for top, left in zip(tops, lefts, strict=True)]
        labels += [label] * n
    return np.stack(patches).transpose(0, 3, 1, 2), np.array(labels, dtype=np.uint8)


def run(root: Path, folder: Path, name: str, params: dict[str, Any]) -> Workspace:
    (folder / "workspace").mkdir()
    workspace = Workspace(root, folder / "workspace")
    workspace.set_params(params)
    described = folder / f"{name}.yaml"
    if described.is_file():
        described.rename(workspace.folder / "datasets" / described.name)
    workspace.commit("another dataset")
    workspace.run("dvc", "exp", "run", "-S", f"data.dataset={name}")
    assert "up to date" in workspace.run("dvc", "repro").stdout
    workspace.run("python", "-m", "tools.report")
    assert (workspace.folder / "report/index.html").stat().st_size > 100_000
    return workspace


def described(folder: Path, name: str, pixels: np.ndarray, labels: np.ndarray) -> None:
    np.savez(folder / f"{name}.npz", x_train=pixels, y_train=labels)
    files = {"archive": {"name": f"{name}.npz"}}
    content = {"title": name, "format": "npy", "sources": [{"folder": str(folder)}], "files": files}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def scores(workspace: Workspace, table: str) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = artifacts.read_json(workspace.folder / f"metrics/evaluate/{table}.json")
    return found


def test_digits_of_8x8_pixels(root: Path, tmp_path: Path) -> None:
    workspace = run(root, tmp_path, "digits", SMALL | ALL)
    representations, generators = scores(workspace, "representations"), scores(workspace, "generators")
    assert representations["raw"]["dims"] == 64
    assert representations["raw"]["knn_accuracy"] > 0.95
    assert representations["pca"]["mse"] < representations["ae_dense"]["mse"] < 0.17, "half grey has an error of 0.179"
    assert generators["real"]["frechet"] < generators["pca"]["frechet"]
    spectrum = artifacts.read_table(workspace.folder / "metrics/diffusion_explore/diffusion/spectrum.csv")
    assert np.isfinite(spectrum.to_numpy(dtype=float)).all()


def test_5170_patches_in_colour_of_47_classes(root: Path, tmp_path: Path) -> None:
    described(tmp_path, "cells", *patches_of_cells(32, [110] * 47))
    workspace = run(root, tmp_path, "cells", SMALL | ALL)
    representations, generators = scores(workspace, "representations"), scores(workspace, "generators")
    assert representations["raw"]["dims"] == 3072
    assert representations["raw"]["knn_accuracy"] > 5 / 47
    assert generators["real"]["classes_present"] > 47 / 2, "as a classifier sees them that was trained for seconds"
    recipe = workspace.params()["vae_dense"]["training"]
    taken = artifacts.read_json(workspace.folder / "data/models/vae_dense/model.json")["training"]
    assert taken["learning_rate"] == pytest.approx(recipe["learning_rate"] * 784 / 3072)
    assert artifacts.read_array(workspace.folder / "data/samples/diffusion/any.npy").shape == (240, 3, 32, 32)


def test_400_images_of_64x64_in_colour_of_two_classes_one_of_them_rare(root: Path, tmp_path: Path) -> None:
    described(tmp_path, "rare", *patches_of_cells(64, [380, 20]))
    workspace = run(root, tmp_path, "rare", SMALL | ALL | {"n_samples": 100})
    representations, generators = scores(workspace, "representations"), scores(workspace, "generators")
    assert representations["raw"]["dims"] == 12_288
    assert representations["raw"]["knn_accuracy"] >= 0.9
    assert representations["raw"]["macro_f1"] <= 1
    assert generators["real"]["rarest_class_share"] == pytest.approx(0.05, abs=0.05)
    assert artifacts.read_array(workspace.folder / "data/samples/vae_conv/any.npy").shape == (100, 3, 64, 64)
