"""Compare two runs, experiments or commits: every difference with its interval, and which of them one may believe.

`make compare A=<experiment or commit> B=<another>` runs this. It prints Markdown, and writes the same as Markdown and
as one HTML page into compare/. A difference is called better or worse only where two 95% intervals exclude zero: that
over test images, paired since both runs are scored on the same ones, and that over seeds, paired by seed, from the
tables of `make seeds`. The larger of their p-values, corrected over the rows of the table (Holm 1979), must be below
0.05.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml

from latentbench import artifacts, progress, seeding
from latentbench.errors import LatentbenchError
from latentbench.evaluation import classification, differences, tables
from latentbench.evaluation.differences import Change
from stages.verdicts import SCORES
from tools.lib import experiments, pages
from tools.lib.directions import DIRECTIONS, WITHOUT_SEED
from tools.lib.experiments import ExperimentError
from tools.lib.pages import Section
from tools.lib.seed_tables import are_of_run

_FOLDER = Path("compare")
_SEEDS = Path("metrics/seeds")
_N_RESAMPLES = 5000
_LEVEL = 0.05
_Table = Literal["representations", "generators"]
# The scores of each comparison whose differences have an interval.
_SCORES: dict[_Table, tuple[str, ...]] = {
    "representations": (
        "knn_accuracy",
        "macro_f1",
        "linear_probe",
        "trustworthiness",
        "continuity",
        "mse",
        "psnr",
        "ssim",
    ),
    "generators": tuple(name for name in SCORES if name in DIRECTIONS),
}
_LABELS = {"knn_accuracy": "knn", "linear_probe": "probe"}  # scores that are shares of right labels
_WITHOUT_SEED: dict[_Table, tuple[str, ...]] = {"representations": WITHOUT_SEED, "generators": ()}
# Params of the judge: under others the same images have other scores.
_OF_THE_JUDGE = ("evaluate.n_groups", "evaluate.features", "evaluate.coverage_k", "evaluate.cas_epochs")
_MEANINGS = {
    "row": "The row of the comparison.",
    "score": "Which of its scores; README says what each means.",
    "A": "The score in A.",
    "B": "The score in B.",
    "difference": "B less A, with its 95% interval over test images (generated ones for confident_share), paired.",
    "over_seeds": "The mean over seeds of B less A, with its 95% Student t interval, paired by seed.",
    "seeds": "How many seeds were run of both.",
    "p": "The larger p-value of the two, corrected over the rows of the table for this score (Holm).",
    "verdict": "Better or worse, or higher or lower where neither is better, only if both intervals exclude zero and p "
    "is below 0.05; 'no seeds were run' where there are not two of both, so that nothing can be said.",
    "param": "A param that differs.",
}


@dataclass(frozen=True)
class Run:
    """A run as it is compared.

    Attributes:
        name: as it was asked for.
        params: by dotted key.
        scores: the numbers of its comparisons, those that each row has by name.
        judges: hash of the networks in whose features its images were judged, by row.
        outcomes: arrays "<row>.<score>" (n_test,) and the "labels" (n_test,) of the test images.
        test_images: their hash.
        judged: of each row of images, what its jackknives and means are made of; "left_out.<score>" (n_groups,) and
            "outcomes.<score>".
        targets: of each row, the hash of the held-out images and groups that it was judged by.
    """

    name: str
    params: Mapping[str, Any]
    scores: Mapping[_Table, Mapping[str, Mapping[str, float]]]
    judges: "pd.Series[str]"
    outcomes: Mapping[str, np.ndarray]
    test_images: str
    judged: Mapping[str, Mapping[str, np.ndarray]]
    targets: Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """B less A in a score of a row.

    Attributes:
        row, score: which.
        a, b: its values.
        by_images: the difference, with its interval over images.
        by_seeds: its mean over seeds, with the interval over them; None where there are not two seeds of both.
        n_seeds: how many seeds of both there are.
        needs_seeds: whether a seed could change the score.
    """

    row: str
    score: str
    a: float
    b: float
    by_images: Change
    by_seeds: Change | None
    n_seeds: int
    needs_seeds: bool

    def p(self) -> float:
        """Return the p-value that both intervals have to agree on, the larger one; 1 where seeds were not run."""
        if not self.needs_seeds:
            return self.by_images.p
        return max(self.by_images.p, self.by_seeds.p) if self.by_seeds else 1.0


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("a", help="experiment or commit")
    parser.add_argument("b", help="another")
    names = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as room:
            a, b = (load(name, Path(room) / side) for side, name in (("a", names.a), ("b", names.b)))
        check_comparable(a, b)
        refused = why_images_do_not_compare(a, b)
        compared: list[_Table] = ["representations"] if refused else list(_SCORES)
        seeds = read_seeds(_SEEDS)
        shown = sections(a, b, {table: compare(table, a, b, seeds) for table in compared}, refused)
        title = f"{a.name} and {b.name} compared"
        text = markdown(title, shown)
        file = _FOLDER / re.sub(r"[^\w.-]+", "-", f"{a.name}..{b.name}")
        artifacts.write_text(file.with_name(f"{file.name}.md"), text)
        facts = {"A": f"{a.name}", "B": f"{b.name}"}
        html = pages.render(title, _introduction(), facts, shown)
        artifacts.write_text(file.with_name(f"{file.name}.html"), html)
    except LatentbenchError as error:
        sys.exit(f"compare: {error}")
    sys.stdout.write(text)
    progress.note(f"written: {file}.md and {file}.html")


def load(name: str, folder: Path) -> Run:
    """Return an experiment or commit by its name; its files come out of DVC's cache into a new folder.

    Raises:
        ExperimentError: there is none of this name, or it has no such files.
    """
    revision = experiments.resolve(name)
    folder.mkdir()
    try:
        for part in ("outcomes", "judged"):
            experiments.fetch(revision, f"data/{part}", folder / part)
    except ExperimentError as error:
        raise ExperimentError(
            f"{name}: {error}; what its test images came to is not there: it was run before there was 'make compare', "
            "or DVC's cache no longer has it. 'dvc pull' it, or run it again"
        ) from error
    found = {table: experiments.table(revision, table) for table in _SCORES}
    outcomes, description = artifacts.read_model(folder / "outcomes")
    judged, targets = {}, {}
    for row in map(str, found["generators"].index):
        judged[row], description_of_row = artifacts.read_model(folder / "judged" / row.replace("_guided", "/guided"))
        targets[row] = description_of_row["target"]
    return Run(
        name,
        experiments.flatten(experiments.params_of(revision)),
        {table: _numbers(each) for table, each in found.items()},
        found["generators"]["classifier"],
        outcomes,
        description["test_images"],
        judged,
        targets,
    )


def _numbers(comparison: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the numbers that each row of a comparison has, by name."""
    numbers = comparison.select_dtypes("number")
    return {
        str(row): {str(name): float(value) for name, value in each.items() if not pd.isna(value)}
        for row, each in numbers.to_dict("index").items()
    }


