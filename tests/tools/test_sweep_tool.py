"""A sweep runs what is not there, tells what its runs say, and names the images that it chose by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.tools.conftest import Repository, call, params_with
from tools import sweep
from tools.lib import experiments


@pytest.fixture
def ran(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Return the names and targets of the experiments that are run; the nearer to beta 3 the better they come out."""
    names: list[tuple[str, list[str]]] = []

    class Recorded:
        """Stands for the engine."""

        n_workers = 1

        def __init__(self, _options: object) -> None: ...
        def __enter__(self) -> "Recorded":
            return self

        def __exit__(self, *_: object) -> None: ...

        def submit(self, name: str, changes: Mapping[str, Any], targets: Sequence[str]) -> None:
            if name not in experiments.found():
                given = {"latent_dim": 64, "vae_dense.beta": 1.0, **changes}
                beta = given["vae_dense.beta"]
                params = params_with(latent_dim=given["latent_dim"], beta=beta)
                repository.add_experiment(name, params, shift=0.05 - 0.01 * abs(np.log(beta / 3)))
                names.append((name, list(targets)))

        def run(self, wanted: Sequence[tuple[str, Mapping[str, Any], Sequence[str]]]) -> list[str]:
            for each in wanted:
                self.submit(*each)
            return [experiments.made(name, changes) for name, changes, _ in wanted]

    monkeypatch.setattr(sweep, "Fleet", Recorded)
    return names


