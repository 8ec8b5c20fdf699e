"""A stage of several processes writes what it writes alone."""

from pathlib import Path

import numpy as np

from latentbench.core import artifacts
from tests.parallel_trainings import LOOPBACK
from tests.pipeline.workspace import Workspace


def test_a_stage_under_torchrun_writes_what_it_writes_alone(finished: Workspace, tmp_path: Path) -> None:
    """Run the network without batch norm: biases before that have no gradient but rounding, of which Adam makes steps.

    That batch norm is shared rightly is shown in double precision, by tests/test_parallel.py. Muon makes all singular
    values of a gradient equal, and so the rounding of small ones larger.
    """
    workspace = finished.copy(tmp_path / "copy")
    before = finished.outputs()
    written = tuple(f"{folder}/ae_conv/" for folder in ("data/models", "data/embeddings", "metrics"))
    names = [
        name for name in before if name.startswith(written) and not name.endswith("densities.csv")
    ]  # another stage's
    for name in names:
        (workspace.folder / name).unlink()
    launcher = ("python", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    done = workspace.run(*launcher, "-m", "stages.ae", "ae_conv", **LOOPBACK)
    after = workspace.outputs()
    assert after.keys() == before.keys()
    for split in ("train", "test"):
        name = f"data/embeddings/ae_conv/{split}.npy"
        expected, found = artifacts.read_array(finished.folder / name), artifacts.read_array(workspace.folder / name)
        assert not np.array_equal(found, expected)  # other sums, rounded otherwise
        assert np.linalg.norm(found - expected) < 1e-2 * np.linalg.norm(expected)
    alone, together = (
        artifacts.read_table(each.folder / "metrics/ae_conv/loss.csv").to_numpy() for each in (finished, workspace)
    )
    np.testing.assert_allclose(together, alone, rtol=1e-3)
    assert {name for name in before if before[name] != after[name]} <= set(names)
    assert done.stderr.count("ae_conv: 100%") <= 1
    assert not list((workspace.folder / ".dvc/tmp/latentbench").iterdir())
