"""Run the pipeline over params, by a grid or by a search, and draw the trade-off that it finds.

Runs are DVC experiments, named after their params. Those that have already run are skipped; the rest run side by side
where the engine has several workers. The committed run stands for its own params. If killed half-way, the same command
continues. `make sweep` runs this; the table and figures in metrics/sweeps are committed by hand.
"""

import argparse
import itertools
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from matplotlib.figure import Figure

from latentbench import figures
from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError
from latentbench.evaluation import columns, tables
from tools.lib import engine, experiments, rows
from tools.lib.experiments import ExperimentError, are_numbers, read_value
from tools.lib.fleet import DryRunError, Fleet

_FOLDER = Path("metrics/sweeps")
_N_AT_RANDOM = 4  # runs of a search before it learns from them; the same for any --trials, so that a search can go on
_GRID = ("vae_dense.beta=0.01,0.1,1,4,12.25,24.5",)
# What is reported of each run beside the score that it is chosen by, and the table that it comes from.
_SHOWN = {
    "knn_leave_one_out": "representations",
    "knn_accuracy": "representations",
    "mse": "representations",
    "kl_nats": "likelihoods",
    "frechet": "generators",
}
_TITLES = {
    "knn_leave_one_out": "kNN accuracy, leave-one-out on train",
    "knn_accuracy": "kNN accuracy on the test images",
    "mse": "reconstruction error per pixel",
    "kl_nats": "KL divergence, nats per image",
    "frechet": "Fréchet distance of samples",
}
_DRAWN = ("knn_accuracy", "mse", "kl_nats", "frechet")
_TRADES = (("frechet", "knn_leave_one_out"), ("mse", "knn_leave_one_out"))  # the first pair of which both are known
_TRAINING = "training"  # scores that the stage of a row writes itself, in metrics/<row>/metrics.json
_HELP = """\
scores:
  A score is COMPARISON/ROW/SCORE, where COMPARISON is representations, generators or likelihoods (a CSV table in
  metrics/evaluate), or training (metrics/ROW/metrics.json).
  Choose by representations/ROW/knn_leave_one_out or any of training/ROW: they use train and validation images only.
  All others use the test images: a run chosen by one looks better than it is, and the command says so.
  For a training score, only the stage of its row runs; for the others, all that the comparison needs.

examples:
  python -m tools.sweep --grid latent_dim=8,16,32 vae_dense.beta=0.1,1
  python -m tools.sweep --search latent_dim=4..64:int:log vae_dense.beta=0.01..10:log --trials 12
  python -m tools.sweep --grid vae_conv.training.learning_rate=5e-4,1e-3 --score training/vae_conv/validation_loss
"""


@dataclass(frozen=True)
class Goal:
    """The score that runs are chosen by.

    Attributes:
        comparison, row, score: where it is.
        larger: whether a larger one is better.
    """

    comparison: str
    row: str
    score: str
    larger: bool

    @property
    def of_train(self) -> bool:
        """Whether it uses no test images."""
        return self.comparison == _TRAINING or self.score == "knn_leave_one_out"

    @property
    def targets(self) -> list[str]:
        """The stage that writes it; only that stage and those that it needs are run."""
        if self.comparison != _TRAINING:
            return ["evaluate"]
        return [experiments.stage_that_writes(f"metrics/{self.row}/metrics.json")]


