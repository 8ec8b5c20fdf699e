"""Comparisons of two runs: true differences are found, a run is as good as itself, nothing is claimed unproven."""

import io
import re
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from latentbench.core import artifacts
from latentbench.evaluation import samples
from tests.tools.conftest import Repository
from tools import compare
from tools.compare import Run
from tools.lib import experiments
from tools.lib.experiments import ExperimentError

N, N_GROUPS = 1000, 20
ROWS = {"pca": ["pca"], "isomap": [], "ae": ["ae"], "vae": ["vae"], "diffusion": []}
PARAMS = {"seed": 0, "latent_dim": 64, "evaluate.n_groups": N_GROUPS} | {
    f"rows.{family}": rows for family, rows in ROWS.items()
}


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_N_RESAMPLES", 500)


def made(name: str, *, right: float = 0.8, shift: float = 0.0, latent_dim: int = 64) -> Run:
    """Return a run whose `ae` is right on so many images, and whose `vae` draws from a Gaussian so far off."""
    rng = np.random.default_rng(0)
    labels = rng.integers(5, size=N).astype(np.uint8)
    ease, wrong = rng.random(N), ((labels + 1) % 5).astype(np.uint8)  # the same images are easy in every run
    outcomes = {"labels": labels}
    representations: dict[str, dict[str, float]] = {}
    for row, share in (("raw", 0.7), ("ae", right)):
        told = np.where(ease < share, labels, wrong)
        outcomes |= {f"{row}.knn": told, f"{row}.probe": told}
        accuracy = float((told == labels).mean())
        representations[row] = {"knn_accuracy": accuracy, "macro_f1": accuracy, "linear_probe": accuracy, "dims": 784.0}
    outcomes["ae.mse"] = (0.1 * (1 - right) + 0.01 * ease).astype(np.float32)
    representations["ae"] |= {"mse": float(outcomes["ae.mse"].mean()), "dims": float(latent_dim)}
    drawn, target = rng.normal(size=(2, 400, 3))
    distance = samples.frechet_estimate(drawn + shift, target, N_GROUPS, np.random.default_rng(1))
    generators = {"vae": {"n": 400.0, "frechet": distance.value, "cas": representations["ae"]["knn_accuracy"]}}
    judged = {"vae": {"left_out.frechet": np.array(distance.left_out), "outcomes.cas": outcomes["ae.knn"] == labels}}
    return Run(
        name,
        PARAMS | {"latent_dim": latent_dim},
        {"representations": representations, "generators": generators},
        pd.Series({"vae": "judge"}),
        outcomes,
        "images",
        judged,
        {"vae": "target"},
    )


def seeds_of(run: Run, n: int, spread: float = 0.002) -> pd.DataFrame:
    """Return a table as `make seeds` writes it, whose first seed is the run itself."""
    rng = np.random.default_rng(5)
    lines = []
    for row, scores in {**run.scores["representations"], **run.scores["generators"]}.items():
        for seed in range(n):
            moved = spread * rng.normal() if seed else 0.0
            lines += [
                (seed, "judge", row, name, value * (1 + moved)) for name, value in scores.items() if name != "dims"
            ]
    return pd.DataFrame(lines, columns=["seed", "judge", "row", "score", "value"])


def told(a: Run, b: Run, seeds: list[pd.DataFrame]) -> dict[tuple[str, str], str]:
    """Return the verdict on each score of each row."""
    found = {}
    for each in compare.compare(("representations", "generators"), a, b, seeds).values():
        verdicts = compare.verdicts(each)
        found |= {(one.row, one.score): verdict for one, (_, verdict) in zip(each, verdicts, strict=True)}
    return found


def test_a_run_is_the_same_as_itself() -> None:
    a = made("a")
    assert set(told(a, a, [seeds_of(a, 3)]).values()) == {"the same"}


def test_true_differences_are_found_where_seeds_were_run() -> None:
    a, b = made("a"), made("b", right=0.9, shift=1.0)
    expected = {
        ("raw", "knn_accuracy"): "the same",
        ("raw", "macro_f1"): "the same",
        ("raw", "linear_probe"): "the same",
        ("ae", "knn_accuracy"): "better",
        ("ae", "macro_f1"): "better",
        ("ae", "linear_probe"): "better",
        ("ae", "mse"): "better",
        ("vae", "frechet"): "worse",
        ("vae", "cas"): "better",
    }
    assert told(a, b, [seeds_of(a, 4), seeds_of(b, 3)]) == expected
    opposite = {"better": "worse", "worse": "better", "the same": "the same"}
    assert told(b, a, [seeds_of(a, 4), seeds_of(b, 3)]) == {key: opposite[value] for key, value in expected.items()}


