"""What a change makes stale: as dvc.yaml reads, and as DVC has it."""

from collections.abc import Collection, Iterable

import networkx
from dvc.repo import Repo

from tests.pipeline.workspace import Workspace
from tools.lib.pipeline import Declared, and_what_follows, covers, leaves

# The names of other params, of files and of runs follow from these.
NAMING = ("data.dataset", "diffusion_preset", "evaluate.features", "rows")


class Told:
    """What DVC finds changed in the folder of this process, and what it would rerun for that."""

    def __init__(self) -> None:
        with Repo() as repo:
            self.status = repo.status()
            graph = repo.index.graph.reverse()  # edges run from a stage to what it needs
            self._graph = networkx.relabel_nodes(graph, {stage: stage.addressing for stage in graph})

    def stale(self) -> set[str]:
        """Return the runs that DVC would rerun."""
        return and_what_follows(self._graph, self.status)

    def after(self, names: Collection[str]) -> set[str]:
        """Return the runs that DVC would rerun for any of these files, or params as dvc.yaml declares them."""
        changed = (
            run
            for run in self.status
            if any(covers(change, name) for change in self._changed(run) for name in names)  # DVC names the folder
        )
        return and_what_follows(self._graph, changed)

    def _changed(self, run: str) -> set[str]:
        found = set()
        for entry in self.status[run]:
            for name, how in entry["changed deps"].items():  # nothing else is changed here
                found |= {name} if isinstance(how, str) else set(how)  # the params of a file
        return found


def told_of_params(workspace: Workspace, keys: Iterable[str]) -> Told:
    """Return what DVC finds if params had other values; this process must be in the workspace's folder."""
    path = workspace.folder / "params.yaml"
    before = path.read_bytes()
    params = dict(leaves(workspace.params()))
    workspace.set_params({key: f"other than {params[key]}" for key in keys})
    try:
        return Told()
    finally:
        path.write_bytes(before)


def told_of_files(workspace: Workspace, names: Iterable[str]) -> Told:
    """Return what DVC finds if files had other content; this process must be in the workspace's folder."""
    before = {workspace.folder / name: (workspace.folder / name).read_bytes() for name in names}
    try:
        for path, content in before.items():
            path.write_bytes(content + b"\n")
        return Told()
    finally:
        for path, content in before.items():
            path.write_bytes(content)


def batches(workspace: Workspace, declared: Declared) -> list[list[str]]:
    """Return the params but those of NAMING in batches, so that DVC can be asked of many at a time.

    No declared key covers two of a batch.
    """
    found: list[dict[str, set[str]]] = []
    keys = [key for key, _ in leaves(workspace.params())]
    for key in [key for key in keys if not any(covers(name, key) for name in NAMING)]:
        covering = declared.covering(key)
        batch = next((each for each in found if not covering & set[str]().union(*each.values())), None)
        if batch is None:
            found.append(batch := {})
        batch[key] = covering
    return [list(batch) for batch in found]


def check_params(workspace: Workspace, declared: Declared, keys: Collection[str]) -> None:
    """Fail unless a change of each of these params, a batch, makes stale exactly what declares it."""
    told = told_of_params(workspace, keys)
    for key in keys:
        assert told.after(declared.covering(key)) == declared.after_param(key), key
    assert told.stale() == set[str]().union(*(declared.after_param(key) for key in keys))


def check_files(workspace: Workspace, declared: Declared, names: Collection[str]) -> None:
    """Fail unless a change of each of these files makes stale exactly what depends on it."""
    told = told_of_files(workspace, names)
    for name in names:
        assert told.after({name}) == declared.after_file(name) != set(), name
    assert told.stale() == set[str]().union(*map(declared.after_file, names))
