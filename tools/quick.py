"""Sketch the whole comparison in minutes: every row and every picture, from few images and short trainings.

The stages run side by side and without DVC, in a folder of their own, quick/, which git ignores: nothing is committed,
cached or compared with other runs. `make quick` runs this; SET='latent_dim=16 data.dataset=digits' changes
params. The report of the sketch is quick/report/index.html.
"""

import argparse
import os
import runpy
import shutil
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import yaml

from latentbench import machine
from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError
from latentbench.params import base, file
from tools.lib import experiments, output

_FOLDER = Path("quick")
_LINKED = ("latentbench", "stages", "explorer", "datasets", "tools", "dvc.yaml")  # beside data and params
_FETCHED = ("data/raw", "data/explorer_libraries")  # by `make data`
_N_TRAIN, _N_TEST, _N_SAMPLES = 6000, 1000, 500
# Params that otherwise cost more than a sketch needs.
_SKETCH: dict[str, Any] = {
    "budget": 0.04,
    "threads": 1,  # stages run side by side
    "isomap.n_sheets": 2,
    "latent_explore.map_points": 2000,
    "diffusion.autoguidance": None,  # a guide for so short a training would be trained for a few steps
    "diffusion_latent.autoguidance": None,
    "diffusion_latent.sampling.calls": 10,
    "latent_explore.n_prior_samples": 300,
    "diffusion_explore.n_compared": 60,
    "diffusion_explore.calls": [5, 10],
    "diffusion_explore.n_edited": 20,
    "diffusion_explore.inversion_steps": 10,
    "diffusion_explore.inpaint_calls": 20,
    "diffusion_explore.inpaint_repeats": 1,
    "evaluate.importance_samples": 16,
    "evaluate.likelihood_images": 100,
    "evaluate.bound_draws": 1,
}


class QuickError(LatentbenchError):
    """The sketch cannot be made; the message says why."""


@dataclass(frozen=True)
class Task:
    """A run of a stage.

    Attributes:
        name: in DVC, such as "vae@vae_dense".
        module: to run.
        arguments: to run it with.
        after: the names of the runs whose outputs it reads.
    """

    name: str
    module: str
    arguments: Sequence[str]
    after: frozenset[str]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="params of the sketch")
    parser.add_argument("--workers", type=int, default=machine.n_cores(), help="stages at a time (default: cores)")
    options = parser.parse_args()
    try:
        own = base.parse(artifacts.read_bytes(Path("params.yaml")))
        params = sketched(own, options.set)
        prepare(_FOLDER, params, fetched=params["data"]["dataset"] == own["data"]["dataset"])
        run(_FOLDER, of_rows(tasks(), file.check(params).rows.all()), options.workers)
        write_report(_FOLDER)
    except LatentbenchError as error:
        sys.exit(f"quick: {error}")
    except KeyboardInterrupt:
        sys.exit("quick: interrupted")


