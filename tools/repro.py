"""Run every stage that is out of date, side by side: each as soon as its inputs are ready.

Each stage runs by `dvc repro --single-item`, so the results have the same bytes as those of `dvc repro`, which itself
runs everything when only one stage runs at a time. A stage uses as many threads as `threads` in params.yaml says,
however many run beside it; unless JOBS is set, as many stages run as the cores allow. Only one stage at a time uses a
GPU. `make repro` runs this; `make repro JOBS=4` runs four stages at a time.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError
from latentbench.params import base
from tools.lib import engine, times, worker
from tools.lib.board import Board
from tools.lib.engine import EngineError, Loop, Options, Task

_LOGS = Path(".dvc/tmp/engine/repro")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, metavar="N", help="stages to run side by side (default: cores / threads)")
    options = parser.parse_args()
    if options.jobs is not None and options.jobs < 1:
        parser.error(f"--jobs: at least 1, not {options.jobs}")
    try:
        threads = base.parse(artifacts.read_bytes(Path("params.yaml")))["threads"]
        n = options.jobs or engine.local_jobs(threads)
        if n == 1:
            progress.note(f"one stage at a time, with threads: {threads}; JOBS=2 would run two side by side")
            os.execvp("dvc", ["dvc", "repro"])  # noqa: S606
        run(n, threads)
    except LatentbenchError as error:
        sys.exit(f"repro: {error}")
    except KeyboardInterrupt:
        sys.exit("repro: interrupted; what has finished is kept, and the same command continues from there")


def run(n: int, threads: int | None) -> None:
    """Run the stages that are out of date in the project in the current folder.

    Args:
        n: how many stages run side by side.
        threads: of each, from params.yaml.

    Raises:
        EngineError: a stage fails. The stages that ran beside it have ended, and no others were started.
    """
    todo = stale()
    if not todo:
        progress.note("all stages are up to date")
        return
    from stages import leftovers

    leftovers.remove()  # before several stages that join rows look for leftovers at once
    shutil.rmtree(_LOGS, ignore_errors=True)
    n = min(n, len(todo))
    progress.note(f"{len(todo)} stages to check, {n} side by side, each with threads: {threads}")
    failed = None
    with engine.opened(Options(jobs=n), threads, len(todo), _LOGS.resolve()) as cluster, Board() as board:
        loop = Loop(cluster, board)
        for task in tasks(todo):
            loop.add(task)
        while loop.waiting or loop.running:
            done = loop.next()
            if done.error is not None and failed is None:
                failed = done
                loop.drop(lambda _: True)
                if loop.running:
                    names = ", ".join(task.name for task in loop.running)
                    progress.note(f"no other stage starts; waiting for these to end: {names}")
    if failed is not None:
        raise EngineError(
            f"{failed.task.name} failed: {failed.error}\nits log is {failed.task.log}; fix the cause and run the "
            "same command again: it continues with what is left"
        )
    progress.note(f"{board.n_done} stages are up to date; their logs are in {_LOGS}")


def stale() -> dict[str, tuple[frozenset[str], bool]]:
    """Return the stages that DVC reports as out of date, and all that depend on them.

    Returns:
        For each stage, which of the others it reads from, and whether it trains.
    """
    import networkx
    from dvc.repo import Repo

    with Repo(_wait_for_lock=True) as repo:
        changed = set(repo.status())
        graph = repo.index.graph if changed else networkx.DiGraph()
        first = [stage for stage in graph if stage.addressing in changed]
        found = set(first) | {other for stage in first for other in networkx.ancestors(graph, stage)}
        return {
            stage.addressing: (
                frozenset(other.addressing for other in networkx.descendants(graph, stage) & found),
                "device" in worker.params_of(stage),
            )
            for stage in found
        }


def tasks(todo: Mapping[str, tuple[frozenset[str], bool]]) -> list[Task]:
    """Return the stages as tasks; those that others wait for longest go first."""
    known = times.of(Path.cwd())
    behind = {name: sum(known.get(other, 1.0) for other, (after, _) in todo.items() if name in after) for name in todo}
    return [
        Task(
            name,
            name,
            worker.reproduce,
            (str(Path.cwd()), name),
            (_LOGS / f"{name}.log").resolve(),
            after,
            rank=(-behind[name] - known.get(name, 1.0),),
            trains=trains,
            seconds=known.get(name),
        )
        for name, (after, trains) in todo.items()
    ]


if __name__ == "__main__":
    main()