def test_a_grid_takes_the_committed_run_for_its_own_params(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.add_experiment("sweep-vae_dense.beta-0.1", params_with(beta=0.1), shift=0.05)
    repository.add_experiment("sweep-vae_dense.beta-24.5", params_with(beta=24.5), shift=-0.05)
    call(sweep, "--grid", "vae_dense.beta=24.5,1,0.1", monkeypatch=monkeypatch)
    folder = Path("metrics/sweeps")
    written = pd.read_csv(folder / "vae_dense_beta.csv")
    assert written["beta"].tolist() == [0.1, 1, 24.5]
    assert written["knn_accuracy"].tolist() == pytest.approx([0.85, 0.8, 0.75])
    assert written["kl_nats"].tolist() == pytest.approx([20.05, 20, 19.95])
    best, _, header, _, first, *_ = (folder / "vae_dense_beta.md").read_text(encoding="utf-8").splitlines()
    assert best == (
        "Of 3 runs, beta 0.1 is best: knn_leave_one_out of vae_dense is 0.86, then beta 1 with 0.81, and last beta "
        "24.5 with 0.76. It was chosen on train and validation images; another seed may give another choice."
    )
    assert header == "| beta | knn_leave_one_out | knn_accuracy | mse | kl_nats | frechet |"
    assert first == "| 0.1 | 0.86 | 0.85 (0.5 to 0.9) | 0.02 | 20.05 | 200.1 (190 to 210) |"
    for name in ("vae_dense_beta.png", "vae_dense_beta_trade.png"):
        assert 3000 < (folder / name).stat().st_size < 60_000
    assert capsys.readouterr().out.startswith(best)


def test_every_combination_is_run_once_and_only_for_its_score(
    ran: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ("--grid", "latent_dim=8,64", "--grid", "vae_dense.beta=1,1e-1", "--score", "generators/vae_dense/frechet")
    call(sweep, *grid, monkeypatch=monkeypatch)
    names = [f"sweep-latent_dim-{dim}-vae_dense.beta-{beta}" for dim, beta in ((8, 0.1), (8, 1), (64, 0.1))]
    assert ran == [(name, ["evaluate"]) for name in names]
    assert "chosen on the test images, so it looks better than it is" in capsys.readouterr().out
    call(sweep, *grid, monkeypatch=monkeypatch)
    assert len(ran) == 3
    written = pd.read_csv("metrics/sweeps/latent_dim_vae_dense_beta.csv")
    assert written.columns[:3].tolist() == ["latent_dim", "beta", "frechet"]
    assert written[["latent_dim", "beta"]].to_numpy().tolist() == [[8, 0.1], [8, 1], [64, 0.1], [64, 1]]


def test_a_run_without_its_comparison_does_not_stand_for_one_with_it(
    ran: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = ("--score", "training/vae_dense/validation_loss")
    call(sweep, "--grid", "vae_dense.beta=2", *alone, monkeypatch=monkeypatch)
    assert pd.read_csv("metrics/sweeps/vae_dense_beta.csv").columns.tolist() == ["beta", "validation_loss"]
    call(sweep, "--grid", "vae_dense.beta=2", monkeypatch=monkeypatch)
    expected = [("sweep-vae_dense-vae_dense.beta-2", ["vae@vae_dense"]), ("sweep-vae_dense.beta-2", ["evaluate"])]
    assert ran == expected


def test_a_search_nears_the_best_and_goes_on_where_it_was(
    ran: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("--search", "vae_dense.beta=0.01..100:log", "--name", "found")
    call(sweep, *command, "--trials", "6", monkeypatch=monkeypatch)
    first = [name for name, _ in ran]
    assert len(first) == 5  # the committed run is the first
    call(sweep, *command, "--trials", "18", monkeypatch=monkeypatch)
    names = [name for name, _ in ran]
    assert names[:5] == first
    assert len(set(names)) == len(names) >= 16
    written = pd.read_csv("metrics/sweeps/found.csv")
    betas = {float(name.removeprefix("sweep-vae_dense.beta-")) for name in names}
    assert written["beta"].tolist() == sorted({1.0, *betas})
    assert 1.5 < written.loc[written["knn_leave_one_out"].idxmax(), "beta"] < 6
    near = [0.3 < float(name.removeprefix("sweep-vae_dense.beta-")) < 30 for name in names]
    assert np.mean(near[-8:]) > 0.7, "half of the range, which chance alone would find as often"


def test_runs_of_a_search_that_are_abreast_keep_apart_and_are_told_in_their_order(
    ran: list[tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("--search", "vae_dense.beta=0.01..100:log", "--trials", "16")
    call(sweep, *command, "--name", "abreast", "--abreast", "4", monkeypatch=monkeypatch)
    told = [line.split(":")[0] for line in capsys.readouterr().err.splitlines() if line.startswith("run ")]
    assert told == [f"run {number} of 16" for number in range(1, 17)]
    first = list(ran)
    betas = np.log([float(name.removeprefix("sweep-vae_dense.beta-")) for name, _ in first])
    assert len(first) == 15
    # What is asked for while others are under way is not what those are.
    assert min(abs(a - b) for at, a in enumerate(betas) for b in betas[at + 1 : at + 4]) > 0.005
    call(sweep, *command, "--name", "again", "--abreast", "4", monkeypatch=monkeypatch)
    assert ran == first, "the same command goes the same way"
    written = pd.read_csv("metrics/sweeps/again.csv")
    assert 1 < written.loc[written["knn_leave_one_out"].idxmax(), "beta"] < 9


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--grid", "vae_dense.bet=1"], "vae_dense.bet: there is no such param"),
        (["--grid", "latent_dim=8.5"], "latent_dim=8.5: the committed value is 64; this one has another type"),
        (["--grid", "vae_dense.beta"], "vae_dense.beta: write a param as KEY=VALUES"),
        (["--grid", "seed=1"], "cannot tell from seed which row to judge"),
        (["--grid", "seed=1", "--score", "generators/x/frechet"], "generators/x has no frechet"),
        (["--grid", "seed=1", "--score", "frechet"], "frechet is not COMPARISON/ROW/SCORE"),
        (["--grid", "seed=1", "--score", "likelihoods/vae_dense/kl_nats"], "whether kl_nats is to be maximized"),
        (["--search", "latent_dim=64..4"], "a range is LOW..HIGH"),
        (["--search", "latent_dim=0..4:log"], "a logarithmic range begins above 0"),
        (["--draw", "nothing"], "cannot read the table metrics/sweeps/nothing.csv"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(
    ran: list[Any], arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="sweep: ") as raised:
        call(sweep, *arguments, monkeypatch=monkeypatch)
    assert told in str(raised.value)
    assert ran == []
    assert not Path("metrics/sweeps").exists()
