"""Benchmarks are run by hand, in minutes or hours: at least they fit the library that they time."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from latentbench.core import artifacts
from tests.imports import imported_modules

TESTED = (
    *(
        "binarized",
        "diffusion",
        "explorer",
        "load",
        "optimizers",
        "patches",
        "pipeline",
        "reading",
        "recipes",
        "reduction",
        "scale",
        "side_by_side",
        "startup",
    ),
    "training",
)


@pytest.mark.parametrize("name", TESTED)
def test_a_benchmark_imports_what_there_is(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert callable(module.main)


def test_every_benchmark_is_tested(root: Path) -> None:
    files = {path.stem for path in (root / "benchmarks").glob("*.py")} - {"__init__"}
    assert files == {*TESTED, "keras_peer"}
    # It runs in an environment of its own, without the project.
    assert not [each for each in imported_modules(root / "benchmarks/keras_peer.py") if each.startswith("latentbench")]


def test_the_networks_that_are_timed_take_the_images_that_are_given(
    root: Path, raw_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import binarized, reduction, training

    assert raw_data == root / "data/raw"
    monkeypatch.chdir(root)
    training.write_images(tmp_path, 200)
    images = torch.tensor(artifacts.read_array(tmp_path / "train.npy")[:8]) / 255
    assert images.shape == (8, 1, 28, 28)
    for case in training.CASES.values():
        assert case.build().eval()(images).shape == images.shape
    points = reduction.load()
    assert {name: array.shape for name, array in points.items()} == {
        "train": (60_000, 784),
        "train_labels": (60_000,),
        "test": (10_000, 784),
        "test_labels": (10_000,),
    }
    assert points["test"].dtype == np.float32
    assert binarized.read_grey("test", 5).shape == (5, 1, 28, 28)
    published = binarized.GatedVAE((1, 28, 28), 40).eval()
    assert published.decode(published.encode(images)).shape == images.shape
    widths = [(784, 600), (300, 600), (300, 40), (300, 40), (40, 600), (300, 600), (300, 784)]  # a gate doubles a layer
    expected = sum(before * after + after for before, after in widths)
    assert sum(weights.numel() for weights in published.parameters()) == expected


def test_copies_of_the_images_are_shifted_and_mirrored_and_stages_can_run_on_them(
    root: Path, raw_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import scale

    images = artifacts.read_array(raw_data / "train_images.npy")[:30]
    made = np.concatenate(list(scale.copies(images, 75, np.random.default_rng(0))))
    assert made.shape == (75, 1, 28, 28)
    assert np.array_equal(made[:30], images)
    for place in range(30, 75):
        source = images[place % 30]
        assert np.array_equal(np.sort(made[place], axis=None), np.sort(source, axis=None))
    assert not np.array_equal(made[30:60], images)
    monkeypatch.chdir(root)
    assert scale.sized(500)["isomap"]["neighbors"] == "cells"
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {"preprocess", "pca", "evaluate"} <= {stage.partition("@")[0] for stage in scale.STAGES} <= set(stages)
    monkeypatch.setattr(scale, "copies", lambda images, n, _: [images[:n]])
    scale.prepare(tmp_path / "500", 500, raw_data, threads=1)
    checked = [sys.executable, "-m", "latentbench.params.file"]
    assert subprocess.run(checked, cwd=tmp_path / "500", check=False).returncode == 0


def test_what_is_timed_side_by_side_is_a_stage_and_other_bytes_stop_it(root: Path) -> None:
    from benchmarks import side_by_side

    stage, _, row = side_by_side.TRAINING.partition("@")
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert side_by_side.OUTPUT in [out.replace("${item.row}", row) for out in stages[stage]["outs"]]
    assert side_by_side.sameness({"a"}) == "both came to the same bytes"
    with pytest.raises(SystemExit, match="other results"):
        side_by_side.sameness({"a", "b"})
