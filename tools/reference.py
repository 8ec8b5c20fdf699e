"""Redo the student report: each of its figures, beside what the same method gives without the mistakes.

Networks are trained by the report's recipes (reference.yaml) as DVC experiments named reference-<latent size>; the two
programs about PCA and Isomap need none. Each result is saved in metrics/reference/reference.json as soon as it is
computed, and computed again only when its inputs have changed. `make reference` runs this; the tables in
metrics/reference are committed by hand.
"""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from latentbench import threads
from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError
from latentbench.data.dataset import Dataset
from latentbench.evaluation import tables
from stages import paths
from tools.lib import experiments, published_results
from tools.lib import reference_programs as programs
from tools.lib import rows as rows_of
from tools.lib.engine import Options
from tools.lib.fleet import Fleet
from tools.lib.published_results import ROWS, Row
from tools.lib.reference_programs import Result

_FOLDER = Path("metrics/reference")
_TRY = Path(".dvc/tmp/reference")
_RECIPES = Path("reference.yaml")
_CODE = ("tools/lib/reference_programs.py", "latentbench/neighbors", "latentbench/reduction", "latentbench/evaluation")
_DIMS = (32, 64)
_CHOICES = ("k", "weights", "components", "neighbors")  # shown beside the accuracy


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("neighbors", "networks"), help="one half of the work (default: both)")
    parser.add_argument(
        "--dims", type=int, nargs="+", choices=_DIMS, default=_DIMS, help="latent sizes (default: 32 64)"
    )
    parser.add_argument("--budget", type=float, help=f"a share of the recipes, for a quick try in {_TRY}")
    parser.add_argument("--again", action="store_true", help="also compute results that exist already")
    arguments = parser.parse_args()
    try:
        threads.use(experiments.committed_params()["threads"])
        folder = _FOLDER if arguments.budget is None else _TRY
        results = Results(folder / "reference.json", again=arguments.again)
        dataset = Dataset(paths.PROCESSED)
        if arguments.only != "networks":
            judge_neighbors(results, dataset)
        if arguments.only != "neighbors":
            judge_networks(results, dataset, arguments.dims, arguments.budget)
        write_tables(results, folder)
    except LatentbenchError as error:
        sys.exit(f"reference: {error}")
    except KeyboardInterrupt:
        sys.exit("reference: interrupted; what has finished is kept")
    progress.note(f"written: {folder}/reference.csv, reference.md and reference.json")


class Results:
    """Results by part, in a file to which each part is written as soon as it is computed.

    Args:
        path: of the file.
        again: whether to compute every part again.
    """

    def __init__(self, path: Path, *, again: bool = False) -> None:
        self._path = path
        self._again = again
        self._parts: dict[str, Any] = artifacts.read_json(path) if path.exists() else {}

    def part(self, name: str, follows_from: Mapping[str, Any], compute: Callable[[], Result]) -> Result:
        """Return a part, computing it unless the file has it from the same facts."""
        kept = self.get(name)
        if kept and kept["follows_from"] == follows_from and not self._again:
            progress.note(f"{name}: already computed")
        else:
            progress.note(f"{name}: computing")
            self._parts[name] = {**compute(), "follows_from": dict(follows_from)}
            artifacts.write_metrics(self._path, self._parts)
        rounded: Result = artifacts.read_json(self._path)[name]  # rounded alike, whether it is new or not
        return rounded

    def get(self, name: str) -> Result | None:
        """Return a part, or None where it has not been computed."""
        return self._parts.get(name)


