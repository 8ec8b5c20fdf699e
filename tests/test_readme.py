"""README is one page that tells the truth: its numbers are the committed run's, what it recommends is best."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latentbench.core import artifacts
from tools import readme as tool
from tools.lib import filled, pipeline, reference_pages

MOST_LINES = 150
MOST_COLUMNS = 8
GENERATED = re.compile(r"(<!-- generated: (\w+) -->)\n(.*?)(<!-- end -->)", re.DOTALL)


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def committed(root: Path, name: str) -> str:
    """Return a committed file: the working tree may hold an experiment's metrics."""
    return subprocess.run(["git", "show", f"HEAD:{name}"], cwd=root, capture_output=True, text=True, check=True).stdout


def test_what_pages_have_of_the_run_is_that_of_the_committed_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_pages, "written", lambda _: "")  # the next test
    texts = {page: GENERATED.sub(r"\1\n\n\n\n\4", committed(root, str(page))) for page in tool.pages(root)}
    marks = re.compile(r"<!-- (?:number: ([^#\s]+)#|table: ([^;\s]+)|include: (\S+))")
    named = {name for text in texts.values() for found in marks.findall(text) for name in found if name}
    assert {f"metrics/evaluate/{name}.json" for name in ("representations", "generators")} <= named
    assert len(named) > 20
    assert sum(text.count("<!-- number: ") for text in texts.values()) > 45
    assert sum(text.count("<!-- table: ") for text in texts.values()) > 25
    for name in named:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(committed(root, name), encoding="utf-8")
    for page, text in texts.items():
        assert filled.filled(text, tmp_path, page) == text, f"{page} does not say what was committed: 'make readme'"


def test_pages_of_reference_say_what_the_code_says(root: Path) -> None:
    """Where the working tree has the committed params; those of an experiment have other defaults."""
    for name in ("params.yaml", "dvc.yaml", "Makefile"):
        if (root / name).read_text(encoding="utf-8") != committed(root, name):
            pytest.skip(f"{name} is not the committed one")
    found = dict[str, str]()
    for page in tool.pages(root):
        text = (root / page).read_text(encoding="utf-8")
        found |= {match[2]: match[3] for match in GENERATED.finditer(text)}
    assert set(found) == {"params", "stages", "columns", "figures", "commands"}
    if sys.version_info[:2] != (3, 11):  # argparse words its help otherwise in later versions
        del found["commands"]
    for name, text in found.items():
        assert text == f"\n{reference_pages.written(name)}\n\n", (
            f"the page of {name} is older than the code: 'make readme'"
        )
    picture = (root / "docs/pictures/stages.svg").read_text(encoding="utf-8")
    assert picture == reference_pages.picture_of_stages() + "\n"


def test_no_mark_breaks_a_page(root: Path) -> None:
    """A pipe parts cells of a table in a comment too, and a line that begins with a comment ends a paragraph."""
    for page in tool.pages(root):
        text = (root / page).read_text(encoding="utf-8")
        assert re.findall(r"<!-- number: \S*\|\S*", text) == [], page
        assert re.findall(r"^ *<!-- number: .*", text, re.MULTILINE) == [], page
        for value in re.findall(r"<!-- number: \S+ -->(.*?)<!-- end -->", text):
            assert re.fullmatch(r"-?\d[\d.e%-]*", value), f"{page}: {value!r} is no number"
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, (
                f"{page}: {table[:200]}"
            )


def test_it_is_short_enough_to_read(readme: str) -> None:
    assert len(readme.splitlines()) <= MOST_LINES
    lines = [line for line in readme.splitlines() if line.startswith("|")]
    assert lines
    assert max(line.count(" | ") + 1 for line in lines) <= MOST_COLUMNS


def test_no_result_is_typed_by_hand(readme: str) -> None:
    between = re.sub(
        r"^```text\n.*?^```$", "", filled.unfilled(readme), flags=re.MULTILINE | re.DOTALL
    )  # the next test
    assert re.findall(r"\b0\.\d{2,}", between) == []


