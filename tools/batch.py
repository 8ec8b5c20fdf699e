"""Run the experiments that a file lists, one per line, each with the params that differ from the commit's.

    latent_dim=32 vae_dense.beta=0.1
    small: latent_dim=8 budget=0.5

A name comes before a colon; an experiment without one is named after its params. Empty lines, and everything after a
#, are ignored. Experiments that have already run are skipped; the rest run side by side where the engine has several
workers. `dvc exp show`, `dvc metrics diff` and `make compare` then show the results. `make batch LIST=experiments.txt`
runs this.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError
from tools.lib import engine, experiments
from tools.lib.experiments import ExperimentError
from tools.lib.fleet import DryRunError, Fleet


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", type=Path, help="file with one experiment per line")
    parser.add_argument("--targets", nargs="+", default=[], help="stages to run, with what they need (default: all)")
    engine.add_options(parser)
    arguments = parser.parse_args()
    options = engine.read_options(parser, arguments)
    try:
        experiments.check_committed()
        wanted = read(arguments.list)
        with Fleet(options) as fleet:
            fleet.run([(name, changes, arguments.targets) for name, changes in wanted.items()])
    except DryRunError as summary:
        progress.note(str(summary))
        return
    except LatentbenchError as error:
        sys.exit(f"batch: {error}")
    except KeyboardInterrupt:
        sys.exit("batch: interrupted; what has finished is kept")
    progress.note(f"experiments of this commit: {', '.join(wanted)}; 'make experiments' shows them")


def read(path: Path) -> dict[str, Mapping[str, Any]]:
    """Return the params of each experiment that a file lists, by its name.

    Raises:
        ArtifactError: the file cannot be read.
        ExperimentError: a line is not an experiment, or two experiments have the same name.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for number, line in enumerate(artifacts.read_bytes(path).decode("utf-8").splitlines(), start=1):
        try:
            words = shlex.split(line, comments=True)
            if not words:
                continue
            name, changes = _experiment(words)
        except (ExperimentError, ValueError) as error:
            raise ExperimentError(f"{path}, line {number}: {error}") from None
        if name in found:
            raise ExperimentError(f"{path}, line {number}: an experiment named {name} comes before; use another name")
        found[name] = changes
    if not found:
        raise ExperimentError(f"{path}: it lists no experiments")
    return found


def _experiment(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    name = words[0].removesuffix(":") if words[0].endswith(":") else ""
    changes = {}
    for word in words[bool(name) :]:
        key, equals, text = word.partition("=")
        if not equals:
            raise ExperimentError(f"{word}: write a param as KEY=VALUE")
        changes[key] = experiments.read_value(key, text)
    if not changes:
        raise ExperimentError("an experiment must change at least one param")
    own = "-".join(f"{key}-{value}" for key, value in changes.items())
    return re.sub(r"[^\w.+-]+", "_", name or own).strip("_."), changes


if __name__ == "__main__":
    main()