def test_without_seeds_nothing_is_called_better() -> None:
    a, b = made("a"), made("b", right=0.9, shift=1.0)
    of_others = seeds_of(made("c", right=0.85, shift=0.5), 5)
    for seeds in ([], [seeds_of(a, 3)], [seeds_of(a, 3), of_others], [seeds_of(a, 1), seeds_of(b, 1)]):
        found = told(a, b, seeds)
        assert {verdict for (row, _), verdict in found.items() if row != "raw"} == {"no seeds were run"}
    shown = compare.sections(a, b, compare.compare(("representations",), a, b, []))
    assert (
        shown[0]
        .paragraphs()[1]
        .startswith("For all that differ, no seeds were run for both, so nothing is called better")
    )
    assert "By images alone, one score at a time, 4 would be better and 0 worse." in shown[0].explanation
    assert shown[0].paragraphs()[2] == "The same in both: 3 scores, among them all of raw."
    (most,) = [section.table for section in shown if section.title == "What changed most"]
    assert most is not None
    assert "verdict" not in most, "it would say the same on every line"


def test_a_row_that_no_seed_moves_needs_none() -> None:
    def with_pca(run: Run) -> Run:
        representations = run.scores["representations"]
        scores = {**run.scores, "representations": {"raw": representations["raw"], "pca": representations["ae"]}}
        outcomes = {name.replace("ae.", "pca."): values for name, values in run.outcomes.items()}
        return replace(run, scores=scores, outcomes=outcomes)

    found = told(with_pca(made("a")), with_pca(made("b", right=0.9)), [])
    assert found["pca", "mse"] == found["pca", "knn_accuracy"] == "better"


def test_a_difference_that_seeds_move_as_much_is_not_told_apart() -> None:
    a, b = made("a"), made("b", right=0.82)
    sure, unsure = ([seeds_of(run, 3, spread) for run in (a, b)] for spread in (1e-4, 0.0))
    unsure[1].loc[unsure[1]["seed"] > 0, "value"] *= 0.96
    assert told(a, b, sure)["ae", "knn_accuracy"] == "better"
    assert told(a, b, unsure)["ae", "knn_accuracy"] == "no clear difference"


def test_the_correction_is_over_the_rows_of_a_score() -> None:
    change = compare.Change(0.01, 0.001, 0.019, 0.03)
    one = compare.Difference("x", "psnr", 1.0, 1.01, change, None, 0, needs_seeds=False)
    assert compare.verdicts([one]) == [(pytest.approx(0.03), "better")]
    two = [one, replace(one, row="y"), replace(one, score="ssim")]
    corrected = compare.verdicts(two)
    assert corrected == [(pytest.approx(0.06), "no clear difference")] * 2 + [(pytest.approx(0.03), "better")]


def test_what_changed_most_comes_first_and_the_rest_follows_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "_N_FIRST", 2)
    a, b = made("a"), made("b", right=0.9, shift=1.0)
    found = compare.compare(("representations", "generators"), a, b, [seeds_of(a, 4), seeds_of(b, 3)])
    shown = compare.sections(a, b, found)
    titles = [section.title for section in shown]
    assert titles == ["In short", "What changed most", "The rest, by size", "Params that differ", "Without an interval"]
    first, rest = shown[1].table, shown[2].table
    assert first is not None
    assert rest is not None
    sizes = [*first["size"], *rest["size"]]
    assert len(first) == 2
    assert sizes == sorted(sizes, reverse=True)
    assert set(first["row"]) | set(rest["row"]) == {"ae", "vae"}, "raw did not change"
    short = shown[0].explanation
    assert "the params are the same. Of 9 scores 6 differ: in B 5 better, 1 worse." in short
    assert "Worse: vae frechet." in short
    assert "no seeds" not in short
    text = compare.markdown("title", shown)
    assert text.index("Worse: vae frechet.") < text.index("## What changed most") < text.index("## The rest, by size")


