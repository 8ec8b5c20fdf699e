"""A plain list of experiments is read as it stands, and a mistake in it is told with its line."""

from pathlib import Path

import pytest

from tests.tools.conftest import Repository, call
from tools import batch
from tools.lib.experiments import ExperimentError


def test_each_line_is_an_experiment_with_its_own_name_or_that_of_its_params(repository: Repository) -> None:
    path = repository.folder / "list.txt"
    path.write_text("# first\n\nlatent_dim=8 vae_dense.beta=1e-1  # small\nlarge: latent_dim=128\n", encoding="utf-8")
    assert batch.read(path) == {
        "latent_dim-8-vae_dense.beta-0.1": {"latent_dim": 8, "vae_dense.beta": 0.1},
        "large": {"latent_dim": 128},
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it lists no experiments"),
        ("latent_dim", "line 1: latent_dim: write a param as KEY=VALUE"),
        ("a: latent_dim=8\na: latent_dim=9", "line 2: an experiment named a comes before"),
        ("latent=8", "line 1: latent: there is no such param"),
        ("latent_dim=8.5", "line 1: latent_dim=8.5: the committed value is 64"),
        ("empty:", "line 1: an experiment must change at least one param"),
        ('a: latent_dim="8', "line 1: No closing quotation"),
    ],
)
def test_a_mistake_is_told_with_its_line(repository: Repository, text: str, says: str) -> None:
    path = repository.folder / "list.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ExperimentError, match=says):
        batch.read(path)


def test_options_that_contradict_each_other_are_told(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(Path(repository.folder) / "list.txt")
    for options, says in (
        (["--jobs", "0"], "at least 1 worker, not 0"),
        (["--engine", "ssh"], "the engine ssh needs it"),
        (["--hosts", "a"], "the engine ssh needs it, and no other engine takes it"),
    ):
        with pytest.raises(SystemExit):
            call(batch, path, *options, monkeypatch=monkeypatch)
        assert says in capsys.readouterr().err
