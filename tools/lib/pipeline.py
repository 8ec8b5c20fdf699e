"""What dvc.yaml declares: the runs of each stage, what they read and write, and what a change reruns.

It is read from the file itself, without DVC, which takes seconds to start; tests check that DVC agrees.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import networkx
import yaml

from latentbench.params import base


def leaves(section: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the individual params of a section, by their dotted keys; a list counts as one."""
    if isinstance(section, dict):
        for name, value in section.items():
            yield from leaves(value, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix, section


def covers(declared: str, changed: str) -> bool:
    """Return whether a declared key or path is the changed one or contains it."""
    return f"{changed}.".startswith(f"{declared}.") or f"{changed}/".startswith(f"{declared}/")


def family_of(listed: str) -> str:
    """Return the list of `rows` that a matrix is made of, such as "ae" for "${rows.ae}"."""
    return listed.removeprefix("${rows.").removesuffix("}")


def families(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the list of `rows` that each recipe in params.yaml is for, listed or not, if its content shows it."""
    kinds = {"method": "reductions", "likelihood": "vae", "architecture": "ae"}  # a VAE has both of the last two
    found = {
        name: next((family for key, family in kinds.items() if key in section), None)
        for name, section in params.items()
        if isinstance(section, Mapping)
    }
    return {name: family for name, family in found.items() if family}


def filled(
    stages: Mapping[str, dict[str, Any]], params: Mapping[str, Any], order: Iterable[str] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the full name and the definition of every run, matrices and params filled in.

    Args:
        stages: the stages of dvc.yaml.
        params: the content of params.yaml.
        order: of the stages; by default that of the file.
    """
    for stage in order or stages:
        definition = stages[stage]
        text = json.dumps(definition)
        for key, value in (
            ("data.dataset", params["data"]["dataset"]),
            ("diffusion_preset", params["diffusion_preset"]),
            ("evaluate.features", params["evaluate"]["features"]),
        ):
            text = text.replace(f"${{{key}}}", value)
        listed = definition.get("matrix", {}).get("row")  # such as ${rows.ae}
        for row in [""] if listed is None else params["rows"][family_of(listed)]:
            yield f"{stage}@{row}".rstrip("@"), json.loads(text.replace("${item.row}", row))


def outs(definition: Mapping[str, Any]) -> list[str]:
    """Return the files and folders that a stage or a run writes."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in definition.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def and_what_follows(graph: networkx.DiGraph, names: Iterable[str]) -> set[str]:
    """Return some runs and all that depend on them; edges run from each run to those that need it."""
    found = set(names)
    return found.union(*(networkx.descendants(graph, name) for name in found))


class Declared:
    """What each run of a pipeline declares, and which runs depend on which.

    Args:
        folder: of the project.

    Attributes:
        runs: the definition of each run by its full name, such as "ae@ae_dense".
        graph: of the runs; edges run from each run to those that need it.
    """

    def __init__(self, folder: Path) -> None:
        pipeline = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))
        params = base.read(folder / "params.yaml")
        self.runs = dict(filled(pipeline["stages"], params))
        self.graph = networkx.DiGraph()
        self.graph.add_nodes_from(self.runs)
        makers = {path: name for name in self.runs for path in self.outs(name)}
        for name, definition in self.runs.items():
            for dep in definition["deps"]:
                needed = {maker for out, maker in makers.items() if covers(out, dep) or covers(dep, out)}
                self.graph.add_edges_from((maker, name) for maker in needed)

    def outs(self, name: str) -> list[str]:
        """Return the files and folders that a run writes."""
        return outs(self.runs[name])

    def covering(self, key: str) -> set[str]:
        """Return the declared keys that are a param or contain it."""
        return {
            declared
            for definition in self.runs.values()
            for declared in definition.get("params", [])
            if covers(declared, key)
        }

    def after_param(self, key: str) -> set[str]:
        """Return the runs that must rerun after a change of a param."""
        changed = (
            name
            for name, definition in self.runs.items()
            if any(covers(declared, key) for declared in definition.get("params", []))
        )
        return and_what_follows(self.graph, changed)

    def after_file(self, path: str) -> set[str]:
        """Return the runs that must rerun after a change of a file."""
        changed = (
            name for name, definition in self.runs.items() if any(covers(dep, path) for dep in definition["deps"])
        )
        return and_what_follows(self.graph, changed)
