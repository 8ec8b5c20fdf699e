"""Compare two experiments or commits: every difference with its interval, and which differences can be trusted.

`make compare A=<experiment or commit> B=<another>` runs this. It prints Markdown, and writes the same to compare/ as
Markdown and as one HTML page: a few sentences, then what changed most, then the rest by size. A difference is called
better or worse only if two 95% intervals exclude zero: one over test images, paired because both runs are scored on
the same ones, and one over seeds, paired by seed, from the tables of `make seeds`. The larger of their p-values,
corrected over the rows of the comparison (Holm 1979), must be below 0.05.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml

from latentbench import seeding
from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError
from latentbench.evaluation import classification, columns, differences, tables
from latentbench.evaluation.differences import Change
from stages import sample_scores
from tools.lib import experiments, pages, rows
from tools.lib.experiments import ExperimentError
from tools.lib.pages import Section
from tools.lib.seed_tables import are_of_run

_FOLDER = Path("compare")
_SEEDS = Path("metrics/seeds")
_N_RESAMPLES = 5000
_LEVEL = 0.05
_Table = Literal["representations", "generators"]
_COMPARED: tuple[_Table, ...] = ("representations", "generators")
_LABELS = {"knn_accuracy": "knn", "linear_probe": "probe"}  # scores that are shares of right labels
_N_FIRST = 10  # differences, of those that changed most
_N_NAMED = 5  # of one kind, in a sentence
_REST = "The rest, by size"
_FIRST = ("row", "score", "A", "B", "difference", "verdict", "over_seeds", "p")  # columns of a page
_NO_CHANGE = Change(0.0, 0.0, 0.0, 1.0)
_Later = Callable[[Mapping[int, np.ndarray]], Change]  # computes a change from the means of all resamples
# Params of the judge: other values give the same images other scores.
_OF_THE_JUDGE = ("evaluate.n_groups", "evaluate.features", "evaluate.coverage_k")
_MEANINGS = {
    "row": "The row of the comparison.",
    "score": "Which of its scores; README explains each.",
    "A": "The score in A.",
    "B": "The score in B.",
    "difference": "B minus A, with its 95% interval over test images (generated ones for confident_share), paired.",
    "size": "The difference divided by half of that interval, so that differences of other scores can be compared.",
    "better": "Whether higher or lower values are better; empty where neither is.",
    "over_seeds": "The mean over seeds of B minus A, with its 95% Student t interval, paired by seed.",
    "seeds": "How many seeds were run for both.",
    "p": "The larger of the two p-values, corrected over the rows of the comparison for this score (Holm).",
    "verdict": "Better or worse (higher or lower where neither is better) only if both intervals exclude zero and p is "
    "below 0.05; empty where fewer than two seeds of both were run.",
    "param": "A param that differs.",
}


@dataclass(frozen=True)
class Run:
    """What is compared of a run.

    Attributes:
        name: as the user gave it.
        params: by dotted key.
        scores: the numbers of its comparisons: by table, then row, then name.
        judges: hash of the network in whose features the images of each row were judged.
        outcomes: arrays "<row>.<score>" (n_test,) and the "labels" (n_test,) of the test images.
        test_images: hash of the test images.
        judged: for each row of images, the values behind its jackknives and means: "left_out.<score>" (n_groups,) and
            "outcomes.<score>".
        targets: for each row, the hash of the held-out images and groups that it was judged on.
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
    """B minus A in a score of a row.

    Attributes:
        row, score: which.
        a, b: its values.
        by_images: the difference, with its interval over images.
        by_seeds: its mean over seeds, with its interval; None where fewer than two seeds of both were run.
        n_seeds: how many seeds were run for both.
        needs_seeds: whether another seed could change the score.
    """

    row: str
    score: str
    a: float
    b: float
    by_images: Change
    by_seeds: Change | None
    n_seeds: int
    needs_seeds: bool

    @property
    def size(self) -> float:
        """Its absolute value divided by half of its interval over images: 0 for no difference, above 1 beyond it."""
        half = (self.by_images.high - self.by_images.low) / 2.0
        if half == 0.0:
            return 0.0 if self.by_images.value == 0.0 else np.inf
        return abs(self.by_images.value) / half

    def p(self) -> float:
        """Return the larger p-value of the two intervals; 1 where seeds are needed and were not run."""
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
        compared = _COMPARED[:1] if refused else _COMPARED
        shown = sections(a, b, compare(compared, a, b, read_seeds(_SEEDS)), refused)
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
    """Return an experiment or commit by its name; its files are copied from DVC's cache into a new folder.

    Raises:
        ExperimentError: there is none of this name, or its files are missing.
    """
    revision = experiments.resolve(name)
    folder.mkdir()
    try:
        for part in ("outcomes", "judged"):
            experiments.fetch(revision, f"data/{part}", folder / part)
    except ExperimentError as error:
        raise ExperimentError(
            f"{name}: {error}; the run has no scores of each test image: it is too old, or they are no longer in DVC's "
            "cache. Run 'dvc pull', or run the experiment again"
        ) from error
    found = {table: experiments.table(revision, table) for table in _COMPARED}
    outcomes, description = artifacts.read_model(folder / "outcomes")
    judged, targets = {}, {}
    for row in map(str, found["generators"].index):
        judged[row], description_of_row = artifacts.read_model(folder / "judged" / sample_scores.place(row))
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
    """Refuse runs whose scores cannot be compared.

    Raises:
        ExperimentError: they have different test images or seeds.
    """
    if a.test_images != b.test_images:
        raise ExperimentError("the runs have different test images, so their scores cannot be compared")
    seeds = a.params["seed"], b.params["seed"]
    if seeds[0] != seeds[1]:
        raise ExperimentError(
            f"{a.name} has seed {seeds[0]} and {b.name} has seed {seeds[1]}, so they were judged on different groups "
            "of images; compare seeds with 'make seeds'"
        )


