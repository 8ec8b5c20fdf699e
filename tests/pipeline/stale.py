"""What a change makes stale: as dvc.yaml reads, and as DVC has it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx
import yaml
from dvc.repo import Repo

from tests.pipeline.all_stages import filled
from tests.pipeline.workspace import Workspace


def leaves(section: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the single params of a section, by their dotted keys; a list counts as one."""
    if isinstance(section, dict):
        for name, value in section.items():
            yield from leaves(value, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix, section


def covers(declared: str, changed: str) -> bool:
    """Tell whether a declared key or path is the changed one, or one that it is in."""
    return f"{changed}.".startswith(f"{declared}.") or f"{changed}/".startswith(f"{declared}/")


class Declared:
    """What each run of a pipeline declares, and which runs follow from which.

    Args:
        folder: of the project.
    """

    def __init__(self, folder: Path) -> None:
        pipeline = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))
        params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
        self.runs = dict(filled(pipeline, params))
        self._graph = networkx.DiGraph()
        self._graph.add_nodes_from(self.runs)
        makers = {
            path if isinstance(path, str) else next(iter(path)): name
            for name, definition in self.runs.items()
            for kind in ("outs", "metrics", "plots")
            for path in definition.get(kind, [])
        }
        for name, definition in self.runs.items():
            for dep in definition["deps"]:
                self._graph.add_edges_from((maker, name) for out, maker in makers.items() if covers(out, dep))

    def after_param(self, key: str) -> set[str]:
        """Return the runs that a change of a param must rerun."""
        return self._and_what_follows(
            name
            for name, definition in self.runs.items()
            if any(covers(declared, key) for declared in definition.get("params", []))
        )

    def after_file(self, path: str) -> set[str]:
        """Return the runs that a change of a file must rerun."""
        return self._and_what_follows(
            name for name, definition in self.runs.items() if any(covers(dep, path) for dep in definition["deps"])
        )

    def _and_what_follows(self, names: Iterator[str]) -> set[str]:
        found = set(names)
        return found.union(*(networkx.descendants(self._graph, name) for name in found))


def told_by_dvc() -> set[str]:
    """Return what DVC would rerun in the folder of this process: what is stale, then all that follows."""
    with Repo() as repo:
        stale = set(repo.status())
        by_name = {stage.addressing: stage for stage in repo.index.stages}
        graph = repo.index.graph.reverse()  # edges run from a stage to what it needs
        return stale.union(*({s.addressing for s in networkx.descendants(graph, by_name[name])} for name in stale))


def told_of_param(workspace: Workspace, key: str, value: object) -> set[str]:
    """Return what DVC would rerun if a param had another value; this process must be in the workspace's folder."""
    path = workspace.folder / "params.yaml"
    before = path.read_bytes()
    workspace.set_params({key: f"other than {value}"})
    try:
        return told_by_dvc()
    finally:
        path.write_bytes(before)


def told_of_file(workspace: Workspace, name: str) -> set[str]:
    """Return what DVC would rerun if a file had another content; this process must be in the workspace's folder."""
    path = workspace.folder / name
    before = path.read_bytes()
    path.write_bytes(before + b"\n")
    try:
        return told_by_dvc()
    finally:
        path.write_bytes(before)