def sketched(params: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return the params of a sketch: the project's own, made smaller, with changes such as "latent_dim=16".

    Raises:
        ParamsError: they are wrong.
        ExperimentError: there is no such param.
        QuickError: a change has no value.
    """
    found = dict(params)
    for key, value in _SKETCH.items():
        experiments.put(found, key, value)
    found["n_samples"] = min(int(found["n_samples"]), _N_SAMPLES)
    if any(change.startswith("data.dataset=") for change in changes):
        for key in ("data.train_size", "data.test_size"):  # the project's own sizes fit its own dataset
            experiments.put(found, key, None)
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign:
            raise QuickError(f"{change}: write a change as KEY=VALUE")
        experiments.put(found, key, experiments.read_value(key, value))
    file.check(found)
    return found


def prepare(folder: Path, params: Mapping[str, Any], *, fetched: bool) -> None:
    """Create the folder of the sketch: links to code and data, and params.yaml.

    Args:
        folder: an existing one is removed.
        params: of the sketch; data sizes that they leave open become small ones.
        fetched: whether the project's own raw data is of this dataset; otherwise it is fetched.

    Raises:
        QuickError: the data is missing, or cannot be fetched.
    """
    raw, *others = _FETCHED
    needed = [*others, *([raw] if fetched else [])]
    missing = [name for name in needed if not Path(name).is_dir()]
    if missing:
        raise QuickError(f"{', '.join(missing)} is missing: run 'make data'")
    if folder.exists():
        shutil.rmtree(folder)
    for name in (*_LINKED, *needed):
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path(name).resolve())
    _write_params(folder, params)
    if not fetched and subprocess.run([sys.executable, "-m", "stages.download"], cwd=folder, check=False).returncode:
        raise QuickError(f"the dataset {params['data']['dataset']} cannot be fetched")
    data = dict(params["data"])
    for split, most in (("train", _N_TRAIN), ("test", _N_TEST)):
        images = folder / raw / f"{split}_images.npy"
        is_more = images.exists() and len(artifacts.read_array(images)) > most
        if data[f"{split}_size"] is None and is_more:
            data[f"{split}_size"] = most
    _write_params(folder, {**params, "data": data})


def _write_params(folder: Path, params: Mapping[str, Any]) -> None:
    artifacts.write_text(folder / "params.yaml", yaml.safe_dump(dict(params), sort_keys=False))


def tasks() -> list[Task]:
    """Return the runs of all stages after the raw data, as DVC resolves them."""
    from dvc.repo import Repo  # slow to import

    with Repo() as repo:
        graph = repo.index.graph
        found = []
        for stage in graph.nodes:
            if {out.def_path for out in stage.outs} & set(_FETCHED):
                continue
            _, _, module, *arguments = stage.cmd.split()  # python -m stages.<name> ...
            after = (
                other.addressing
                for other in graph.successors(stage)
                if not {out.def_path for out in other.outs} & set(_FETCHED)
            )
            found.append(Task(stage.addressing, module, arguments, frozenset(after)))
    return found


def of_rows(found: Sequence[Task], rows: Collection[str]) -> list[Task]:
    """Return the runs for these rows of the comparison, and those for no row in particular."""
    kept = [task for task in found if "@" not in task.name or task.name.partition("@")[2] in rows]
    names = {task.name for task in kept}
    return [replace(task, after=task.after & names) for task in kept]


def run(folder: Path, todo: Sequence[Task], n_workers: int) -> None:
    """Run stages side by side, each as soon as its inputs exist; workers import the libraries once.

    Raises:
        QuickError: a stage fails; the message names its log.
    """
    logs = folder.resolve() / "logs"
    logs.mkdir()
    waiting, running, done = list(todo), dict[Future[None], str](), set[str]()
    # The stages that most others wait for go first.
    waiting.sort(key=lambda task: -_n_behind(task.name, todo))
    with (
        ProcessPoolExecutor(n_workers, get_context("spawn"), partial(_enter, str(folder.resolve()))) as workers,
        progress.counter(total=len(todo), desc="quick", unit="stage") as bar,
    ):
        while waiting or running:
            ready = [task for task in waiting if task.after <= done][: n_workers - len(running)]
            for task in ready:
                waiting.remove(task)
                running[workers.submit(_run, task, logs / f"{task.name}.txt")] = task.name
            bar.set_postfix_str(", ".join(running.values()))
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                name = running.pop(future)
                if future.exception() is not None:
                    workers.shutdown(wait=False, cancel_futures=True)
                    log = logs / f"{name}.txt"
                    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
                    raise QuickError("\n".join([f"{name} failed: {future.exception()}; the end of {log}:", *lines]))
                done.add(name)
                bar.update()


def _n_behind(name: str, todo: Sequence[Task]) -> int:
    """Return how many runs depend on one, directly or not."""
    behind, new = set[str](), {name}
    while new:
        new = {task.name for task in todo if task.after & new} - behind
        behind |= new
    return len(behind)


def _enter(folder: str) -> None:
    os.chdir(folder)
    sys.path.insert(0, folder)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this worker when the command that started it is gone (killed, say): nobody needs its results."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(task: Task, log: Path) -> None:
    """Run a stage in this process as Python would run its module; everything that it prints goes to a file."""
    sys.argv = [task.module, *task.arguments]
    with output.into(log):
        try:
            runpy.run_module(task.module, run_name="__main__")
        except SystemExit as error:
            if error.code:
                raise QuickError(str(error.code)) from None


def write_report(folder: Path) -> None:
    """Write the report of the sketch, with a note at the top that says it is one.

    Raises:
        QuickError: the report fails.
    """
    budget = base.parse(artifacts.read_bytes(folder / "params.yaml"))["budget"]
    note = f"A sketch, from few images and short trainings (budget {budget:g}); 'make repro' gives the real results."
    if subprocess.run([sys.executable, "-m", "tools.report", "--note", note], cwd=folder, check=False).returncode:
        raise QuickError("the report cannot be written")
    progress.note(f"the sketch is in {folder}; the numbers that count come from 'make repro'")


if __name__ == "__main__":
    main()
