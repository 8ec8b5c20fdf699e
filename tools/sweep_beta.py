"""Train a VAE with other weights of its KL divergence (beta), and tell what each costs and brings.

Runs are DVC experiments named beta-<preset>-<beta>, of which only those that are not there yet are run; the committed
run stands for its own beta. `make sweep-beta` runs this; its table and figure in metrics/sweeps are committed by hand.
"""

import argparse
import sys
from pathlib import Path
from typing import get_args

import pandas as pd

from latentbench import artifacts, figures, progress
from latentbench.errors import LatentbenchError
from latentbench.evaluation import tables
from latentbench.networks import vaes
from tools import experiments

_FOLDER = Path("metrics/sweeps")
_BETAS = (0.01, 0.1, 1.0, 4.0, 12.25, 24.5)
# Where each score is from.
_SCORES = {
    "knn_leave_one_out": "representations",
    "knn_accuracy": "representations",
    "mse": "representations",
    "kl_nats": "likelihoods",
    "frechet": "generators",
}
_TITLES = {
    "knn_accuracy": "kNN accuracy on the test images",
    "mse": "reconstruction error per pixel",
    "kl_nats": "KL divergence, nats per image",
    "frechet": "Fréchet distance of samples",
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--preset", choices=get_args(vaes.Architecture), default="dense", help="which VAE (default: dense)"
    )
    parser.add_argument(
        "--betas", type=float, nargs="+", default=_BETAS, help=f"default: {' '.join(f'{beta:g}' for beta in _BETAS)}"
    )
    arguments = parser.parse_args()
    if min(arguments.betas) <= 0:
        parser.error("--betas: they are drawn on a logarithmic axis and must be above 0")
    preset, name = arguments.preset, f"beta_{arguments.preset}"
    try:
        runs = _run(preset, sorted(set(arguments.betas)))
        sweep = collect(f"vae_{preset}", runs)
        artifacts.write_table(_FOLDER / f"{name}.csv", sweep)
        artifacts.write_text(_FOLDER / f"{name}.md", tables.markdown(artifacts.read_table(_FOLDER / f"{name}.csv")))
        scores = {title: sweep[score].to_numpy() for score, title in _TITLES.items()}
        intervals = {
            title: (sweep[f"{score}_lo"].to_numpy(), sweep[f"{score}_hi"].to_numpy())
            for score, title in _TITLES.items()
            if f"{score}_lo" in sweep
        }
        figure = figures.sweep(sweep["beta"].tolist(), scores, intervals, f"beta of the {preset} VAE")
        artifacts.write_figure(_FOLDER / f"{name}.png", figure)
    except LatentbenchError as error:
        sys.exit(f"sweep-beta: {error}")
    except KeyboardInterrupt:
        sys.exit("sweep-beta: interrupted; what has been run is kept")
    progress.note(f"written: {_FOLDER}/{name}.csv, {name}.md and {name}.png")


def _run(preset: str, betas: list[float]) -> dict[float, str]:
    """Return the revision of each beta, after running those that are not there."""
    experiments.check_committed()
    experiments.check_reproduced()
    key = f"vae.{preset}.beta"
    committed = float(experiments.value_at(experiments.committed_params(), key))
    runs: dict[float, str] = {}
    for beta in betas:
        progress.note(f"beta {beta:g}: {len(runs)} of {len(betas)} are there")
        runs[beta] = (
            experiments.revision_of("HEAD")
            if beta == committed
            else experiments.run(f"beta-{preset}-{beta:g}", {key: beta})
        )
    return runs


def collect(row: str, runs: dict[float, str]) -> pd.DataFrame:
    """Return the scores of a row of the comparison in each run, with their intervals: a line for each beta.

    Raises:
        ExperimentError: the runs were judged by different classifiers.
    """
    lines = []
    for beta, revision in runs.items():
        comparisons = {name: experiments.table(revision, name) for name in set(_SCORES.values())}
        line = {"beta": beta, "judge": comparisons["generators"].loc[row, "classifier"]}
        for score, comparison in _SCORES.items():
            values = comparisons[comparison].loc[row].to_dict()
            line |= {name: values[name] for name in (score, f"{score}_lo", f"{score}_hi") if name in values}
        lines.append(line)
    found = pd.DataFrame(lines)
    experiments.check_one_judge(found.pop("judge"))
    return found


if __name__ == "__main__":
    main()