@dataclass(frozen=True)
class Range:
    """The values that a search may choose for a param."""

    low: float
    high: float
    whole: bool
    logarithmic: bool

    def suggest(self, trial: optuna.Trial, key: str) -> float | int:
        """Return a value, to three digits, so that names of experiments stay readable."""
        if self.whole:
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.logarithmic)
        value = trial.suggest_float(key, self.low, self.high, log=self.logarithmic)
        return min(max(float(f"{value:.3g}"), self.low), self.high)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--grid", nargs="+", action="extend", metavar="KEY=A,B,...", help=f"every combination (default: {_GRID[0]})"
    )
    how.add_argument(
        "--search",
        nargs="+",
        action="extend",
        metavar="KEY=LOW..HIGH[:int][:log]",
        help="search, guided by the results so far (Optuna's TPE sampler, seeded)",
    )
    how.add_argument("--draw", metavar="NAME", help="draw metrics/sweeps/NAME.csv again, without running anything")
    parser.add_argument(
        "--trials", type=int, default=12, help="runs of a search, including the committed one (default: 12)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the search (default: 0)")
    parser.add_argument("--score", help="the score to choose by (default: knn_leave_one_out of the params' row)")
    parser.add_argument(
        "--direction", choices=("maximize", "minimize"), help="for a score with no known better direction"
    )
    parser.add_argument("--name", help="name of the files in metrics/sweeps (default: from the params)")
    parser.add_argument(
        "--abreast",
        type=int,
        metavar="N",
        help="runs of a search that go on at once, which changes its results (default: one per worker)",
    )
    engine.add_options(parser)
    arguments = parser.parse_args()
    options = engine.read_options(parser, arguments)
    if arguments.trials < 1:
        parser.error(f"--trials: a search needs at least 1, not {arguments.trials}")
    if arguments.abreast is not None and arguments.abreast < 1:
        parser.error(f"--abreast: a search needs at least 1, not {arguments.abreast}")
    try:
        if arguments.draw:
            draw(arguments.draw)
            return
        experiments.check_committed()
        experiments.check_reproduced()
        given = dict(_split_setting(text) for text in arguments.search or arguments.grid or _GRID)
        goal = choose_goal(list(given), arguments.score, arguments.direction)
        with Fleet(options) as fleet:
            if arguments.search:
                ranges = {key: read_range(key, text) for key, text in given.items()}
                n_abreast = arguments.abreast or fleet.n_workers
                runs = search(ranges, goal, arguments.trials, arguments.seed, fleet, n_abreast)
            else:
                points = read_grid(given)
                runs = list(zip(points, revisions(points, goal, fleet), strict=True))
        name = arguments.name or "_".join(given).replace(".", "_")
        table = collect(runs, goal)
        artifacts.write_table(_FOLDER / f"{name}.csv", table)
        best, shown = best_of(table, goal), tables.markdown(artifacts.read_table(_FOLDER / f"{name}.csv"))
        artifacts.write_text(_FOLDER / f"{name}.md", f"{best}\n\n{shown}")
        sys.stdout.write(f"{best}\n\n{shown}")
        draw(name)
    except DryRunError as summary:
        progress.note(str(summary))
    except LatentbenchError as error:
        sys.exit(f"sweep: {error}")
    except KeyboardInterrupt:
        sys.exit("sweep: interrupted; what has finished is kept")


def choose_goal(keys: Sequence[str], score: str | None, direction: str | None) -> Goal:
    """Return the goal by which runs over these params are chosen.

    Raises:
        ExperimentError: the committed run has no such score, or it is unknown which direction is better.
    """
    if score is None:
        there = [str(row) for row in experiments.table("HEAD", "representations").index]
        named = {row for key in keys if (row := rows.of_param(key, there))}
        vaes = rows.of_family("vae", there, experiments.committed_params()) if set(keys) == {"latent_dim"} else []
        if len(named) > 1 or not (named or vaes):
            raise ExperimentError(
                f"--score: cannot tell from {', '.join(keys)} which row to judge; give a score, which --help lists"
            )
        score = f"representations/{[*named, *vaes][0]}/knn_leave_one_out"
    comparison, row, name = ([*score.split("/"), "", ""])[:3]
    if comparison not in (*columns.COMPARISONS, _TRAINING) or score.count("/") != 2:
        raise ExperimentError(f"--score: {score} is not COMPARISON/ROW/SCORE; --help lists the scores")
    better = columns.better(name)
    if direction is None and better is None:
        raise ExperimentError(f"--direction: say whether {name} is to be maximized or minimized")
    goal = Goal(comparison, row, name, direction == "maximize" if direction else better == "higher")
    scores_of("HEAD", goal)
    return goal


