"""A change of any param makes exactly the runs stale that declare it; what is rerun is as in a clean run.

That DVC sees a change of any module is in test_declarations.py.
"""

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.all_stages import ELSEWHERE, ORDER, first_run
from tests.pipeline.stale import Told, batches, check_params
from tests.pipeline.workspace import Workspace, stages_run
from tools.lib.pipeline import Declared, covers

pytestmark = pytest.mark.faults

# A param of each stage that changes what it writes. What `download` writes is known beforehand, by its checksums.
PARAMS: dict[str, dict[str, Any]] = {
    "preprocess": {"data.split_seed": 1},
    "classifier": {"classifier.training.images": 3600},
    "pca": {"pca.standardize": True},
    "isomap": {"isomap.n_landmarks": 100},
    "reduce": {"random_projection.n_components": 15},
    "ae": {"ae_dense.training.images": 1800},
    "vae": {"vae_dense.beta": 2.0},
    "density_ae": {"densities.components": [2]},
    "density_vae": {"densities.components": [2]},
    "latent_space_ae": {"latent_explore.interpolation_steps": 5},
    "latent_space_vae": {"latent_explore.interpolation_steps": 5},
    "latent_explore": {"rows.ae": ["ae_conv"]},
    "diffusion": {"diffusion.sampling.calls": 3},
    "diffusion_explore": {"diffusion_explore.n_edited": 15},
    "judge_real": {"evaluate.coverage_k": 4},
    "judge_pca": {"evaluate.coverage_k": 4},
    "judge_ae": {"evaluate.coverage_k": 4},
    "judge_vae": {"evaluate.coverage_k": 4},
    "judge_diffusion": {"evaluate.coverage_k": 4},
    "evaluate": {"evaluate.n_bootstrap": 100},
    "explorer": {"rows.ae": ["ae_conv"]},
}
# A module of each stage, and a change of it that changes what the stage writes: all chance is another one.
MODULE = ("latentbench/seeding.py", '"/".join', '"|".join')
MODULES = {"explorer": ("stages/explorer.py", "compresslevel=6", "compresslevel=5")}


@contextmanager
def changed(workspace: Workspace, key: str, value: str) -> Iterator[None]:
    path = workspace.folder / "params.yaml"
    before = path.read_bytes()
    workspace.set_params({key: value})
    try:
        yield
    finally:
        path.write_bytes(before)


def test_every_param_makes_stale_what_declares_it(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder)  # DVC names stages relative to it
    declared = Declared(finished.folder)
    for batch in batches(finished, declared):
        check_params(finished, declared, batch)
    for key, other in (("data.dataset", "digits"), ("diffusion_preset", "large"), ("evaluate.features", "pca")):
        with changed(finished, key, other):
            assert Told().stale() == declared.after_param(key)
    assert Told().stale() == set()


def test_every_stage_is_changed_here() -> None:
    assert PARAMS.keys() | {"download", ELSEWHERE} == set(ORDER)


def written(workspace: Workspace, outs: Collection[str]) -> dict[str, bytes]:
    return {name: content for name, content in workspace.outputs().items() if any(covers(path, name) for path in outs)}


def written_from_nothing(workspace: Workspace, folder: Path, command: str, outs: Collection[str]) -> dict[str, bytes]:
    """Return what a stage writes in a copy of a workspace that has only what the stage needs."""
    clean = workspace.copy(folder)
    for path in map(clean.folder.joinpath, outs):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.rmtree(clean.folder / ".dvc/tmp")  # no state to go on from
    clean.run(*command.split())
    return written(clean, outs)


@pytest.mark.parametrize("stage", PARAMS)
def test_after_a_change_a_stage_writes_what_it_writes_from_nothing(
    finished: Workspace, tmp_path: Path, stage: str
) -> None:
    workspace = finished.copy(tmp_path / "changed")
    name, command = first_run(workspace, stage)
    outs = Declared(workspace.folder).outs(name)
    before = written(workspace, outs)
    assert before
    path, old, new = MODULES.get(stage, MODULE)
    for step in ["param", "module"] if PARAMS[stage] else ["module"]:
        if step == "param":
            workspace.set_params(PARAMS[stage])
        else:
            module = workspace.folder / path
            text = module.read_text(encoding="utf-8")
            assert text.count(old) == 1
            module.write_text(text.replace(old, new), encoding="utf-8")
        assert stages_run(workspace.run("dvc", "repro", "--single-item", name).stdout) == [name]
        after = written(workspace, outs)
        assert after != before, f"the {step} changes nothing"
        assert after == written_from_nothing(workspace, tmp_path / step, command, outs), f"after the {step}"
        before = after