def test_a_row_that_one_run_lacks_is_told_and_not_compared() -> None:
    a, b = made("a"), made("b")
    scores = b.scores["representations"]
    lacking = replace(b, scores={**b.scores, "representations": {"raw": scores["raw"]}, "generators": {}})
    found = compare.compare(("representations", "generators"), a, lacking, [])
    assert {each.row for table in found.values() for each in table} == {"raw"}
    short = compare.sections(a, lacking, found)[0].explanation
    assert "Of representations, ae cannot be compared: b does not have them." in short
    assert "Of generators, vae cannot be compared: b does not have them." in short


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"test_images": "others"}, "different test images"),
        ({"params": PARAMS | {"seed": 1}}, "a has seed 0 and b has seed 1"),
    ],
)
def test_runs_that_share_no_measure_are_refused(change: dict[str, object], says: str) -> None:
    a = made("a")
    compare.check_comparable(a, replace(a, name="b"))
    with pytest.raises(ExperimentError, match=says):
        compare.check_comparable(a, replace(a, **({"name": "b"} | change)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"judges": pd.Series({"vae": "other"})}, "different classifiers"),
        ({"targets": {"vae": "other"}}, "different groups of held-out images"),
        ({"params": PARAMS | {"evaluate.n_groups": 10}}, "differ in evaluate.n_groups"),
        ({"scores": {"generators": {"vae": {"n": 300.0}}}}, "400 and 300 images"),
    ],
)
def test_scores_of_images_that_were_not_measured_alike_are_refused(change: dict[str, object], says: str) -> None:
    a = made("a")
    b = replace(a, **({"name": "b"} | change))  # type: ignore[arg-type]
    assert compare.why_images_do_not_compare(a, replace(a, name="b")) == ""
    refused, better = compare.why_images_do_not_compare(a, b), made("better", right=0.9)
    assert says in refused
    shown = compare.sections(a, better, compare.compare(("representations",), a, better, []), refused)
    by_title = {section.title: section for section in shown}
    last = by_title["In short"].paragraphs()[-1]
    assert last.startswith("Generators are not compared: ")
    assert says in last
    table = by_title["What changed most"].table
    assert table is not None
    assert set(table["row"]) == {"ae"}


def test_experiments_are_found_wherever_they_started(repository: Repository) -> None:
    made_here = repository.add_experiment("smaller", {"seed": 0})
    head = repository.git("rev-parse", "HEAD")
    assert experiments.resolve("smaller") == made_here
    assert experiments.resolve("main") == experiments.resolve(head[:10]) == head
    repository.write({"seed": 0, "other": 1})
    repository.commit()
    assert experiments.resolve("smaller") == made_here, "of the commit before"
    with pytest.raises(ExperimentError, match="nothing: no experiment or commit found with this name"):
        experiments.resolve("nothing")


def keep(repository: Repository, run: Run) -> None:
    """Write what `evaluate` and the judges leave of a run."""
    artifacts.write_model(repository.folder / "data/outcomes", run.outcomes, {"test_images": run.test_images})
    artifacts.write_model(repository.folder / "data/judged/vae", run.judged["vae"], {"target": run.targets["vae"]})
    for table, scores in run.scores.items():
        lines = pd.DataFrame.from_dict(scores, orient="index").rename_axis("row").reset_index()
        artifacts.write_table(
            repository.folder / f"metrics/evaluate/{table}.csv", lines.assign(classifier=run.judges["vae"])
        )


def test_the_command_writes_what_it_found(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = made("main~1"), made("main", right=0.9, latent_dim=32)
    for run in (a, b):
        keep(repository, run)
        params = {"rows": ROWS, "seed": 0, "latent_dim": run.params["latent_dim"]}
        artifacts.write_text(repository.folder / "params.yaml", yaml.safe_dump(params))
        repository.commit()
    for run, place in ((a, "values.csv"), (b, "latent_dim-32/values.csv")):
        artifacts.write_table(repository.folder / "metrics/seeds" / place, seeds_of(run, 3))

    def fetch(revision: str, path: str, destination: Path) -> None:
        """Stand in for DVC: here git holds the data."""
        command = ["git", "archive", f"{revision}:{path}"]
        with tarfile.open(
            fileobj=io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout)
        ) as archive:
            archive.extractall(destination, filter="data")

    monkeypatch.setattr(experiments, "fetch", fetch)
    monkeypatch.setattr(sys, "argv", ["compare", "main~1", "main"])
    compare.main()
    printed = capsys.readouterr().out
    assert printed == Path("compare/main-1..main.md").read_text(encoding="utf-8")
    assert "| latent_dim | 64 | 32 |" in printed
    line = re.search(r"^\| ae \| knn_accuracy \|.*$", printed, re.MULTILINE)
    assert line is not None
    assert line[0].endswith("| better |")
    _, first, *_ = printed.split("\n\n")
    assert (
        first
        == "B (main) against A (main~1): latent_dim is 32, was 64. Of 9 scores 5 differ: in B 5 better, none worse."
    )
    assert f"{b.scores['representations']['ae']['knn_accuracy']:.4g}" in line[0]
    assert "| ae | dims | 64 | 32 |" in printed
    page = Path("compare/main-1..main.html").read_text(encoding="utf-8")
    assert "better" in page
    assert not re.findall(r"(?:src|href)=[\"'](?!data:|#)", page), "it asks for something else"
