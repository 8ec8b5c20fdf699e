"""The report's programs without its mistakes: fitted and chosen on train alone, and every figure in the table."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.neighbors import KNeighborsClassifier

from latentbench.params import file
from tools import reference
from tools.lib import experiments
from tools.lib import reference_programs as programs
from tools.lib.published_results import ROWS
from tools.lib.reference_programs import Split


@pytest.fixture
def split(rng: np.random.Generator) -> Split:
    """Return 10 noisy blobs in 20 dimensions."""
    centres, labels = rng.normal(size=(10, 20)), np.arange(400) % 10
    points = (centres[labels] + 0.5 * rng.normal(size=(400, 20))).astype(np.float32)
    return Split(points[:320], labels[:320], points[320:], labels[320:], [str(i) for i in range(10)], 0)


def test_scores_are_those_of_scikit_learn(split: Split) -> None:
    found = programs.pixels(split)
    peer = KNeighborsClassifier(found["k"], weights=found["weights"]).fit(split.train, split.train_labels)
    assert found["accuracy"] == pytest.approx(peer.score(split.test, split.test_labels))
    assert found["accuracy_lo"] <= found["accuracy"] <= found["accuracy_hi"]
    assert found["recall"] == pytest.approx(found["accuracy"])  # weighted by class, it is the accuracy


def test_the_scaler_sees_the_train_part_alone(split: Split) -> None:
    moved = split.mapped(split.train, split.test + 100)
    ours, theirs = programs.standardised(split), programs.standardised(moved)
    np.testing.assert_allclose(ours.train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_array_equal(ours.train, theirs.train)


def test_components_are_the_best_of_the_draws(split: Split) -> None:
    counts = programs.draw_counts(split, 0)
    assert len(set(counts)) == 10
    assert 1 <= min(counts) <= max(counts) <= 18
    draws = [programs.search_components(split, count) for count in counts]
    found = programs.components(split, draws)
    assert found["leave_one_out"] == max(draw["leave_one_out"] for draw in draws)
    assert found["accuracy"] > 0.8
    assert found["search_s"] == pytest.approx(sum(draw["search_s"] for draw in draws))


@pytest.mark.filterwarnings("ignore:the neighbour graph has")
def test_the_isomap_search_takes_the_best_candidate(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_ISOMAP_CANDIDATES", ((5, (1, 6)), (10, (6,))))
    found = programs.isomap_search(split)
    best = f"{found['neighbors']} neighbours, {found['components']} components"
    assert len(found["leave_one_out"]) == 3
    assert found["leave_one_out"][best] == max(found["leave_one_out"].values())
    assert found["components"] == 6


def test_a_part_is_computed_once_from_the_same_facts(tmp_path: Path) -> None:
    calls = []

    def compute() -> dict[str, float]:
        calls.append(1)
        return {"accuracy": 0.123456789}

    path = tmp_path / "reference.json"
    first = reference.Results(path).part("a", {"seed": 0}, compute)
    assert first == reference.Results(path).part("a", {"seed": 0}, compute)
    assert first["accuracy"] == 0.123457
    assert len(calls) == 1
    reference.Results(path).part("a", {"seed": 1}, compute)
    reference.Results(path, again=True).part("a", {"seed": 1}, compute)
    assert len(calls) == 3


def test_the_table_has_every_figure_of_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = reference.Results(Path("metrics/reference/reference.json"))
    ours = {
        "accuracy": 0.87,
        "accuracy_lo": 0.86,
        "accuracy_hi": 0.88,
        "k": 7,
        "weights": "distance",
        "search_s": 12.34,
    }
    results.part("pixels", {}, lambda: ours)
    reference.write_tables(results, reference._FOLDER)
    written = pd.read_csv("metrics/reference/reference.csv")
    figures = [0.8568, 1279.8, 47.9, 0.8606, 1206.4, 44.4, 0.82, 0.78, 0.82, np.nan, 0.1538, 0.8728, 0.1461, 0.8706]
    figures += [0.8726, 0.8728, 0.8719, 0.8706, 0.8706, 0.8697, 0.70, 0.73, 0.75, 0.75]
    np.testing.assert_array_equal(written["report"], figures)
    lines = Path("metrics/reference/reference.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "| what | the report | ours | why it differs |"
    assert "| 0.8568 (k=7, distance) | 0.87 (0.86 to 0.88; k=7, distance) |" in lines[2]
    assert "| 1280 | 12.34 |" in lines[3]
    assert all(line.count("|") == 5 and not re.search("nan|None", line) for line in lines)


def test_every_row_names_a_part_that_is_computed() -> None:
    programs_alone = {"pixels", "pca", "subset_pixels", "isomap", "isomap_search"}
    networks = {f"{row}_{dim}" for row in ("ae_dense", "ae_conv", "vae_dense", "vae_conv") for dim in (32, 64)}
    assert {row.part for row in ROWS} == programs_alone | networks


def test_the_reports_recipes_are_valid_params(root: Path) -> None:
    params = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    recipes = yaml.safe_load((root / "reference.yaml").read_text(encoding="utf-8"))
    for key, value in experiments.flatten(recipes).items():
        experiments.value_at(params, key)
        *path, last = key.split(".")
        section = params
        for part in path:
            section = section[part]
        section[last] = value
    checked: Any = file.check(params)
    assert (checked.ae_dense.training.batch_size, checked.vae_conv.training.batch_size) == (64, 32)
    assert (checked.ae_conv.training.images, checked.vae_dense.training.patience) == (810_000, None)