def read_grid(given: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return every combination of the values of params, in their order.

    Raises:
        ExperimentError: there is no such param, or a value has the wrong type.
    """
    values = {key: [read_value(key, text) for text in texts.split(",")] for key, texts in given.items()}
    distinct = [sorted(set(each)) if are_numbers(each) else list(dict.fromkeys(each)) for each in values.values()]
    return [dict(zip(values, point, strict=True)) for point in itertools.product(*distinct)]


def read_range(key: str, text: str) -> Range:
    """Return the range LOW..HIGH[:int][:log] of a param.

    Raises:
        ExperimentError: there is no such param, or the text is not such a range.
    """
    match = re.fullmatch(r"([^:]+)\.\.([^:]+?)((?::int|:log)*)", text)
    ends = [read_value(key, end) for end in match.groups()[:2]] if match else []
    if match is None or not are_numbers(ends) or ends[0] >= ends[1]:
        raise ExperimentError(
            f"{key}={text}: a range is LOW..HIGH, then :int for whole numbers, :log for a logarithmic one"
        )
    found = Range(ends[0], ends[1], ":int" in match[3], ":log" in match[3])
    if found.logarithmic and found.low <= 0:
        raise ExperimentError(f"{key}={text}: a logarithmic range begins above 0")
    return found


def search(
    ranges: Mapping[str, Range], goal: Goal, n_trials: int, seed: int, fleet: Fleet, n_abreast: int
) -> list[tuple[dict[str, Any], str]]:
    """Return the params and the revision of each run of a search, of which the first is the committed one.

    The sampler is seeded. It is asked for a run only once it knows the result of the one `n_abreast` before, in this
    order whichever ends first. So the same command repeats the runs that exist, and then continues. A run without a
    result yet counts as a bad one (Optuna's constant liar), which keeps simultaneous runs apart.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_N_AT_RANDOM, constant_liar=n_abreast > 1)
    study = optuna.create_study(direction="maximize" if goal.larger else "minimize", sampler=sampler)
    committed = {key: experiments.value_at(experiments.committed_params(), key) for key in ranges}
    if all(ranges[key].low <= value <= ranges[key].high for key, value in committed.items()):
        study.enqueue_trial(committed)
    runs: list[tuple[dict[str, Any], str]] = []
    asked: deque[tuple[optuna.Trial, dict[str, Any]]] = deque()
    for number in range(n_trials + n_abreast):
        if number >= n_abreast and asked:
            trial, point = asked.popleft()
            revision = revisions([point], goal, fleet)[0]
            value = scores_of(revision, goal)[goal.score]
            study.tell(trial, value)
            progress.note(f"run {trial.number + 1} of {n_trials}: {_described(point)}: {goal.score} {value:.4g}")
            if point not in [other for other, _ in runs]:
                runs.append((point, revision))
        if number < n_trials:
            trial = study.ask()
            asked.append((trial, {key: each.suggest(trial, key) for key, each in ranges.items()}))
            wanted = experiment(asked[-1][1], goal)
            if wanted is not None:
                fleet.submit(*wanted)
    return sorted(runs, key=lambda each: list(each[0].values()))


def revisions(points: Sequence[Mapping[str, Any]], goal: Goal, fleet: Fleet) -> list[str]:
    """Return the revisions with these params, after running those that are missing."""
    wanted = [experiment(point, goal) for point in points]
    found = iter(fleet.run([each for each in wanted if each is not None]))
    return [experiments.revision_of("HEAD") if each is None else next(found) for each in wanted]


def experiment(point: Mapping[str, Any], goal: Goal) -> tuple[str, Mapping[str, Any], list[str]] | None:
    """Return the name, the params and the targets of the run with these params; None where it is the commit's own."""
    committed = experiments.committed_params()
    if all(experiments.value_at(committed, key) == value for key, value in point.items()):
        return None
    # If only the stage of a row was run, the comparison is still the committed one: that is another experiment.
    alone = [goal.row] if goal.comparison == _TRAINING else []
    named = [f"{key}-{value:g}" if are_numbers([value]) else f"{key}-{value}" for key, value in point.items()]
    name = re.sub(r"[^\w.+-]+", "_", "-".join(["sweep", *alone, *named]))
    return name, point, goal.targets


def scores_of(revision: str, goal: Goal) -> dict[str, float]:
    """Return the scores of the goal's row in a run, the goal's first, with the ends of their intervals.

    Raises:
        ExperimentError: the run has no such row or score.
    """
    if goal.comparison == _TRAINING:
        found = experiments.metrics(revision, goal.row)
        shown = [name for name in found if name.startswith("validation_")]
    else:
        found = {}
        for comparison in columns.COMPARISONS:
            table = experiments.table(revision, comparison)
            if goal.row in table.index:
                found |= _scores_to_tell(table.loc[[goal.row]].to_dict("records")[0], comparison, goal)
        shown = list(_SHOWN)
    if goal.score not in found:
        where = f"{goal.comparison}/{goal.row}"
        raise ExperimentError(f"--score: {where} has no {goal.score}; it has {', '.join(found) or 'nothing'}")
    order = dict.fromkeys([goal.score, *shown])
    return {
        f"{name}{end}": found[f"{name}{end}"] for name in order for end in ("", "_lo", "_hi") if f"{name}{end}" in found
    }


def _scores_to_tell(line: Mapping[Any, Any], comparison: str, goal: Goal) -> dict[str, float]:
    """Return the numbers of a line: all from the goal's comparison, and from the others those that are shown."""
    numbers = {str(name): value for name, value in line.items() if are_numbers([value]) and not pd.isna(value)}
    if comparison == goal.comparison:
        return numbers
    return {name: numbers[name] for name in numbers if _SHOWN.get(re.sub("_(lo|hi)$", "", name)) == comparison}


def collect(runs: Sequence[tuple[Mapping[str, Any], str]], goal: Goal) -> pd.DataFrame:
    """Return a line for each run: its params under their shortest names, the goal's score, and the others.

    Raises:
        ExperimentError: the runs were judged by different classifiers.
    """
    keys = list(runs[0][0])
    last = [key.split(".")[-1] for key in keys]
    names = {key: short if last.count(short) == 1 else key for key, short in zip(keys, last, strict=True)}
    lines = [
        {**{names[key]: value for key, value in point.items()}, **scores_of(revision, goal)} for point, revision in runs
    ]
    if goal.comparison != _TRAINING:
        judges = [experiments.table(revision, "generators")["classifier"].iloc[0] for _, revision in runs]
        experiments.check_one_judge(pd.Series(judges))
    return pd.DataFrame(lines)


def best_of(table: pd.DataFrame, goal: Goal) -> str:
    """Return a text that says which run is best, by how much, and on which images it was chosen."""
    ordered = table.sort_values(goal.score, ascending=not goal.larger, kind="stable").to_dict("records")
    names = [
        _described(dict(itertools.takewhile(lambda item: item[0] != goal.score, line.items()))) for line in ordered
    ]
    values = [f"{line[goal.score]:.4g}" for line in ordered]
    images = "train and validation images" if goal.of_train else "the test images, so it looks better than it is"
    worst = f", then {names[1]} with {values[1]}, and last {names[-1]} with {values[-1]}" if len(ordered) > 2 else ""
    second = f", before {names[1]} with {values[1]}" if len(ordered) == 2 else ""
    return (
        f"Of {len(ordered)} runs, {names[0]} is best: {goal.score} of {goal.row} is {values[0]}{worst}{second}. "
        f"It was chosen on {images}; another seed may give another choice."
    )


def draw(name: str) -> None:
    """Draw a table in metrics/sweeps: its scores over its params, and one score against another if it has both.

    Raises:
        ArtifactError: there is no such table.
    """
    table = artifacts.read_table(_FOLDER / f"{name}.csv")
    known = {name for name, column in columns.BY_NAME.items() if column.kind == "score"}
    scores = [column for column in table if column in known]
    params = list(itertools.takewhile(lambda column: column not in scores, map(str, table)))
    artifacts.write_figure(_FOLDER / f"{name}.png", figures.sweep(list(_panels(table, params, scores))))
    written = [f"{name}.csv", f"{name}.md", f"{name}.png"]
    trade = next((pair for pair in _TRADES if set(pair) <= set(scores)), None)
    if trade is not None and len(table) > 1:
        artifacts.write_figure(_FOLDER / f"{name}_trade.png", _trade(table, params, *trade))
        written.append(f"{name}_trade.png")
    progress.note(f"in {_FOLDER}: {', '.join(written)}")


def _panels(table: pd.DataFrame, params: Sequence[str], scores: Sequence[str]) -> Iterator[figures.Panel]:
    """Yield the panels: for a grid each score over its first param, for a search its score over each param."""
    first, *others = params
    if len(table) == np.prod([table[param].nunique() for param in params]):
        parts = list(table.groupby(others, sort=False)) if others else [((), table)]
        for score in [score for score in scores if score in _DRAWN] or scores[:1]:
            lines = [_line(part, first, score, _described(dict(zip(others, key, strict=True)))) for key, part in parts]
            yield figures.Panel(_TITLES.get(score, score), first, lines)
    else:
        for param in params:
            yield figures.Panel(
                _TITLES.get(scores[0], scores[0]), param, [_line(table, param, scores[0], "")], joined=False
            )


def _line(table: pd.DataFrame, param: str, score: str, label: str) -> figures.Line:
    lows, highs = (table.get(f"{score}{end}", table[score]).to_numpy() for end in ("_lo", "_hi"))
    return figures.Line(label, table[param].tolist(), table[score].to_numpy(), lows, highs)


def _trade(table: pd.DataFrame, params: Sequence[str], x: str, y: str) -> Figure:
    labels = [_described(point) for point in table[list(params)].to_dict("records")]
    better: list[Callable[[Any, Any], bool]] = [
        (lambda a, b: a > b) if columns.better(score) == "higher" else (lambda a, b: a < b) for score in (x, y)
    ]
    points = table[[x, y]].to_numpy()
    # A run is on the front if no other is at least as good in both scores and better in one.
    front = [
        not any(
            any(better[i](other[i], point[i]) for i in (0, 1))
            and not any(better[i](point[i], other[i]) for i in (0, 1))
            for other in points
        )
        for point in points
    ]
    return figures.trade(points, labels, np.array(front), (_TITLES[x], _TITLES[y]))


def _split_setting(text: str) -> tuple[str, str]:
    key, equals, values = text.partition("=")
    if not (key and equals and values):
        raise ExperimentError(f"{text}: write a param as KEY=VALUES")
    return key, values


def _described(point: Mapping[Any, Any]) -> str:
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in point.items()
    )


if __name__ == "__main__":
    main()
