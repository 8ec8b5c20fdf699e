"""Run every stage of dvc.yaml in this one process, without DVC, and note which params each one reads.

`python -m tests.pipeline.all_stages RECORDS` in a workspace; RECORDS gets a file of keys for each stage. Imports are
paid once, and a stage that leaned on what another left in memory would give other bytes than its run through DVC.
"""

import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.pipeline.workspace import Workspace
from tools.lib.pipeline import covers, filled, leaves

ORDER = (
    "download",
    "preprocess",
    "classifier",
    "pca",
    "isomap",
    "reduce",
    "ae",
    "vae",
    "density_ae",
    "density_vae",
    "latent_space_ae",
    "latent_space_vae",
    "latent_explore",
    "diffusion",
    "diffusion_explore",
    "judge_real",
    "judge_pca",
    "judge_ae",
    "judge_vae",
    "judge_diffusion",
    "evaluate",
    "explorer_libraries",
    "explorer",
)
ELSEWHERE = "explorer_libraries"  # needs the network: a workspace has its output from the project


def runs(pipeline: dict[str, Any], params: dict[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the full name, the command and the declared params of every run."""
    for name, definition in filled(pipeline["stages"], params, ORDER):
        yield name, definition["cmd"], definition.get("params", [])


def first_run(workspace: Workspace, stage: str) -> tuple[str, str]:
    """Return the name and the command of a stage's first run."""
    pipeline = yaml.safe_load((workspace.folder / "dvc.yaml").read_text(encoding="utf-8"))
    found = runs(pipeline, workspace.params())
    return next((name, command) for name, command, _ in found if name.partition("@")[0] == stage)


def run_all(workspace: Workspace, records: Path) -> None:
    """Run every stage in a workspace, in a process of their own, and note in a folder what each reads."""
    workspace.run("python", "-m", "tests.pipeline.all_stages", str(records))


def check_a_clean_run_agrees(workspace: Workspace, folder: Path) -> None:
    """Fail unless the stages, run from nothing in another folder, write the bytes that are in a workspace."""
    clean = Workspace(workspace.folder, folder / "clean")
    run_all(clean, folder / "read")
    ours, theirs = workspace.outputs(), clean.outputs()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def check_what_is_declared_is_read(workspace: Workspace, records: Path) -> None:
    """Fail unless each stage of a run that was noted read every param that dvc.yaml declares for it, and no other."""
    pipeline = yaml.safe_load((workspace.folder / "dvc.yaml").read_text(encoding="utf-8"))
    params, names = workspace.params(), []
    for name, _, keys in runs(pipeline, params):
        read = set() if name == ELSEWHERE else set((records / name).read_text(encoding="utf-8").split())
        there = {leaf for leaf, _ in leaves(params)}  # a row may leave out what has a default
        assert read & there == {leaf for leaf in there if any(covers(key, leaf) for key in keys)}, name
        names.append(name)
    assert len(names) == 28


def main() -> None:
    """Run them all."""
    records = Path(sys.argv[1]).resolve()
    records.mkdir(parents=True, exist_ok=True)
    pipeline = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    for name, command, _ in runs(pipeline, params):
        if name == ELSEWHERE:
            continue
        _, _, module, *arguments = command.split()  # python -m stages.<name> ...
        os.environ["LATENTBENCH_RECORD_PARAMS"] = str(records / name)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    main()
