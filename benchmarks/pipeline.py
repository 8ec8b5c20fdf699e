"""Compare the whole pipeline of another commit with this one, stage by stage; `make benchmark-pipeline` runs it.

Both are cloned into empty folders and run from scratch by `make repro`, one after the other; the comparison uses the
seconds that their stages report. Two runs of the pipeline take a while: `--targets` runs only some stages, and those
that they need.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_BASELINE = "d4138c4"  # before trainings were made shorter
_LATENT_DIM = "32"


def run(commit: str, folder: Path, latent_dim: str | None, targets: Sequence[str] = ()) -> dict[str, float]:
    """Return the seconds of each stage of a commit, run from scratch in a new folder, also with another `latent_dim`.

    Args:
        commit: that has these stages.
        folder: that does not exist yet.
        latent_dim: of the additional experiment; None for no experiment.
        targets: stages to run, with those that they need; all if there are none.

    Raises:
        CalledProcessError: it fails.
    """
    subprocess.run(["git", "clone", "--quiet", ".", folder], check=True)
    subprocess.run(["git", "checkout", "--quiet", commit], cwd=folder, check=True)
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "DVC_ROOT")}
    in_folder = environment | {"PATH": f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["make", "setup" if targets else "repro"], cwd=folder, env=environment, check=True)
    if targets:
        subprocess.run([".venv/bin/dvc", "repro", *targets], cwd=folder, env=in_folder, check=True)
    found = seconds(folder)
    if latent_dim is not None and not targets:
        before = {path: path.stat().st_mtime_ns for path in (folder / "data/timing").glob("*.json")}
        command = [".venv/bin/dvc", "exp", "run", "-S", f"latent_dim={latent_dim}"]
        subprocess.run(command, cwd=folder, env=in_folder, check=True)
        again = {
            name: value
            for name, value in seconds(folder).items()
            if before.get(folder / f"data/timing/{name}.json")
            != (folder / f"data/timing/{name}.json").stat().st_mtime_ns
        }
        found |= {f"latent_dim={latent_dim}: {name}": value for name, value in again.items()}
    return found


def seconds(folder: Path) -> dict[str, float]:
    """Return what each stage took, by its name."""
    found = {}
    for path in sorted((folder / "data/timing").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if "peak_memory_mib" in content:  # the others are of parts of a stage
            found[path.stem] = float(content["seconds"])
    return found


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", default=_BASELINE, help=f"the other commit; default: {_BASELINE}")
    parser.add_argument(
        "--latent-dim", default=_LATENT_DIM, help=f"of an additional experiment; default: {_LATENT_DIM}"
    )
    parser.add_argument("--targets", nargs="*", default=[], help="stages to run; default: all, and the experiment")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        try:
            old, new = (
                run(commit, Path(room) / name, options.latent_dim, options.targets)
                for name, commit in (("old", options.baseline), ("new", "HEAD"))
            )
        except subprocess.CalledProcessError as error:
            sys.exit(f"benchmark-pipeline: {error}")
    for name in dict.fromkeys([*old, *new]):
        print(f"{name}: {old.get(name, float('nan')):.0f} s and {new.get(name, float('nan')):.0f} s")
    for what in ("", f"latent_dim={options.latent_dim}: "):
        sums = [
            sum(v for name, v in each.items() if name.startswith("latent_dim=") == bool(what)) for each in (old, new)
        ]
        if all(sums):
            print(f"{what}sum of all stages: {sums[0]:.0f} s and {sums[1]:.0f} s, {sums[1] / sums[0]:.2f} times")


if __name__ == "__main__":
    main()
