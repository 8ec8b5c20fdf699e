"""A change of any param or module makes exactly the runs stale that declare it, and what follows from them."""

from pathlib import Path

import pytest

from tests.imports import project_modules
from tests.pipeline.all_stages import ELSEWHERE, ORDER
from tests.pipeline.stale import Declared, leaves, told_by_dvc, told_of_file, told_of_param
from tests.pipeline.workspace import Workspace, stages_run

pytestmark = pytest.mark.faults

N_PARTS = 4  # for the workers of the tests to share

# A param of each stage, such that what it writes changes.
CHANGES = {
    "data.classes": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    "classifier.training.epochs": 2,
    "pca.standardize": True,
    "isomap.n_landmarks": 100,
    "ae.dense.training.epochs": 1,
    "ae.conv.training.epochs": 1,
    "ae.residual.training.epochs": 1,
    "vae.dense.beta": 2.0,
    "vae.conv.beta": 2.0,
    "vae.residual.beta": 2.0,
    "latent_explore.interpolation_steps": 5,
    "diffusion.sampling.calls": 3,
    "diffusion_latent.sampling.calls": 3,
    "diffusion_explore.n_edited": 15,
    "evaluate.coverage_k": 4,
}


def every_module(root: Path) -> list[str]:
    """Return the modules that the pipeline is made of."""
    return sorted(set[str]().union(*(project_modules(root, f"stages.{stage}") for stage in ORDER)))


@pytest.mark.parametrize("part", range(N_PARTS))
def test_every_param_makes_stale_what_declares_it(
    finished: Workspace, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.chdir(finished.folder)  # DVC names stages relative to it
    declared = Declared(finished.folder)
    for key, value in list(leaves(finished.params()))[part::N_PARTS]:
        assert told_of_param(finished, key, value) == declared.after_param(key), key
    assert told_by_dvc() == set()


@pytest.mark.parametrize("part", range(N_PARTS))
def test_every_module_makes_stale_what_imports_it(
    root: Path, finished: Workspace, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.chdir(finished.folder)
    declared = Declared(finished.folder)
    modules = every_module(root)
    assert len(modules) > 60
    for path in modules[part::N_PARTS]:
        assert told_of_file(finished, path) == declared.after_file(path) != set(), path
    assert told_by_dvc() == set()


def check_that_a_clean_run_agrees(changed: Workspace, tmp_path: Path) -> None:
    """Fail unless another folder, in which the stages run from nothing, has the same bytes."""
    clean = Workspace(changed.folder, tmp_path / "clean")
    clean.run("python", "-m", "tests.pipeline.all_stages", str(tmp_path))
    ours, theirs = changed.outputs(), clean.outputs()
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_after_a_param_of_every_stage_changed_all_is_as_in_a_clean_run(finished: Workspace, tmp_path: Path) -> None:
    changed, before = finished.copy(tmp_path / "changed"), finished.outputs()
    changed.set_params(CHANGES)
    done = changed.run("dvc", "repro")
    assert {name.split("@")[0] for name in stages_run(done.stdout)} >= set(ORDER) - {"download", ELSEWHERE}
    after = changed.outputs()
    assert {name.split("/")[1] for name in before if before[name] != after.get(name)} >= {"models", "judged"}
    check_that_a_clean_run_agrees(changed, tmp_path)


def test_after_a_module_of_every_stage_changed_all_is_as_in_a_clean_run(finished: Workspace, tmp_path: Path) -> None:
    changed, before = finished.copy(tmp_path / "changed"), finished.outputs()
    path = changed.folder / "latentbench/seeding.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"/".join', '"|".join'), encoding="utf-8")  # all that is drawn is drawn anew
    changed.run("dvc", "repro")
    after = changed.outputs()
    assert {name.split("/")[1] for name in before if before[name] != after.get(name)} >= {"models", "judged"}
    check_that_a_clean_run_agrees(changed, tmp_path)
