"""How every stage starts and ends: from the right code, with checked params of which it sees only its own, timed."""

import argparse
import hashlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

import latentbench
from latentbench.core import artifacts, locks, orphans, progress
from latentbench.core.errors import LatentbenchError
from latentbench.params.base import View, read
from stages import paths

_WATCH_INTERVAL_S = 0.5


@contextmanager
def stage(name: str, row: str | None = None, *, timed: bool = True, watched: bool = True) -> Iterator[View]:
    """Yield the view of the params that dvc.yaml declares for a stage; write its timing when it succeeds.

    Args:
        name: the stage's name in dvc.yaml.
        row: of the comparison, for a stage that runs once for each.
        timed: whether to write data/timing/<name>.json.
        watched: whether to end it when the DVC that started it has died; False if the stage sees to that itself.
    """
    item = {} if row is None else {"row": row}
    _check_code_is_local()
    _check_whole_params_file()
    params = read(Path("params.yaml"))
    view = View(params, declared_params(name, item))
    full_name = "@".join([name, *item.values()])
    try:
        ancestors = orphans.ancestors_until("DVC_STAGE") if "DVC_STAGE" in os.environ else []
        with _alone(full_name) as waited:
            if waited:
                orphans.check(ancestors)
                _clear(name, item)
            started = time.perf_counter()
            with _watched(ancestors) if watched else nullcontext():
                yield view
            if timed:
                artifacts.write_json(paths.timing(full_name), _costs(time.perf_counter() - started))
    except LatentbenchError as error:
        sys.exit(f"{name}: {error}")
    record = os.environ.get("LATENTBENCH_RECORD_PARAMS")
    if record:  # lets the tests check that every declared param is read
        artifacts.write_text(Path(record), "\n".join(sorted(view.read)))


def row(description: str | None) -> str:
    """Return the row that a stage was called with on the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("row", help="of the comparison, as params.yaml lists it under rows")
    chosen: str = parser.parse_args().row
    return chosen


def stage_and_row(description: str | None) -> tuple[str, str]:
    """Return the stage and the row on the command line, for a script that several stages of dvc.yaml run."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("stage", help="its name in dvc.yaml")
    parser.add_argument("row", help="of the comparison, as params.yaml lists it under rows")
    options = parser.parse_args()
    return options.stage, options.row


def _alone(full_name: str) -> AbstractContextManager[bool]:
    """Wait for a run of the same stage whose DVC was killed: two would write the same files."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and os.environ.get("RANK", "0") != "0":
        return nullcontext(enter_result=False)  # of the processes that `torchrun` started, the first one writes
    return locks.held(Path(".dvc/tmp/latentbench-stages") / f"{full_name}.lock", "still runs this stage")


def _clear(name: str, item: dict[str, str]) -> None:
    """Remove what the run that was waited for wrote after DVC removed the outputs: it may be for other params."""
    for kind in ("outs", "metrics", "plots"):
        for path in map(Path, _declared(name, kind, item)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


@contextmanager
def _watched(ancestors: Sequence[int]) -> Iterator[None]:
    """End this process soon after one of its ancestors has died: nobody takes its results, and others may write."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_WATCH_INTERVAL_S):
            if orphans.is_orphan(ancestors):
                progress.note(orphans.DIED)
                os._exit(1)  # the other threads are still computing

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def identity(name: str, row: str | None, view: View, facts: Iterable[str]) -> str:
    """Return a name for what a stage does: equal for equal params, code, data and further facts, and only then.

    Args:
        name, row: as for `stage`.
        view: of its params.
        facts: what else its outputs depend on, such as versions of packages.
    """
    item = {} if row is None else {"row": row}
    parts = [name, *item.values(), *facts, json.dumps(view.content(), sort_keys=True)]
    for path in declared_files(name, item):
        parts += [path.as_posix(), artifacts.digest(path)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return "-".join([name, *item.values(), digest])


def declared_files(name: str, item: dict[str, str]) -> list[Path]:
    """Return the files that dvc.yaml declares a stage to depend on, folders as the files in them.

    Like DVC it ignores bytecode, which Python writes while the stage runs.
    """
    return [path for dep in _declared(name, "deps", item) for path in _files(Path(dep))]


def _files(dep: Path) -> list[Path]:
    if not dep.is_dir():
        return [dep]
    return sorted(path for path in dep.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def declared_params(name: str, item: dict[str, str]) -> list[str]:
    """Return the params that dvc.yaml declares for a stage, with the references in their names filled in."""
    return _declared(name, "params", item)


def _declared(name: str, kind: str, item: dict[str, str]) -> list[str]:
    definition = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"][name]
    params = read(Path("params.yaml"))

    def value(match: re.Match[str]) -> str:
        content: Any = {"item": item, **params}
        for part in match[1].split("."):
            content = content[part]
        return str(content)

    entries = definition.get(kind, [])
    names = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]  # the others have options
    return [re.sub(r"\$\{([\w.]+)\}", value, name) for name in names]


def _check_code_is_local() -> None:
    """Refuse to run another checkout's library: DVC would attribute its results to this one's code."""
    if Path(latentbench.__file__).resolve().parent != Path("latentbench").resolve():
        sys.exit(
            f"the library at {Path(latentbench.__file__).parent} is not the one in {Path.cwd()}: "
            "uninstall it, or run the stage from its own folder with 'python -m stages.<name>'"
        )


def _check_whole_params_file() -> None:
    """Refuse a params file with a mistake anywhere, before any work is done.

    Other sections can stop a stage but never change what it writes. So they are checked in a separate process, and are
    not a dependency of the stage.
    """
    command = [sys.executable, "-m", "latentbench.params.file", "params.yaml"]
    if subprocess.run(command, check=False).returncode:
        sys.exit(1)


def peak_memory() -> int:
    """Return the most bytes that this process has had in memory, including pages of mapped files."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose getrusage reports at least what the parent process had
        (line,) = (each for each in status.read_text().splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) * 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 2**10)


def _costs(seconds: float) -> dict[str, Any]:
    costs: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "peak_memory_mib": round(peak_memory() / 2**20),
        "numpy": version("numpy"),
    }
    if "torch" in sys.modules:
        costs |= {"threads": sys.modules["torch"].get_num_threads(), "torch": version("torch")}
    return costs