@pytest.mark.parametrize("name", ["README.md", "docs/tutorials/change_one_parameter.md"])
def test_what_dvc_is_shown_to_print_is_of_the_committed_run(root: Path, name: str) -> None:
    """Of an experiment that is not committed, beside the commit that it started from."""
    headline = dict(pipeline.leaves(json.loads(committed(root, "metrics/headline.json"))))
    shown = re.findall(r"^metrics/headline\.json +(\S+) +(\S+) +(\S+) +(\S+)$", committed(root, name), re.MULTILINE)
    assert len(shown) == 4
    for metric, before, after, change in shown:
        assert float(before) == pytest.approx(headline[metric], rel=1e-3)
        last_digit = max(10.0 ** -len(text.partition(".")[2]) for text in (before, after, change))
        assert float(after) - float(before) == pytest.approx(float(change), abs=1.01 * last_digit), "each is rounded"
    for name_of_run, column in (("main", 1), ("workspace", 2)):  # the table of experiments, where there is one
        for line in re.findall(rf"^  {name_of_run} .*$", committed(root, name), re.MULTILINE):
            values = [float(value) for value in line.split()[1:5]]
            assert values == pytest.approx([float(each[column]) for each in shown], rel=1e-3)


def best(scores: dict[str, dict[str, Any]], name: str, sign: int, rows: str = "") -> str:
    """Return the row with the highest value of a score, or with the lowest where the sign is negative."""
    able = {row: each[name] for row, each in scores.items() if name in each and re.match(rows, row)}
    assert len(able) > 1
    return max(able, key=lambda row: sign * able[row])


def test_what_readme_and_the_first_page_recommend_is_best(root: Path) -> None:
    """If this fails after a run, the words are wrong, in README.md, docs/index.md and docs/results.md."""
    representations, generators, likelihoods = (
        json.loads(committed(root, f"metrics/evaluate/{name}.json"))
        for name in ("representations", "generators", "likelihoods")
    )
    same_size = {row: each for row, each in representations.items() if each["dims"] == representations["pca"]["dims"]}
    assert best(same_size, "mse", -1) == "ae_residual"
    assert same_size["ae_residual"]["mse"] < same_size["pca"]["mse"] / 2
    untaught = {row: each for row, each in representations.items() if row != "supervised"}
    assert best(untaught, "knn_accuracy", 1) == "vae_lossy"
    assert untaught["patches"]["knn_accuracy_hi"] > untaught["vae_lossy"]["knn_accuracy_lo"]
    others = {row: each for row, each in untaught.items() if row.startswith(("ae_", "vae_")) and row != "vae_lossy"}
    assert best(others, "knn_accuracy", 1) == "vae_residual"
    assert untaught["vae_lossy"]["knn_accuracy_lo"] > max(each["knn_accuracy_hi"] for each in others.values())
    pca, raw = representations["pca"], representations["raw"]
    assert pca["knn_accuracy_hi"] > raw["knn_accuracy_lo"] < pca["knn_accuracy"]
    drawn = {row: each for row, each in generators.items() if not row.startswith("real")}
    for name, sign in (("frechet", -1), ("kernel_distance", -1), ("coverage", 1)):
        assert best(drawn, name, sign) == "diffusion_latent", name
    by_prior = {row: each for row, each in drawn.items() if "+" not in row}
    assert best(by_prior, "frechet", -1, "vae_") == best(by_prior, "coverage", 1, "vae_") == "vae_dense"
    by_density = {row: each for row, each in drawn.items() if "+" in row}
    assert best(by_density, "frechet", -1) == best(by_density, "coverage", 1) == "vae_lossy+mixture"
    fast, smooth, slow = by_density["vae_lossy+mixture"], by_density["ae_residual+mixture"], drawn["diffusion"]
    assert fast["frechet_hi"] < slow["frechet_lo"]
    assert fast["coverage_lo"] > slow["coverage_hi"]
    assert smooth["sharpness_hi"] < min(fast["sharpness_lo"], slow["sharpness_lo"], 1)
    assert best(likelihoods, "bits_per_dim", -1) == "vae_lossy"
    bits = {row: each for row, each in likelihoods.items() if "bits_per_dim" in each and row != "vae_lossy"}
    assert likelihoods["vae_lossy"]["bits_per_dim_hi"] < min(each["bits_per_dim_lo"] for each in bits.values())


def test_committed_metrics_stay_small(root: Path) -> None:
    total = sum(path.stat().st_size for path in (root / "metrics").rglob("*") if path.is_file())
    assert 0 < total < 8 * 2**20


def test_costs_are_of_stages_that_are_timed(root: Path) -> None:
    table = artifacts.read_table(root / "docs/costs.csv")
    timed = {
        name
        for name, definition in pipeline.Declared(root).runs.items()
        if f"data/timing/{name}.json" in pipeline.outs(definition)
    }
    assert set(table["stage"]) <= timed
    assert len(table) > 20
    assert (table["seconds"] > 0).all()
