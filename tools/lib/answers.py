"""Which row of a run is best at what, by how much and how certainly, in words made from its numbers.

Two rows of a run are scored on the same test images, so the interval of their difference is paired: a bootstrap over
images for a mean over them, a jackknife over the same groups for anything else. A row is called better only if that
interval excludes zero and p, corrected over every pair of rows for this score (Holm 1979), is below 0.05. Correcting
over the pairs of the best row alone would not be enough, since the same images decide which row is best. If two or more
seeds of both were run, the interval over seeds must agree. Anything else is a tie.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from latentbench import seeding
from latentbench.core import artifacts
from latentbench.evaluation import columns, differences
from latentbench.evaluation.differences import Change
from stages import sample_scores
from tools.lib import rows
from tools.lib.runs import NotMeasuredError, Run, Score
from tools.lib.seed_tables import are_of_run

LEVEL = 0.05
_N_RESAMPLES = 5000


@dataclass(frozen=True)
class Question:
    """What a row can be best at.

    Attributes:
        title: what it is, as a heading.
        table: the comparison below metrics/evaluate that has the score.
        score: its column, by which rows are ordered.
        outcomes: the name under which the outcome for each test image is stored; "" where groups of images were judged.
        says: a sentence on the best row, with {row} and {value} to fill in.
        unit: how values and differences are written.
    """

    title: str
    table: Literal["representations", "generators"]
    score: str
    outcomes: str
    says: str
    unit: Literal["share", "number"] = "number"

    @property
    def larger(self) -> bool:
        """Whether larger values are better."""
        return columns.better(self.score) == "higher"

    def value(self, score: Score) -> str:
        """Write a score with its interval, if it has one."""
        ends = "" if score.low == score.high else f" ({self._text(score.low)} to {self._text(score.high)})"
        return f"{self._text(score.value)}{'%' if self.unit == 'share' else ''}{ends}"

    def lead(self, change: Change) -> str:
        """Write how far a row is behind, with the interval."""
        values = (change.value, change.low, change.high)
        # The sum turns a negative zero into zero.
        texts = [f"{round(100.0 * each, 2) + 0.0:.2f}" if self.unit == "share" else f"{each:.3g}" for each in values]
        return f"{texts[0]}{' points' if self.unit == 'share' else ''} ({texts[1]} to {texts[2]})"

    def _text(self, value: float) -> str:
        return f"{100.0 * value:.1f}" if self.unit == "share" else f"{value:.3g}"


QUESTIONS = (
    Question(
        "Telling classes apart",
        "representations",
        "knn_accuracy",
        "knn",
        "kNN on the representation by {row} gets {value} of the test images right.",
        "share",
    ),
    Question(
        "Rebuilding images",
        "representations",
        "mse",
        "mse",
        "{row} rebuilds test images most accurately: squared error {value} per pixel.",
    ),
    Question(
        "Drawing new images",
        "generators",
        "frechet",
        "",
        "The images drawn by {row} are closest to real ones: Fréchet distance {value}.",
    ),
    Question(
        "Drawing all kinds",
        "generators",
        "coverage",
        "",
        "{value} of the test images have an image drawn by {row} nearby.",
        "share",
    ),
)


@dataclass(frozen=True)
class Rival:
    """A row beside the best one.

    Attributes:
        row: its name.
        behind: how far it is behind the best, with the interval over images and the p-value corrected over all pairs.
        over_seeds: the same over seeds; None where fewer than two seeds of both were run.
        n_seeds: how many seeds of both were run.
        needs_seeds: whether a seed affects either row.
    """

    row: str
    behind: Change
    over_seeds: Change | None
    n_seeds: int
    needs_seeds: bool

    @property
    def told_apart(self) -> bool:
        """Whether it is clearly worse."""
        changes = [self.behind, *([self.over_seeds] if self.over_seeds else [])]
        return all(each.low > 0.0 for each in changes) and self.behind.p < LEVEL


@dataclass(frozen=True)
class Answer:
    """Which row is best at what.

    Attributes:
        question: what was asked.
        best: the row.
        score: its score.
        rivals: all others, the nearest first.
        real: the score of real images, if they have one.
    """

    question: Question
    best: str
    score: Score
    rivals: Sequence[Rival]
    real: Score | None = None

    @property
    def ties(self) -> list[str]:
        """The rows that are not clearly worse than the best."""
        return [rival.row for rival in self.rivals if not rival.told_apart]

    def sentences(self) -> Iterator[str]:
        """Yield the answer: the best row, what ties with it, what comes next, and how certain that is."""
        real = f" Real images score {self.question.value(self.real)}." if self.real else ""
        yield self.question.says.format(row=self.best, value=self.question.value(self.score)) + real
        ties = [rival for rival in self.rivals if not rival.told_apart]
        for rival in ties[:1]:
            others = f" {listed([each.row for each in ties[1:]])} may be as good too." if len(ties) > 1 else ""
            yield f"{rival.row} is {self.question.lead(rival.behind)} behind, which may be chance.{others}"
        after = next((rival for rival in self.rivals if rival.told_apart), None)
        if after is None:
            yield "No row is clearly worse."
            return
        yield f"{'Then comes' if ties else 'Next is'} {after.row}, {self.question.lead(after.behind)} behind."
        yield _how_sure(after)


def _how_sure(rival: Rival) -> str:
    if not rival.needs_seeds:
        return "This holds over test images; neither row depends on a seed."
    if rival.over_seeds is None:
        return "This holds over test images. Another training may differ: this run lacks seeds of both ('make seeds')."
    return f"This holds over test images, and over {rival.n_seeds} seeds."


class Answers:
    """The answers of a run.

    Args:
        run: its tables, and data/outcomes and data/judged beside them.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._data = run.root / "data"

    def all(self) -> list[Answer]:
        """Return the answer to each question that the run can answer.

        Raises:
            CostsError: the outcomes for the test images are missing.
        """
        return [self.of(question) for question in QUESTIONS if len(self._contestants(question)) > 1]

    def of(self, question: Question) -> Answer:
        """Return which row is best.

        Raises:
            CostsError: the outcomes for the test images are missing.
            NotMeasuredError: no row has the score.
        """
        names = self._contestants(question)
        if not names:
            raise NotMeasuredError(f"no row of metrics/evaluate/{question.table}.csv has {question.score}")
        scores = {row: self._run.score(f"evaluate/{question.table}", question.score, row=row) for row in names}
        best = (max if question.larger else min)(names, key=lambda row: scores[row].value)
        changes = self._changes(question, names, {row: each.value for row, each in scores.items()})
        rivals = [self._rival(question, best, row, changes[row, best]) for row in names if row != best]
        name = f"evaluate/{question.table}"
        real = self._run.score(name, question.score, row="real") if question.table == "generators" else None
        return Answer(question, best, scores[best], sorted(rivals, key=lambda rival: rival.behind.value), real)

    def _contestants(self, question: Question) -> list[str]:
        """Return the rows that have the score, but for real images and rows that were taught the classes."""
        table = self._run.table(f"evaluate/{question.table}")
        if question.score not in table:
            return []
        named = table.loc[table[question.score].notna(), "row"]
        params = self._run.params
        return [row for row in named if rows.family_of(row, params) != "real" and not rows.is_taught(row, params)]

    def _changes(
        self, question: Question, names: Sequence[str], values: Mapping[str, float]
    ) -> dict[tuple[str, str], Change]:
        """Return how far each row is behind each other, positive where it is worse; p is corrected over all pairs."""
        sign = -1.0 if question.larger else 1.0
        pairs = list(combinations(names, 2))
        change = self._by_images(question, names) if question.outcomes else self._by_groups(question, values)
        found = [change(a, b) for a, b in pairs]
        corrected = differences.holm([each.p for each in found])
        behind: dict[tuple[str, str], Change] = {}
        for (a, b), each, p in zip(pairs, found, corrected, strict=True):
            low, high = sorted((sign * each.low, sign * each.high))
            behind[b, a] = Change(sign * each.value, low, high, p)
            behind[a, b] = Change(-sign * each.value, -high, -low, p)
        return behind

    def _by_images(self, question: Question, names: Sequence[str]) -> Callable[[str, str], Change]:
        """Return what compares two rows by a paired bootstrap; all pairs share their resamples."""
        arrays = self._outcomes
        kept = [arrays[f"{row}.{question.outcomes}"] for row in names]
        if question.unit == "share":
            kept = [each == arrays["labels"] for each in kept]
        outcomes = np.stack(kept, axis=1).astype(np.float64)
        generator = seeding.numpy_generator(0, "report", question.score)
        means = differences.resampled_means(outcomes, _N_RESAMPLES, generator)
        place = {row: column for column, row in enumerate(names)}

        def change(a: str, b: str) -> Change:
            value = float((outcomes[:, place[b]] - outcomes[:, place[a]]).mean())
            return differences.by_resamples(value, means[:, place[b]] - means[:, place[a]])

        return change

    def _by_groups(self, question: Question, values: Mapping[str, float]) -> Callable[[str, str], Change]:
        """Return what compares two rows by jackknives over the same groups of held-out images."""
        left_out = {row: self.judged(row)[f"left_out.{question.score}"] for row in values}
        return lambda a, b: differences.by_jackknife(values[a], values[b], left_out[a], left_out[b])

    def _rival(self, question: Question, best: str, row: str, behind: Change) -> Rival:
        drawn = [question.table == "generators" or rows.is_drawn(each, self._run.params) for each in (best, row)]
        before, after = (self._by_seed(question, each) for each in (best, row))
        if not all(drawn):  # a row without chance is the same under every seed
            name, same = f"evaluate/{question.table}", row if drawn[0] else best
            value = self._run.score(name, question.score, row=same).value
            before, after = (each or dict.fromkeys({**before, **after}, value) for each in (before, after))
        sign = -1.0 if question.larger else 1.0
        both = [sign * (after[seed] - before[seed]) for seed in sorted(before.keys() & after.keys())]
        over_seeds = differences.over_seeds(both) if any(drawn) and len(both) > 1 else None
        return Rival(row, behind, over_seeds, len(both), any(drawn))

    def _by_seed(self, question: Question, row: str) -> dict[int, float]:
        """Return the score of a row by seed, from trainings with this run's params and code."""
        seed = int(self._run.params["seed"])
        truth = self._run.table(f"evaluate/{question.table}").set_index("row").loc[row]
        numbers = {str(name): float(value) for name, value in truth.items() if isinstance(value, int | float)}
        for values in self._seeds:
            if are_of_run(values, row, seed, numbers):
                of_score = values[(values["row"] == row) & (values["score"] == question.score)]
                return dict(zip(of_score["seed"].astype(int), of_score["value"].astype(float), strict=True))
        return {}

    @cached_property
    def _seeds(self) -> list[pd.DataFrame]:
        return [artifacts.read_table(path) for path in sorted((self._run.root / "metrics/seeds").rglob("values.csv"))]

    @cached_property
    def _outcomes(self) -> dict[str, np.ndarray]:
        return self._arrays(self._data / "outcomes")

    def judged(self, row: str) -> dict[str, np.ndarray]:
        """Return the stored judgement of a row's images.

        Raises:
            CostsError: it is missing.
        """
        return self._arrays(self._data / "judged" / sample_scores.place(row))

    def _arrays(self, folder: Path) -> dict[str, np.ndarray]:
        self._run.check_there(folder / "model.safetensors")
        return artifacts.read_model(folder)[0]


def listed(names: Sequence[str]) -> str:
    """Return names in a sentence: "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))