def judge_neighbors(results: Results, dataset: Dataset) -> None:
    """Run the parts that need no network: kNN on pixels, on PCA and on Isomap.

    Raises:
        ArtifactError: the dataset has not been preprocessed.
    """
    seed = int(experiments.committed_params()["seed"])
    facts = {"seed": seed, "images": _fingerprint(dataset), "code": _fingerprint_of_code()}
    whole = programs.standardised(programs.random_split(dataset, seed))
    programs.warm_up(whole)
    results.part("pixels", facts, partial(programs.pixels, whole))
    counts = programs.draw_counts(whole, seed)
    draws = [
        results.part(f"pca_draw_{count}", facts, partial(programs.search_components, whole, count)) for count in counts
    ]
    results.part("pca", facts, partial(programs.components, whole, draws))

    subset = programs.subset_split(dataset, seed)
    results.part("subset_pixels", facts, partial(programs.subset_pixels, subset))
    results.part("isomap", facts, partial(programs.isomap, subset))
    results.part("isomap_search", facts, partial(programs.isomap_search, subset))


def judge_networks(results: Results, dataset: Dataset, dims: Sequence[int], budget: float | None = None) -> None:
    """Train networks by the report's recipes at each latent size, and judge their latents by kNN.

    Raises:
        ExperimentError: an experiment fails.
    """
    experiments.check_committed()
    recipes = yaml.safe_load(artifacts.read_bytes(_RECIPES))
    families = rows_of.families(experiments.committed_params())
    rows = {row: f"{families[row]}@{row}" for row in recipes}
    changes = experiments.flatten(recipes)
    if budget is not None:
        changes["budget"] = budget
    end = "" if budget is None else f"-budget-{budget:g}"
    wanted = [(f"reference-{dim}{end}", {"latent_dim": dim, **changes}, list(rows.values())) for dim in dims]
    with Fleet(Options()) as fleet:
        revisions = fleet.run(wanted)
    for dim, revision in zip(dims, revisions, strict=True):
        for row in rows:
            results.part(
                f"{row}_{dim}",
                {"experiment": revision, "code": _fingerprint_of_code()},
                partial(_judge_latents, row, revision, dataset),
            )


def _judge_latents(row: str, revision: str, dataset: Dataset) -> Result:
    with tempfile.TemporaryDirectory(dir=paths.PROCESSED.parent) as room:
        folder = Path(room) / row
        experiments.fetch(revision, f"data/embeddings/{row}", folder)
        train, test = (np.array(artifacts.read_array(folder / f"{split}.npy")) for split in ("train", "test"))
    seed = int(experiments.committed_params()["seed"])
    return programs.latents(dataset, train, test, seed)


def write_tables(results: Results, folder: Path) -> None:
    """Write every figure of the report beside its counterpart: as CSV, and as Markdown for people."""
    lines = [_line(row, results.get(row.part) or {}) for row in ROWS]
    artifacts.write_table(folder / "reference.csv", pd.DataFrame(lines))
    shown = published_results.side_by_side(artifacts.read_table(folder / "reference.csv"))
    artifacts.write_text(folder / "reference.md", tables.markdown(shown))


def _line(row: Row, result: Result) -> dict[str, Any]:
    choices = {name: result[name] for name in _CHOICES if name in result} if row.score == "accuracy" else {}
    return {
        "what": row.what,
        "report": row.report,
        "report_note": row.note,
        "ours": result.get(row.score),
        "ours_lo": result.get(f"{row.score}_lo"),
        "ours_hi": result.get(f"{row.score}_hi"),
        "ours_note": _choices_as_text(choices),
        "why": row.why,
    }


def _choices_as_text(choices: Mapping[str, Any]) -> str:
    forms = {"k": "k={}", "weights": "{}", "components": "{} components", "neighbors": "{} neighbours"}
    return ", ".join(forms[name].format(value) for name, value in choices.items() if value != "uniform")


def _fingerprint(dataset: Dataset) -> str:
    """Return a hash of all images and labels."""
    digest = hashlib.sha256()
    for array in (dataset.train_images, dataset.train_labels, dataset.test_images, dataset.test_labels):
        digest.update(array.tobytes())
    return digest.hexdigest()[:12]


def _fingerprint_of_code() -> str:
    """Return a hash of the modules that results depend on."""
    digest = hashlib.sha256()
    for place in map(Path, _CODE):
        for path in [place] if place.is_file() else sorted(place.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


if __name__ == "__main__":
    main()
