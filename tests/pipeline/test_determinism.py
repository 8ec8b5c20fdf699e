"""Samples that a run drew come out the same from its files, with other threads and in other batches.

Equal threads and batches give equal bytes; with others, sums are rounded otherwise, and a pixel
may be rounded to the next value.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from latentbench import inference, seeding
from latentbench.core import artifacts
from latentbench.diffusion import models as diffusion_models
from latentbench.diffusion.models import Sampling
from stages import fitted
from tests.pipeline.all_stages import check_a_clean_run_agrees
from tests.pipeline.workspace import Workspace

GREY_LEVELS = 1
N, BATCH = 24, 5


@pytest.mark.faults
def test_a_clean_run_in_another_folder_gives_the_same_bytes(finished: Workspace, tmp_path: Path) -> None:
    check_a_clean_run_agrees(finished, tmp_path)


@pytest.fixture(params=[1, 2, 3])
def n_threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def farthest(drawn: np.ndarray, kept: np.ndarray) -> int:
    return int(np.abs(drawn.astype(int) - kept.astype(int)).max())


@pytest.mark.usefixtures("n_threads")
@pytest.mark.parametrize("row", ["diffusion", "diffusion_latent"])
def test_a_diffusion_model_draws_what_the_run_drew(finished: Workspace, row: str) -> None:
    kept = artifacts.read_array(finished.folder / f"data/samples/{row}/any.npy")[:N]
    model, description = diffusion_models.load(finished.folder / f"data/models/{row}")
    seed = seeding.derive(finished.params()["seed"], row, "samples")
    sampling = Sampling(**description["sampling"])
    for size in (N, BATCH):
        parts = [model.draw(seed, range(N)[start : start + size], sampling) for start in range(0, N, size)]
        assert farthest(torch.cat(parts).numpy(), kept) <= GREY_LEVELS
    assert farthest(model.draw(seed + 1, range(N), sampling).numpy(), kept) > 20


@pytest.mark.usefixtures("n_threads")
@pytest.mark.parametrize("row", ["vae_dense", "vae_residual"])
def test_a_vae_draws_what_the_run_drew(finished: Workspace, row: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder)
    params = finished.params()
    kept = artifacts.read_array(finished.folder / f"data/samples/{row}/any.npy")[:N]
    generator = seeding.torch_generator(params["seed"], row, "samples")
    draws = torch.randn((params["n_samples"], params["latent_dim"]), generator=generator)[:N]
    network = fitted.load(row).network
    for size in (N, BATCH):
        monkeypatch.setattr(inference, "BATCH", size)
        drawn = inference.apply(lambda batch: inference.to_pixels(network.decode(batch)), draws)
        assert farthest(drawn.numpy(), kept) <= GREY_LEVELS