def check_comparable(a: Run, b: Run) -> None:
    """Refuse runs of which no score compares.

    Raises:
        ExperimentError: they have other test images or seeds.
    """
    if a.test_images != b.test_images:
        raise ExperimentError("the runs have different test images, so that no score of one compares with the other's")
    seeds = a.params["seed"], b.params["seed"]
    if seeds[0] != seeds[1]:
        raise ExperimentError(
            f"{a.name} has seed {seeds[0]} and {b.name} has seed {seeds[1]}, so that they were judged by other groups "
            "of images; what a seed changes is told by 'make seeds'"
        )


def why_images_do_not_compare(a: Run, b: Run) -> str:
    """Return why scores of generated images were not measured alike: by other classifiers, or in another way.

    Returns:
        The reason; "" where they were measured alike.
    """
    differing = [key for key in _OF_THE_JUDGE if a.params.get(key) != b.params.get(key)]
    if differing:
        return f"the runs differ in {', '.join(differing)}, under which the same images score otherwise"
    try:
        experiments.check_one_judge(pd.concat([a.judges, b.judges]))
    except ExperimentError as error:
        return str(error)
    for row in sorted(a.targets.keys() & b.targets.keys()):
        sizes = [int(run.scores["generators"][row]["n"]) for run in (a, b)]
        if sizes[0] != sizes[1]:
            return f"{row}: {sizes[0]} and {sizes[1]} images were judged, on which distances depend: give both as many"
        if a.targets[row] != b.targets[row]:
            return f"{row}: the runs were judged by other groups of held-out images"
    return ""


def compare(table: _Table, a: Run, b: Run, seeds: Sequence[pd.DataFrame]) -> list[Difference]:
    """Return the difference of every score with an interval, of each row that both runs have.

    Args:
        table: which comparison.
        a, b: what `check_comparable` accepted, and for generators `why_images_do_not_compare` as well.
        seeds: tables of `make seeds`, as `read_seeds` returns them.
    """
    rows = [row for row in a.scores[table] if row in b.scores[table]]
    changes = _changes_of_representations(rows, a, b) if table == "representations" else _changes_of_images(rows, a, b)
    found = []
    for (row, score), by_images in changes.items():
        needs_seeds = row not in _WITHOUT_SEED[table]
        each = _paired_by_seed(table, row, score, a, b, seeds) if needs_seeds else []
        by_seeds = differences.over_seeds(each) if len(each) > 1 else None
        before, after = (run.scores[table][row][score] for run in (a, b))
        found.append(Difference(row, score, before, after, by_images, by_seeds, len(each), needs_seeds))
    return found


