"""Outputs of rows that are no longer compared: stages that join the rows of a folder must not see them.

`dvc exp run` clears them away by itself; `dvc repro` after an edit of params.yaml by hand does not.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from latentbench.core import progress
from latentbench.params.base import read


def remove() -> None:
    """Remove the outputs in dvc.lock of rows that params.yaml does not list.

    DVC's cache still has them: they come back when their rows do.
    """
    lock = Path("dvc.lock")
    if not lock.exists():  # nothing has run through DVC yet
        return
    # libyaml reads the thousands of lines ten times as fast as Python does; DVC wrote them, so none can crash it.
    ran: dict[str, Any] = yaml.CSafeLoader(lock.read_bytes()).get_single_data().get("stages") or {}
    current = _current()
    kept = {out["path"] for name in current & set(ran) for out in ran[name].get("outs", [])}
    for name in sorted(set(ran) - current):
        outs = [Path(out["path"]) for out in ran[name].get("outs", []) if out["path"] not in kept]
        there = [path for path in outs if path.exists()]
        if there:
            progress.note(f"{name} is no longer compared: removing its outputs")
        for path in there:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _current() -> set[str]:
    """Return the names of the runs that dvc.yaml and params.yaml describe now, as dvc.lock names them."""
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    rows = read(Path("params.yaml"))["rows"]
    found = set()
    for name, definition in stages.items():
        match = re.fullmatch(r"\$\{rows\.(\w+)\}", definition.get("matrix", {}).get("row", ""))
        found |= {f"{name}@{row}" for row in rows[match[1]]} if match else {name}
    return found
