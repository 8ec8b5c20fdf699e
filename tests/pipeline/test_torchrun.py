"""A stage of several processes writes what it writes alone."""

from pathlib import Path

import numpy as np

from latentbench.core import artifacts
from tests.parallel_trainings import LOOPBACK
from tests.pipeline.workspace import Workspace


def test_a_stage_under_torchrun_writes_what_it_writes_alone(finished: Workspace, tmp_path: Path) -> None:
    """Run the network without batch norm: biases before that have no gradient but rounding, of which Adam makes steps.

    Muon makes larger steps of rounding still. That it and batch norm are shared rightly is shown in double precision,
    by tests/test_parallel.py.
    """
    workspace = finished.copy(tmp_path / "copy")
    workspace.set_params({"ae_conv.training.optimizer": "adamw", "ae_conv.training.learning_rate": 1e-3})
    workspace.run("python", "-m", "stages.ae", "ae_conv")
    before, alone = workspace.outputs(), written(workspace)
    folders = tuple(f"{folder}/ae_conv/" for folder in ("data/models", "data/embeddings", "metrics"))
    names = [
        name for name in before if name.startswith(folders) and not name.endswith("densities.csv")
    ]  # another stage's
    for name in names:
        (workspace.folder / name).unlink()
    launcher = ("python", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = workspace.run(*launcher, "-m", "stages.ae", "ae_conv", **LOOPBACK)
    after, together = workspace.outputs(), written(workspace)
    assert after.keys() == before.keys()
    for split in ("train", "test"):
        assert not np.array_equal(together[split], alone[split])  # other sums, rounded otherwise
        assert np.linalg.norm(together[split] - alone[split]) < 1e-3 * np.linalg.norm(alone[split])
    np.testing.assert_allclose(together["loss"], alone["loss"], rtol=1e-4)
    assert {name for name in before if before[name] != after[name]} <= set(names)
    assert done.stderr.count("ae_conv: 100%") <= 1
    assert not list((workspace.folder / ".dvc/tmp/latentbench").iterdir())


def written(workspace: Workspace) -> dict[str, np.ndarray]:
    """Return copies of the embeddings and the losses of `ae_conv`."""
    embeddings = workspace.folder / "data/embeddings/ae_conv"
    found = {split: np.array(artifacts.read_array(embeddings / f"{split}.npy")) for split in ("train", "test")}
    return found | {"loss": artifacts.read_table(workspace.folder / "metrics/ae_conv/loss.csv").to_numpy()}