def verdicts(found: Sequence[Difference]) -> list[tuple[float, str]]:
    """Return the corrected p-value and the verdict on each difference of one table.

    The correction is over the rows, for each score: who reads a column down asks in which rows the runs differ.
    """
    by_score: dict[tuple[str, str], tuple[float, str]] = {}
    for score in dict.fromkeys(each.score for each in found):
        family = [each for each in found if each.score == score]
        corrected = differences.holm([each.p() for each in family])
        for each, p in zip(family, corrected, strict=True):
            by_score[each.row, score] = (p, _verdict(each, p, DIRECTIONS[score]))
    return [by_score[each.row, each.score] for each in found]


def _verdict(found: Difference, p: float, direction: int) -> str:
    if found.by_images.low == found.by_images.high == 0.0:
        return "the same"
    if found.needs_seeds and found.by_seeds is None:
        return "no seeds were run"
    changes = [found.by_images, *([found.by_seeds] if found.by_seeds else [])]
    rises, falls = all(each.low > 0 for each in changes), all(each.high < 0 for each in changes)
    if p >= _LEVEL or not (rises or falls):
        return "not told apart"
    if direction == 0:
        return "higher" if rises else "lower"
    return "better" if rises == (direction > 0) else "worse"


def _changes_of_representations(rows: Sequence[str], a: Run, b: Run) -> dict[tuple[str, str], Change]:
    """Return the paired bootstrap of each score, all on the same resamples of the test images."""
    labels = a.outcomes["labels"]
    means: dict[tuple[str, str], np.ndarray] = {}  # (n_test,), whose mean is the difference
    hits: dict[str, list[np.ndarray]] = {}  # by row, of A and of B
    for row in rows:
        for score in _SCORES["representations"]:
            name = f"{row}.{_LABELS.get(score, score)}"
            if score == "macro_f1":
                hits[row] = [classification.class_hits(run.outcomes[f"{row}.knn"], labels) for run in (a, b)]
            elif name in a.outcomes and name in b.outcomes:
                values = [run.outcomes[name] for run in (a, b)]
                before, after = [each == labels for each in values] if score in _LABELS else values
                means[row, score] = np.subtract(after, before, dtype=np.float64)
    columns = [values[:, None] for values in means.values()] + [each for pair in hits.values() for each in pair]
    generator = seeding.numpy_generator(0, "compare")
    resampled = classification.bootstrap_means(np.concatenate(columns, axis=1), _N_RESAMPLES, generator)
    found = {
        key: differences.by_resamples(float(values.mean()), resampled[:, place])
        for place, (key, values) in enumerate(means.items())
    }
    start = len(means)
    for row, pair in hits.items():
        ends = np.cumsum([start, *(each.shape[1] for each in pair)])
        before, after = (classification.macro_f1(resampled[:, i:j]) for i, j in pairwise(ends))
        exact = [float(classification.macro_f1(each.mean(axis=0))) for each in pair]
        found[row, "macro_f1"] = differences.by_resamples(exact[1] - exact[0], after - before)
        start = ends[-1]
    return {key: found[key] for row in rows for score in _SCORES["representations"] if (key := (row, score)) in found}


def _changes_of_images(rows: Sequence[str], a: Run, b: Run) -> dict[tuple[str, str], Change]:
    """Return the paired jackknife or bootstrap of each score of the rows of images."""
    found = {}
    for row in rows:
        before, after = (run.judged[row] for run in (a, b))
        for score in _SCORES["generators"]:
            groups, images = f"left_out.{score}", f"outcomes.{score}"
            if groups in before and groups in after:
                values = [run.scores["generators"][row][score] for run in (a, b)]
                found[row, score] = differences.by_jackknife(values[0], values[1], before[groups], after[groups])
            elif images in before and images in after:
                change = np.subtract(after[images], before[images], dtype=np.float64)
                generator = seeding.numpy_generator(0, "compare")
                resampled = classification.bootstrap_means(change[:, None], _N_RESAMPLES, generator)
                found[row, score] = differences.by_resamples(float(change.mean()), resampled[:, 0])
    return found


def read_seeds(folder: Path) -> list[pd.DataFrame]:
    """Return what `make seeds` wrote for the values of each seed, by any params."""
    return [artifacts.read_table(path) for path in sorted(folder.rglob("values.csv"))]


def _paired_by_seed(table: _Table, row: str, score: str, a: Run, b: Run, seeds: Sequence[pd.DataFrame]) -> list[float]:
    """Return B less A of each seed that was run of both."""
    before, after = (_by_seed(table, row, score, run, seeds) for run in (a, b))
    return [after[seed] - before[seed] for seed in sorted(before.keys() & after.keys())]


