"""What running side by side gains on this machine; `make benchmark-side-by-side` runs it.

Two things are timed, each in new clones of the last commit, one after the other. The whole pipeline: `dvc repro`
against `make repro` with several stages at once. And experiments, each a training of the dense VAE with another weight
of the KL divergence: one worker of the engine against several. What the experiments have in common has run before, so
that workers do nothing else than train, plan and hand in. All stages use one thread, so that the bytes are the same;
that is checked.
"""

import argparse
import shutil
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

import yaml

from latentbench.core import artifacts
from latentbench.params import base
from tools.lib import experiments

_FOLDER = Path("side_by_side")
TRAINING = "vae@vae_dense"
OUTPUT = "data/models/vae_dense"
_AT_A_TIME = 4  # experiments


def clone(name: str, overrides: list[str]) -> Path:
    """Return a new clone of the last commit with these params committed, the data read in and nothing else run."""
    folder = _FOLDER / name
    if folder.exists():
        shutil.rmtree(folder)
    _run(Path(), "git", "clone", "--quiet", ".", str(folder))
    path = folder / "params.yaml"
    params = base.read(path)
    for text in overrides:
        key, _, value = text.partition("=")
        experiments.put(params, key, base.parse(value))
    artifacts.write_text(path, yaml.safe_dump(params, sort_keys=False))
    _run(folder, "dvc", "repro", "--quiet", "preprocess", "explorer_libraries")
    _run(folder, "git", "config", "user.name", "benchmark")
    _run(folder, "git", "config", "user.email", "benchmark@example.org")
    _run(folder, "git", "add", "--all")
    _run(folder, "git", "commit", "--quiet", "--message", "Params of the benchmark")
    return folder


def pipeline(jobs: int, overrides: list[str]) -> None:
    """Time the whole pipeline, stage after stage and `jobs` stages at once."""
    commands = {"one after another": ["dvc", "repro"], "side by side": _tool("repro", "--jobs", str(jobs))}
    seconds, results = {}, set()
    for name, command in commands.items():
        folder = clone(name.replace(" ", "_"), overrides)
        seconds[name] = _run(folder, *command)
        results.add(artifacts.read_bytes(folder / "metrics/headline.json"))
        print(f"the pipeline, {name}: {seconds[name]:.0f} s", flush=True)
    one, several = seconds.values()
    print(f"{several / one:.2f} of the time with {jobs} stages at once; {sameness(results)}", flush=True)


def batches(jobs: int, n: int, engine: str, overrides: list[str]) -> None:
    """Time `n` experiments by one worker and by `jobs` workers, a few at a time in turns: a machine's speed drifts."""
    folders = {workers: clone(f"workers_{workers}", overrides) for workers in (1, jobs)}
    seconds, results = dict.fromkeys(folders, 0.0), set()
    numbers = list(range(n))
    for some in (numbers[start : start + _AT_A_TIME] for start in range(0, n, _AT_A_TIME)):
        lines = [f"beta-{number}: vae_dense.beta={2 + number / 8}" for number in some]
        artifacts.write_text(_FOLDER / "experiments.txt", "\n".join([*lines, ""]))
        command = _tool("batch", str((_FOLDER / "experiments.txt").resolve()), "--targets", TRAINING)
        for workers, folder in folders.items():
            seconds[workers] += _run(folder, *command, "--engine", engine, "--jobs", str(workers))
    for workers, folder in folders.items():
        found = _run_text(folder, "git", "for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/beta-{n - 1}")
        lock = yaml.safe_load(_run_text(folder, "git", "show", f"{found}:dvc.lock"))
        results |= {out["md5"] for out in lock["stages"][TRAINING]["outs"] if out["path"] == OUTPUT}
        print(f"{n} experiments, {workers} workers: {seconds[workers]:.0f} s", flush=True)
    print(f"{seconds[1] / seconds[jobs]:.2f} times the rate with {jobs} workers; {sameness(results)}", flush=True)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="stages, and workers, at once (default: 2)")
    parser.add_argument("--n", type=int, default=12, help="experiments (default: 12)")
    parser.add_argument("--engine", default="local", help="of the experiments, as ENGINE of 'make batch' takes it")
    parser.add_argument("--set", nargs="*", default=["budget=0.3"], metavar="KEY=VALUE", help="default: budget=0.3")
    parser.add_argument("--only", choices=("pipeline", "experiments"), help="time one of the two (default: both)")
    options = parser.parse_args()
    overrides = ["threads=1", *options.set]
    if options.only != "experiments":
        pipeline(options.jobs, overrides)
    if options.only != "pipeline":
        engine = str(Path(options.engine).resolve()) if Path(options.engine).is_file() else options.engine
        batches(options.jobs, options.n, engine, overrides)


def _tool(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"tools.{name}", *arguments]


def _run(folder: Path, *command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
    return time.perf_counter() - start


def _run_text(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def sameness(results: Collection[object]) -> str:
    """Return that two runs came to the same; end the program where they did not."""
    if len(results) > 1:
        sys.exit("the two came to other results: one of them is wrong")
    return "both came to the same bytes"


if __name__ == "__main__":
    main()
