"""How every stage starts and ends: from the right code, with checked params of which it sees its own, timed."""

import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

import latentbench
from latentbench import artifacts, locks
from latentbench.errors import LatentbenchError
from latentbench.params.base import View
from stages import paths


@contextmanager
def stage(name: str, item: dict[str, str] | None = None, *, timed: bool = True) -> Iterator[View]:
    """Yield the view of the params that dvc.yaml declares for a stage; write its timing when it ends well.

    Args:
        name: the stage's name in dvc.yaml.
        item: the stage's values in its matrix, such as {"arch": "dense"}.
        timed: whether to write data/timing/<name>.json.
    """
    started, item = time.perf_counter(), item or {}
    _check_code_is_local()
    _check_whole_params_file()
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    view = View(params, declared_params(name, item))
    full_name = "_".join([name, *item.values()])
    try:
        with _alone(full_name):
            yield view
            if timed:
                artifacts.write_json(paths.timing(full_name), _costs(time.perf_counter() - started))
    except LatentbenchError as error:
        sys.exit(f"{name}: {error}")
    record = os.environ.get("LATENTBENCH_RECORD_PARAMS")
    if record:  # how the tests see that every declared param is read
        artifacts.write_text(Path(record), "\n".join(sorted(view.read)))


def _alone(full_name: str) -> AbstractContextManager[None]:
    """Wait for a run of the same stage whose DVC was killed: two would write the same files."""
    if os.environ.get("RANK", "0") != "0":  # of the processes that `torchrun` started, the first one writes
        return nullcontext()
    return locks.held(Path(".dvc/tmp/latentbench-stages") / f"{full_name}.lock", "still runs this stage")


def identity(name: str, item: dict[str, str], view: View, facts: Iterable[str]) -> str:
    """Return a name for what a stage does: equal for equal params, code, data and further facts, and only then.

    Args:
        name, item: as for `stage`.
        view: of its params.
        facts: what else its outputs follow from, such as versions of packages.
    """
    parts = [name, *item.values(), *facts, json.dumps(view.content(), sort_keys=True)]
    for path in declared_files(name, item):
        parts += [path.as_posix(), hashlib.sha256(artifacts.read_bytes(path)).hexdigest()]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    return "-".join([name, *item.values(), digest])


def declared_files(name: str, item: dict[str, str]) -> list[Path]:
    """Return the files that dvc.yaml declares a stage to depend on, folders as the files in them."""
    declared = (Path(dep) for dep in _declared(name, "deps", item))
    return [
        path
        for dep in declared
        for path in (sorted(each for each in dep.rglob("*") if each.is_file()) if dep.is_dir() else [dep])
    ]


def declared_params(name: str, item: dict[str, str]) -> list[str]:
    """Return the params that dvc.yaml declares for a stage, with what their names refer to filled in."""
    return _declared(name, "params", item)


def _declared(name: str, kind: str, item: dict[str, str]) -> list[str]:
    definition = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"][name]
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))

    def value(match: re.Match[str]) -> str:
        content: Any = {"item": item, **params}
        for part in match[1].split("."):
            content = content[part]
        return str(content)

    return [re.sub(r"\$\{([\w.]+)\}", value, key) for key in definition.get(kind, [])]


def _check_code_is_local() -> None:
    """Refuse to run another checkout's library: DVC would file its results under this one's code."""
    if not Path(latentbench.__file__).resolve().is_relative_to(Path.cwd().resolve()):
        sys.exit(
            f"the library at {Path(latentbench.__file__).parent} is not the one in {Path.cwd()}: "
            "uninstall it, or run the stage from its own folder with 'python -m stages.<name>'"
        )


def _check_whole_params_file() -> None:
    """Refuse a params file with a mistake anywhere, before any work is done.

    Other sections can stop a stage but never change what it writes. So they are checked in a process of their own, and
    are no dependency of the stage.
    """
    command = [sys.executable, "-m", "latentbench.params.file", "params.yaml"]
    if subprocess.run(command, check=False).returncode:
        sys.exit(1)


def _costs(seconds: float) -> dict[str, Any]:
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    costs: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "peak_memory_mib": round(peak_kib / (2**20 if sys.platform == "darwin" else 2**10)),
        "numpy": version("numpy"),
    }
    if "torch" in sys.modules:
        costs |= {"threads": sys.modules["torch"].get_num_threads(), "torch": version("torch")}
    return costs