def why_images_do_not_compare(a: Run, b: Run) -> str:
    """Return why the scores of generated images cannot be compared: other classifiers, or another way to measure.

    Returns:
        The reason; "" where they can be compared.
    """
    differing = [key for key in _OF_THE_JUDGE if a.params.get(key) != b.params.get(key)]
    if differing:
        return f"the runs differ in {', '.join(differing)}, which changes the scores of the same images"
    try:
        experiments.check_one_judge(pd.concat([a.judges, b.judges]))
    except ExperimentError as error:
        return str(error)
    for row in sorted(a.targets.keys() & b.targets.keys()):
        sizes = [int(run.scores["generators"][row]["n"]) for run in (a, b)]
        if sizes[0] != sizes[1]:
            return (
                f"{row}: {sizes[0]} and {sizes[1]} images were judged, and distances depend on that number: use the "
                "same number in both"
            )
        if a.targets[row] != b.targets[row]:
            return f"{row}: the runs were judged on different groups of held-out images"
    return ""


def compare(
    compared: Sequence[_Table], a: Run, b: Run, seeds: Sequence[pd.DataFrame]
) -> dict[_Table, list[Difference]]:
    """Return, by comparison, the difference of every score with an interval, for each row that both runs have.

    Args:
        compared: which comparisons.
        a, b: runs that `check_comparable` accepted, and for generators `why_images_do_not_compare` as well.
        seeds: tables of `make seeds`, as `read_seeds` returns them.
    """
    found: dict[_Table, list[Difference]] = {table: [] for table in compared}
    listed = {"rows": {key.removeprefix("rows."): each for key, each in a.params.items() if key.startswith("rows.")}}
    drawn = {row for row in a.scores["representations"] if rows.is_drawn(row, listed)}
    for (table, row, score), by_images in _changes(compared, a, b).items():
        needs_seeds = table == "generators" or row in drawn
        each = _paired_by_seed(table, row, score, a, b, seeds) if needs_seeds else []
        by_seeds = differences.over_seeds(each) if len(each) > 1 else None
        before, after = (run.scores[table][row][score] for run in (a, b))
        found[table].append(Difference(row, score, before, after, by_images, by_seeds, len(each), needs_seeds))
    return found


def verdicts(found: Sequence[Difference]) -> list[tuple[float, str]]:
    """Return the corrected p-value and the verdict on each difference of one table.

    The correction is over the rows, for each score: a reader who goes down a column asks in which rows the runs differ.
    """
    by_score: dict[tuple[str, str], tuple[float, str]] = {}
    for score in dict.fromkeys(each.score for each in found):
        family = [each for each in found if each.score == score]
        corrected = differences.holm([each.p() for each in family])
        for each, p in zip(family, corrected, strict=True):
            by_score[each.row, score] = (p, _verdict(each, p, columns.better(score)))
    return [by_score[each.row, each.score] for each in found]


def _verdict(found: Difference, p: float, better: str | None) -> str:
    if found.by_images.low == found.by_images.high == 0.0:
        return "the same"
    if found.needs_seeds and found.by_seeds is None:
        return "no seeds were run"
    changes = [found.by_images, *([found.by_seeds] if found.by_seeds else [])]
    rises, falls = all(each.low > 0 for each in changes), all(each.high < 0 for each in changes)
    if p >= _LEVEL or not (rises or falls):
        return "no clear difference"
    return _direction(found, better)


