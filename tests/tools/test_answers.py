"""A row is called best only where the numbers say so; a difference within its interval is a tie."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from latentbench.core import artifacts
from tools.lib.answers import QUESTIONS, Answer, Answers, listed
from tools.lib.runs import CostsError, Run

N = 2000
CLASSES, ERRORS, FRECHET, COVERAGE = QUESTIONS


def run_of(folder: Path, right: dict[str, int], errors: dict[str, float], frechet: dict[str, float]) -> Run:
    """Return a run by how many of its test images each row gets right, its errors, and its distances.

    The images that a row gets right are those that a worse one does, and more: their differences are as sure as can be.
    """
    ae, vae = ([row for row in right if row.startswith(family)] for family in ("ae", "vae"))
    params = {"seed": 0, "rows": {"pca": ["pca"], "ae": ae, "vae": vae, "diffusion": ["diffusion"]}}
    artifacts.write_text(folder / "params.yaml", yaml.safe_dump(params))
    rng = np.random.default_rng(0)
    arrays = {"labels": np.ones(N, dtype=np.uint8)}
    noise = rng.normal(scale=1e-4, size=(len(right), N))
    for row, own in zip(right, noise, strict=True):
        arrays[f"{row}.knn"] = (np.arange(N) < right[row]).astype(np.uint8)
        arrays[f"{row}.mse"] = (errors[row] + own - own.mean()).astype(np.float32)
    artifacts.write_model(folder / "data/outcomes", arrays, {})
    represented = [{"row": row, "knn_accuracy": right[row] / N, "mse": errors[row]} for row in right]
    artifacts.write_table(folder / "metrics/evaluate/representations.csv", pd.DataFrame(represented))
    drawn = [{"row": row, "frechet": value, "coverage": 0.5} for row, value in frechet.items()]
    artifacts.write_table(folder / "metrics/evaluate/generators.csv", pd.DataFrame(drawn))
    signs = np.resize([-1.0, 1.0], 10)
    for place, (row, value) in enumerate(frechet.items()):
        left_out = {"left_out.frechet": value + 0.1 * np.roll(signs, place), "left_out.coverage": 0.5 + 0.01 * signs}
        artifacts.write_model(folder / "data/judged" / row, left_out, {})
    return Run(folder)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    right = {"pca": 1700, "ae_a": 1760, "ae_b": 1757, "vae_a": 1600}
    errors = {"pca": 0.010, "ae_a": 0.005, "ae_b": 0.0050001, "vae_a": 0.02}
    return run_of(tmp_path, right, errors, {"real": 0.1, "pca": 50.0, "vae_a": 20.0, "diffusion": 19.9})


def words(answer: Answer) -> str:
    return " ".join(answer.sentences())


def test_the_best_row_is_told_from_those_that_tie_with_it(run: Run) -> None:
    classes = Answers(run).of(CLASSES)
    assert (classes.best, classes.ties) == ("ae_a", ["ae_b"])
    tie, following, last = classes.rivals
    assert [each.row for each in classes.rivals] == ["ae_b", "pca", "vae_a"]
    # Three of 2,000 images; their number in a resample is about Poisson's.
    assert tie.behind.value == pytest.approx(3 / N)
    assert (tie.behind.low, tie.behind.high) == pytest.approx((0, 7 / N), abs=0.6 / N)
    assert following.behind.value == pytest.approx(60 / N)
    assert (following.behind.low, following.behind.high) == pytest.approx((45.5 / N, 75 / N), abs=1.5 / N)
    assert last.behind.p < 0.01
    assert words(classes) == (
        "kNN on the representation by ae_a gets 88.0% of the test images right. "
        f"ae_b is 0.15 points (0.00 to {100 * tie.behind.high:.2f}) behind, which may be chance. "
        f"Then comes pca, {CLASSES.lead(following.behind)} behind. "
        "This holds over test images. Another training may differ: this run lacks seeds of both ('make seeds')."
    )


def test_smaller_is_better_where_it_is(run: Run) -> None:
    errors = Answers(run).of(ERRORS)
    assert (errors.best, errors.ties) == ("ae_a", ["ae_b"])
    assert errors.rivals[1].behind.value == pytest.approx(0.005, rel=1e-3)
    assert "squared error 0.005 per pixel" in words(errors)


def test_jackknives_over_the_same_groups_are_compared_and_real_images_do_not_compete(run: Run) -> None:
    frechet = Answers(run).of(FRECHET)
    assert (frechet.best, frechet.ties) == ("diffusion", ["vae_a"])
    # 0.2 apart in each group with a sign in turn: sqrt(9 / 10 * 10) * 0.2, times Student's t of 9 degrees.
    near, far = frechet.rivals
    assert near.behind.high - near.behind.value == pytest.approx(2.262157 * 3 * 0.2)
    assert far.behind.value == pytest.approx(30.1)
    assert far.told_apart
    assert "Real images score 0.1." in words(frechet)
    everyone = Answers(run).of(COVERAGE)
    assert len(everyone.ties) == 2
    assert words(everyone).endswith("No row is clearly worse.")


def test_seeds_have_to_say_the_same(run: Run) -> None:
    def with_seeds(*differences: float) -> Answer:
        lines = []
        for row, score in (("ae_a", 1760 / N), ("vae_a", 1600 / N)):
            for seed, change in enumerate((0.0, *differences)):
                moved = change if row == "vae_a" else 0.0
                lines.append((seed, "judge", row, "knn_accuracy", score + moved))
        table = pd.DataFrame(lines, columns=["seed", "judge", "row", "score", "value"])
        artifacts.write_table(run.root / "metrics/seeds/values.csv", table)
        return Answers(run).of(CLASSES)

    agreeing = with_seeds(0.001, -0.001).rivals[-1]
    assert (agreeing.n_seeds, agreeing.told_apart) == (3, True)
    assert agreeing.over_seeds is not None
    assert agreeing.over_seeds.value == pytest.approx(160 / N)
    doubtful = with_seeds(0.2, -0.2)
    assert doubtful.rivals[-1].row == "vae_a"
    assert "vae_a" in doubtful.ties, "one of three seeds turns it round"
    # PCA is the same under every seed: those of the other row alone are enough.
    after = next(rival for rival in doubtful.rivals if rival.row == "pca")
    assert (after.n_seeds, after.told_apart) == (3, True)
    assert "This holds over test images, and over 3 seeds." in words(doubtful)
    values = pd.read_csv(run.root / "metrics/seeds/values.csv")
    artifacts.write_table(run.root / "metrics/seeds/values.csv", values.assign(value=values["value"] + 0.01))
    assert Answers(run).of(CLASSES).rivals[-1].n_seeds == 0, "of another run"


def test_a_question_that_the_run_cannot_answer_is_left_out(run: Run) -> None:
    table = pd.read_csv(run.root / "metrics/evaluate/representations.csv")
    artifacts.write_table(run.root / "metrics/evaluate/representations.csv", table.drop(columns="knn_accuracy"))
    assert [answer.question.title for answer in Answers(Run(run.root)).all()] == [
        question.title for question in (ERRORS, FRECHET, COVERAGE)
    ]


def test_missing_outcomes_are_told_with_the_way_out(run: Run) -> None:
    (run.root / "data/outcomes/model.safetensors").unlink()
    with pytest.raises(CostsError, match=r"outcomes/model.safetensors is missing, .*'dvc checkout' restores"):
        Answers(run).of(CLASSES)


def test_names_in_a_sentence() -> None:
    assert [listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