def _by_seed(table: _Table, row: str, score: str, run: Run, seeds: Sequence[pd.DataFrame]) -> dict[int, float]:
    """Return a score by seed, from the table with most seeds of this run's params and code."""
    best: dict[int, float] = {}
    for values in seeds:
        if are_of_run(values, row, run.params["seed"], run.scores[table][row]):
            of_score = values[(values["row"] == row) & (values["score"] == score)]
            found = dict(zip(of_score["seed"].astype(int), of_score["value"].astype(float), strict=True))
            best = max(best, found if run.params["seed"] in found else {}, key=len)
    return best


def sections(a: Run, b: Run, found: Mapping[_Table, Sequence[Difference]], refused: str = "") -> list[Section]:
    """Return what is shown: the params that differ, each table's differences, and what has no interval.

    Args:
        a, b: the runs.
        found: the differences of each table that was compared.
        refused: why that of generators was not; "" where it was.
    """
    shown = [_section_of_params(a, b)]
    for table, each in found.items():
        lines = []
        for difference, (p, verdict) in zip(each, verdicts(each), strict=True):
            images, by_seeds = difference.by_images, difference.by_seeds
            lines.append(
                {
                    "row": difference.row,
                    "score": difference.score,
                    "A": difference.a,
                    "B": difference.b,
                    "difference": images.value,
                    "difference_lo": images.low,
                    "difference_hi": images.high,
                    "over_seeds": by_seeds.value if by_seeds else np.nan,
                    "over_seeds_lo": by_seeds.low if by_seeds else np.nan,
                    "over_seeds_hi": by_seeds.high if by_seeds else np.nan,
                    "seeds": str(difference.n_seeds) if difference.needs_seeds else "not needed",
                    "p": p if by_seeds or not difference.needs_seeds else np.nan,
                    "verdict": verdict,
                }
            )
        title = table.capitalize()
        shown.append(Section(title, _summary(lines, table, a, b), pd.DataFrame(lines), _MEANINGS))
    if refused:
        shown.append(Section("Generators", f"Not compared: {refused}."))
    shown.append(_section_without_intervals(a, b, list(found)))
    return shown


def _section_of_params(a: Run, b: Run) -> Section:
    keys = [key for key in {**a.params, **b.params} if a.params.get(key) != b.params.get(key)]
    title = "Params that differ"
    if not keys:
        return Section(title, "None: the runs have the same params.")
    lines = [{"param": key} | {side: _yaml(run.params.get(key)) for side, run in (("A", a), ("B", b))} for key in keys]
    meanings = _MEANINGS | {"A": "Its value in A.", "B": "Its value in B."}
    return Section(title, f"A is {a.name}, B is {b.name}.", pd.DataFrame(lines), meanings)


def _summary(lines: Sequence[Mapping[str, Any]], table: _Table, a: Run, b: Run) -> str:
    counts = pd.Series([line["verdict"] for line in lines]).value_counts()
    text = "Of B against A: " + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()) + "."
    if "no seeds were run" in counts:
        text += (
            " Where no seeds were run of both, nothing is called better: a training with another seed may differ as "
            "much. 'make seeds N=3' runs them for the last commit, 'make seeds N=3 SET=\"latent_dim=32\"' with other "
            "params."
        )
    for run, other in ((a, b), (b, a)):
        alone = [row for row in run.scores[table] if row not in other.scores[table]]
        if alone:
            text += f" Only {run.name} has {', '.join(alone)}."
    return text


def _section_without_intervals(a: Run, b: Run, compared: Sequence[_Table]) -> Section:
    lines = []
    for table in compared:
        scores = _SCORES[table]
        for row, before in a.scores[table].items():
            after = b.scores[table].get(row, {})
            for name in before.keys() & after.keys():
                known = re.sub("_(lo|hi)$", "", name)
                if known not in scores and not known.endswith("_minus_raw") and before[name] != after[name]:
                    lines.append({"row": row, "score": name, "A": before[name], "B": after[name]})
    if not lines:
        return Section("Without an interval", "Nothing else differs.")
    return Section(
        "Without an interval",
        "Sizes, counts and choices that differ; none of them says which is better.",
        pd.DataFrame(lines),
        _MEANINGS,
    )


def markdown(title: str, shown: Iterable[Section]) -> str:
    """Return the same as Markdown."""
    parts = [f"# {title}", _introduction()]
    for section in shown:
        parts += [f"## {section.title}", section.explanation]
        if section.table is not None:
            parts.append(tables.markdown(section.table).rstrip("\n"))
    return "\n\n".join(parts) + "\n"


def _introduction() -> str:
    return (
        "Differences are B less A. Intervals are of 95%: over test images, the same ones for both runs, and over "
        "seeds. Better and worse need both, corrected over the rows of the table."
    )


def _yaml(value: object) -> str:
    return (
        "" if value is None else yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")
    )


if __name__ == "__main__":
    main()