def _direction(found: Difference, better: str | None) -> str:
    """Return which way a score went: better or worse, or higher or lower where neither is better."""
    moved = "higher" if found.by_images.value > 0 else "lower"
    return moved if better is None else "better" if moved == better else "worse"


class _Resamples:
    """Paired bootstraps of columns of outcomes with many values, which share their resamples.

    Drawing the resamples takes most of the time, so they are drawn once, when every column is known.
    """

    def __init__(self) -> None:
        self._columns: dict[int, list[np.ndarray]] = {}  # by how many images, (n,) each

    def add(self, outcomes: np.ndarray) -> tuple[int, int]:
        """Take a column (n,); return its place in `means`."""
        known = self._columns.setdefault(len(outcomes), [])
        known.append(outcomes)
        return len(outcomes), len(known) - 1

    def means(self) -> dict[int, np.ndarray]:
        """Return the means of each column over each resample, (n_resamples, columns) by how many images."""
        return {n: _resampled(np.stack(each, axis=1)) for n, each in self._columns.items()}


def _resampled(outcomes: np.ndarray) -> np.ndarray:
    return differences.resampled_means(outcomes, _N_RESAMPLES, seeding.numpy_generator(0, "compare"))


def _changes(compared: Sequence[_Table], a: Run, b: Run) -> dict[tuple[_Table, str, str], Change]:
    """Return the change of each score by comparison, row and score, in the order of the tables.

    A mean over images has a paired bootstrap, a score judged with a jackknife a paired jackknife. Where both runs have
    the same outcomes, nothing is resampled: no resample could differ.
    """
    resamples = _Resamples()
    later: dict[tuple[_Table, str, str], _Later] = {}
    for table in compared:
        for row in (row for row in a.scores[table] if row in b.scores[table]):
            for score in columns.names(columns.COMPARISONS[table]):
                if table == "representations":
                    change = _change_of_representation(row, score, a, b, resamples)
                else:
                    change = _change_of_images(row, score, a, b, resamples)
                if change is not None:
                    later[table, row, score] = change
    means = resamples.means()
    return {key: change(means) for key, change in later.items()}


def _change_of_representation(row: str, score: str, a: Run, b: Run, resamples: _Resamples) -> _Later | None:
    """Return what computes the change of a representation's score; None where it is not a mean over test images."""
    labels = a.outcomes["labels"]
    name = f"{row}.{'knn' if score == 'macro_f1' else _LABELS.get(score, score)}"
    if name not in a.outcomes or name not in b.outcomes:
        return None
    before, after = (run.outcomes[name] for run in (a, b))
    if score == "macro_f1":
        return _change_of_macro_f1(before, after, labels)
    if score in _LABELS:
        before, after = before == labels, after == labels
    return _change_of_mean(before, after, resamples)


def _change_of_images(row: str, score: str, a: Run, b: Run, resamples: _Resamples) -> _Later | None:
    """Return what computes the change of a score of generated images; None where no interval of it was kept."""
    before, after = (run.judged[row] for run in (a, b))
    groups, images = f"left_out.{score}", f"outcomes.{score}"
    if groups in before and groups in after:
        values = [run.scores["generators"][row][score] for run in (a, b)]
        change = differences.by_jackknife(values[0], values[1], before[groups], after[groups])
        return lambda _: change
    if images in before and images in after:
        return _change_of_mean(before[images], after[images], resamples)
    return None


def _change_of_mean(before: np.ndarray, after: np.ndarray, resamples: _Resamples) -> _Later:
    change = np.subtract(after, before, dtype=np.float64)
    if not change.any():
        return lambda _: _NO_CHANGE
    value = float(change.mean())
    if before.dtype == bool:
        found = differences.by_resamples(value, _resampled(change[:, None])[:, 0])
        return lambda _: found
    n, place = resamples.add(change)
    return lambda means: differences.by_resamples(value, means[n][:, place])


