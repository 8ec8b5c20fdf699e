"""Train everything again with other seeds, and report what the seed alone changes: each score's mean and 95% interval.

The committed run is the first seed; the others are DVC experiments named seed-<number>. Those that have already run are
skipped; the rest run side by side where the engine has several workers. `make seeds N=5` runs this; its tables in
metrics/seeds are committed by hand. With other params, `make seeds N=5 SET="latent_dim=32"`, all seeds are experiments,
seed-<number>-<params>, and the tables have a folder of their own.
"""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError
from latentbench.evaluation import columns, tables
from latentbench.evaluation.seeds import t_interval
from tools.lib import engine, experiments, rows, seed_tables
from tools.lib.engine import Options
from tools.lib.experiments import ExperimentError
from tools.lib.fleet import DryRunError, Fleet

_FOLDER = Path("metrics/seeds")
# Columns that describe a row but do not judge it.
_NO_SCORES = {name for name, column in columns.BY_NAME.items() if column.kind != "score"}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=5, help="number of seeds, the committed one included (default: 5)")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="params that differ from the commit's"
    )
    engine.add_options(parser)
    arguments = parser.parse_args()
    options = engine.read_options(parser, arguments)
    n = arguments.n
    if n < 2:
        parser.error(f"--n: an interval needs at least 2 seeds, not {n}")
    try:
        changes = read_settings(arguments.set)
        folder = _FOLDER / name_of(changes)
        runs = _run(n, changes, options)
        values = pd.concat([collect(seed, revision) for seed, revision in runs.items()], ignore_index=True)
        summary = summarise(values)
        artifacts.write_table(folder / "values.csv", values)
        artifacts.write_table(folder / "seeds.csv", summary)
        # From the file, so that the same digits are rounded wherever this table is shown.
        written = artifacts.read_table(folder / "seeds.csv")
        artifacts.write_text(folder / "seeds.md", tables.markdown(seed_tables.side_by_side(written)))
    except DryRunError as summary:
        progress.note(str(summary))
        return
    except LatentbenchError as error:
        sys.exit(f"seeds: {error}")
    except KeyboardInterrupt:
        sys.exit("seeds: interrupted; what has finished is kept")
    progress.note(f"written: {folder}/seeds.csv, seeds.md and values.csv")


def read_settings(settings: Sequence[str]) -> dict[str, Any]:
    """Return the params that settings "key=value" change.

    Raises:
        ExperimentError: one is not of that form, sets the seed, or has a value of another type.
    """
    changes = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key == "seed":
            raise ExperimentError(f"{setting!r}: write a param as key=value; of seeds, only the number can be set")
        changes[key] = experiments.read_value(key, value)
    return changes


def name_of(changes: Mapping[str, Any]) -> str:
    """Return a name for changed params that suits folders and experiments; "" for none."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", "-".join(f"{key}={changes[key]}" for key in sorted(changes))).strip("-.")


def _run(n: int, changes: Mapping[str, Any], options: Options) -> dict[int, str]:
    """Return the revision of each of n seeds, the committed one first, after running those that are missing."""
    experiments.check_committed()
    experiments.check_reproduced()
    first = int(experiments.value_at(experiments.committed_params(), "seed"))
    runs = {} if changes else {first: experiments.revision_of("HEAD")}
    others = range(first + len(runs), first + n)
    wanted: list[tuple[str, dict[str, Any], list[str]]] = [
        ("-".join(filter(None, ["seed", str(seed), name_of(changes)])), {**changes, "seed": seed}, [])
        for seed in others
    ]
    with Fleet(options) as fleet:
        return runs | dict(zip(others, fleet.run(wanted), strict=True))


def collect(seed: int, revision: str) -> pd.DataFrame:
    """Return the scores of a run that depend on the seed, one line each: seed, judge, row, score, value.

    The judge is the hash of the classifier in whose features generated images are compared.
    """
    comparisons = {name: experiments.table(revision, name) for name in columns.COMPARISONS}
    params = experiments.params_of(revision)
    drawn = [rows.is_drawn(str(row), params) for row in comparisons["representations"].index]
    comparisons["representations"] = comparisons["representations"][drawn]
    lines = []
    for comparison in comparisons.values():
        scores = comparison.select_dtypes("number")
        kept = [name for name in map(str, scores) if name not in _NO_SCORES and not name.endswith(("_lo", "_hi"))]
        lines += [(row, name, values[name]) for row, values in scores[kept].iterrows() for name in kept]
    found = pd.DataFrame(lines, columns=["row", "score", "value"]).dropna()
    found = found.drop_duplicates(["row", "score"])  # bits_per_dim is in two comparisons
    judge = comparisons["generators"]["classifier"].iloc[0]
    return found.assign(seed=seed, judge=judge)[["seed", "judge", "row", "score", "value"]]


def summarise(values: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and the interval of each row's score over the seeds: row, score, n, mean, lo, hi.

    Raises:
        ExperimentError: the runs were judged by different classifiers, or one has a score that another lacks.
    """
    experiments.check_one_judge(values["judge"])
    n = values["seed"].nunique()
    lines = []
    for (row, score), group in values.groupby(["row", "score"], sort=False):
        if len(group) != n:
            raise ExperimentError(f"{row}: only {len(group)} of {n} seeds have {score}")
        lines.append((row, score, n, *t_interval(group["value"].tolist())))
    return pd.DataFrame(lines, columns=["row", "score", "n", "mean", "lo", "hi"])


if __name__ == "__main__":
    main()
