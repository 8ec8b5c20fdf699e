"""A change of any param makes exactly the runs stale that declare it; what is rerun is as in a clean run.

That DVC sees a change of any module is in test_declarations.py.
"""

from pathlib import Path

import pytest

from tests.pipeline.all_stages import ELSEWHERE, ORDER, check_a_clean_run_agrees
from tests.pipeline.stale import PRESET, Declared, Told, batches, check_params, told_of_params
from tests.pipeline.workspace import Workspace, stages_run

pytestmark = pytest.mark.faults


# A param of each stage, such that what it writes changes.
CHANGES = {
    "latent_dim": 4,
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


def test_every_param_makes_stale_what_declares_it(finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder)  # DVC names stages relative to it
    declared = Declared(finished.folder)
    for batch in batches(finished, declared):
        check_params(finished, declared, batch)
    assert told_of_params(finished, [PRESET]).stale() == declared.after_param(PRESET)
    assert Told().stale() == set()


def test_after_a_param_of_every_stage_changed_all_is_as_in_a_clean_run(finished: Workspace, tmp_path: Path) -> None:
    changed, before = finished.copy(tmp_path / "changed"), finished.outputs()
    changed.set_params(CHANGES)
    done = changed.run("dvc", "repro")
    assert {name.split("@")[0] for name in stages_run(done.stdout)} >= set(ORDER) - {"download", ELSEWHERE}
    after = changed.outputs()
    assert {name.split("/")[1] for name in before if before[name] != after.get(name)} >= {"models", "judged"}
    check_a_clean_run_agrees(changed, tmp_path)


def test_after_a_module_of_every_stage_changed_all_is_as_in_a_clean_run(finished: Workspace, tmp_path: Path) -> None:
    changed, before = finished.copy(tmp_path / "changed"), finished.outputs()
    path = changed.folder / "latentbench/seeding.py"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"/".join', '"|".join'), encoding="utf-8")  # all that is drawn is drawn anew
    changed.run("dvc", "repro")
    after = changed.outputs()
    assert {name.split("/")[1] for name in before if before[name] != after.get(name)} >= {"models", "judged"}
    check_a_clean_run_agrees(changed, tmp_path)