def _change_of_macro_f1(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> _Later:
    if np.array_equal(before, after):
        return lambda _: _NO_CHANGE
    hits = [classification.class_hits(predicted, labels) for predicted in (before, after)]
    exact = [float(classification.macro_f1(each.mean(axis=0))) for each in hits]
    halves = np.split(_resampled(np.concatenate(hits, axis=1)), 2, axis=1)
    resampled = [classification.macro_f1(each) for each in halves]
    found = differences.by_resamples(exact[1] - exact[0], resampled[1] - resampled[0])
    return lambda _: found


def read_seeds(folder: Path) -> list[pd.DataFrame]:
    """Return the values of each seed that `make seeds` wrote, with any params."""
    return [artifacts.read_table(path) for path in sorted(folder.rglob("values.csv"))]


def _paired_by_seed(table: _Table, row: str, score: str, a: Run, b: Run, seeds: Sequence[pd.DataFrame]) -> list[float]:
    """Return B minus A for each seed that was run for both."""
    before, after = (_by_seed(table, row, score, run, seeds) for run in (a, b))
    return [after[seed] - before[seed] for seed in sorted(before.keys() & after.keys())]


def _by_seed(table: _Table, row: str, score: str, run: Run, seeds: Sequence[pd.DataFrame]) -> dict[int, float]:
    """Return a score by seed, from the table that has the most seeds of this run's params and code."""
    best: dict[int, float] = {}
    for values in seeds:
        if are_of_run(values, row, run.params["seed"], run.scores[table][row]):
            of_score = values[(values["row"] == row) & (values["score"] == score)]
            found = dict(zip(of_score["seed"].astype(int), of_score["value"].astype(float), strict=True))
            best = max(best, found if run.params["seed"] in found else {}, key=len)
    return best


def sections(a: Run, b: Run, found: Mapping[_Table, Sequence[Difference]], refused: str = "") -> list[Section]:
    """Return what is shown: a summary, each difference by size, the params, and the numbers without an interval.

    Args:
        a, b: the runs.
        found: the differences of each table that was compared.
        refused: why the generators were not compared; "" where they were.
    """
    judged = [
        (difference, p, verdict)
        for each in found.values()
        for difference, (p, verdict) in zip(each, verdicts(each), strict=True)
    ]
    changed = sorted((each for each in judged if each[2] != "the same"), key=lambda each: -each[0].size)
    shown = [Section("In short", "\n\n".join(_in_short(a, b, found, judged, changed, refused)))]
    for title, part in (("What changed most", changed[:_N_FIRST]), (_REST, changed[_N_FIRST:])):
        if part:
            table = pd.DataFrame(_line(*each) for each in part)
            empty = [name for name in ("p", "verdict") if not (table[name].notna() & (table[name] != "")).any()]
            if (table["seeds"] == "0").all():
                empty += ["over_seeds", "over_seeds_lo", "over_seeds_hi", "seeds"]
            table = table.drop(columns=empty)
            shown.append(Section(title, "", table, _MEANINGS, first=_FIRST, folded=title == _REST))
    shown.append(_section_of_params(a, b))
    shown.append(_section_without_intervals(a, b, found))
    return shown


def _line(difference: Difference, p: float, verdict: str) -> dict[str, Any]:
    images, by_seeds = difference.by_images, difference.by_seeds
    known = by_seeds is not None or not difference.needs_seeds
    return {
        "row": difference.row,
        "score": difference.score,
        "A": difference.a,
        "B": difference.b,
        "difference": images.value,
        "difference_lo": images.low,
        "difference_hi": images.high,
        "size": difference.size,
        "better": columns.better(difference.score) or "",
        "over_seeds": by_seeds.value if by_seeds else np.nan,
        "over_seeds_lo": by_seeds.low if by_seeds else np.nan,
        "over_seeds_hi": by_seeds.high if by_seeds else np.nan,
        "seeds": str(difference.n_seeds) if difference.needs_seeds else "not needed",
        "p": p if known else np.nan,
        "verdict": verdict if known else "",
    }


_Judged = tuple[Difference, float, str]


def _in_short(
    a: Run,
    b: Run,
    found: Mapping[_Table, Sequence[Difference]],
    judged: Sequence[_Judged],
    changed: Sequence[_Judged],
    refused: str,
) -> Iterator[str]:
    """Yield what a reader must know first, a paragraph each."""
    by_verdict: dict[str, list[str]] = {}
    for difference, _, verdict in changed:
        by_verdict.setdefault(verdict, []).append(f"{difference.row} {difference.score}")
    unproven = [difference for difference, _, verdict in changed if verdict == "no seeds were run"]
    counts = "" if len(unproven) == len(changed) else f": in B {_counted(by_verdict)}"
    yield (
        f"B ({b.name}) against A ({a.name}): {_params_in_short(a, b)}. "
        f"Of {len(judged)} scores {len(changed)} differ{counts}."
    )
    if unproven:
        beyond = [
            _direction(each, columns.better(each.score))
            for each in unproven
            if each.by_images.low > 0 or each.by_images.high < 0
        ]
        yield (
            f"For {'all' if len(unproven) == len(changed) else len(unproven)} that differ, no seeds were run for both, "
            "so nothing is called better: a training with another seed may differ as much. By images alone, one score "
            f"at a time, {beyond.count('better')} would be better and {beyond.count('worse')} worse. "
            "'make seeds N=3' runs the seeds of the last commit, 'make seeds N=3 SET=\"latent_dim=32\"' those with "
            "other params."
        )
    for verdict in ("better", "worse"):
        names = by_verdict.get(verdict, [])
        if names:
            yield f"{verdict.capitalize()}: {_listed(names)}."
    same = [difference for difference, _, verdict in judged if verdict == "the same"]
    if same:
        moved = {difference.row for difference, _, _ in changed}
        whole = dict.fromkeys(difference.row for difference in same if difference.row not in moved)
        yield f"The same in both: {len(same)} scores" + (f", among them all of {', '.join(whole)}." if whole else ".")
    for table in found:
        for run, other in ((a, b), (b, a)):
            alone = [row for row in run.scores[table] if row not in other.scores[table]]
            if alone:
                yield f"Of {table}, {', '.join(alone)} cannot be compared: {other.name} does not have them."
    if refused:
        yield f"Generators are not compared: {refused}."


def _counted(by_verdict: Mapping[str, Sequence[str]]) -> str:
    counts = [f"{len(by_verdict.get(verdict, [])) or 'none'} {verdict}" for verdict in ("better", "worse")]
    others = ("higher", "lower", "no clear difference")
    return ", ".join(counts + [f"{len(by_verdict[verdict])} {verdict}" for verdict in others if verdict in by_verdict])


def _params_in_short(a: Run, b: Run) -> str:
    texts = [f"{key} is {_yaml(b.params.get(key))}, was {_yaml(a.params.get(key))}" for key in _differing_params(a, b)]
    return _listed(texts, "; ") if texts else "the params are the same"


def _listed(names: Sequence[str], between: str = ", ") -> str:
    more = len(names) - _N_NAMED
    return between.join([*names[:_N_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _differing_params(a: Run, b: Run) -> list[str]:
    return [key for key in {**a.params, **b.params} if a.params.get(key) != b.params.get(key)]


def _section_of_params(a: Run, b: Run) -> Section:
    keys, title = _differing_params(a, b), "Params that differ"
    if not keys:
        return Section(title, "None: both runs have the same params.")
    lines = [{"param": key} | {side: _yaml(run.params.get(key)) for side, run in (("A", a), ("B", b))} for key in keys]
    return Section(title, "", pd.DataFrame(lines), _MEANINGS | {"A": "Its value in A.", "B": "Its value in B."})


def _section_without_intervals(a: Run, b: Run, found: Mapping[_Table, Sequence[Difference]]) -> Section:
    """Return the numbers that differ without an interval of the difference, the largest relative change first."""
    lines: list[tuple[float, dict[str, Any]]] = []
    for table, each in found.items():
        known = {(difference.row, difference.score) for difference in each}
        for row, before in a.scores[table].items():
            after = b.scores[table].get(row, {})
            for name in (name for name in before if name in after and before[name] != after[name]):
                score = re.sub("_(lo|hi)$", "", name)
                if (row, score) not in known and not score.endswith("_minus_raw"):
                    share = abs(after[name] - before[name]) / max(abs(before[name]), abs(after[name]))
                    lines.append((share, {"row": row, "score": name, "A": before[name], "B": after[name]}))
    if not lines:
        return Section("Without an interval", "Nothing else differs.")
    return Section(
        "Without an interval",
        "Sizes, counts and choices that differ, the largest relative change first; none of them says which run is "
        "better.",
        pd.DataFrame(line for _, line in sorted(lines, key=lambda each: -each[0])),
        _MEANINGS,
        folded=True,
    )


def markdown(title: str, shown: Sequence[Section]) -> str:
    """Return the same as Markdown, where the summary needs no heading."""
    first, *others = shown
    parts = [f"# {title}", first.explanation, _introduction()]
    for section in others:
        parts += [f"## {section.title}", *section.paragraphs()]
        if section.table is not None:
            parts.append(tables.markdown(section.table).rstrip("\n"))
    return "\n\n".join(parts) + "\n"


def _introduction() -> str:
    return (
        "Differences are B minus A. Intervals are 95%: over test images, the same ones for both runs, and over seeds. "
        "Better and worse need both, corrected over the rows of the comparison."
    )


def _yaml(value: object) -> str:
    return (
        "" if value is None else yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")
    )


if __name__ == "__main__":
    main()
