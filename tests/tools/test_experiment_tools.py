"""Tables over seeds say what the experiments say, and no experiment is mistaken for another."""

from pathlib import Path

import pandas as pd
import pytest

from latentbench.evaluation.seeds import t_interval
from tests.tools.conftest import Repository, call, params_with
from tools import seeds
from tools.lib import experiments
from tools.lib.engine import Options
from tools.lib.experiments import ExperimentError
from tools.lib.fleet import Fleet


def test_the_table_over_seeds_is_that_of_its_runs(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.add_experiment("seed-1", params_with(seed=1), shift=0.01)
    repository.add_experiment("seed-2", params_with(seed=2), shift=0.03)
    call(seeds, "--n", "3", monkeypatch=monkeypatch)
    written = pd.read_csv("metrics/seeds/seeds.csv").set_index(["row", "score"])
    assert set(written.index) == {
        ("isomap", "knn_accuracy"),
        ("vae_dense", "knn_leave_one_out"),
        ("vae_dense", "knn_accuracy"),
        ("vae_dense", "mse"),
        ("vae_dense", "frechet"),
        ("vae_dense", "bits_per_dim"),
        ("vae_dense", "kl_nats"),
        ("real", "frechet"),
        ("pca", "frechet"),
    }, "what a seed changes: no PCA of the representations, but the draws from it"
    assert (written["n"] == 3).all()
    expected = t_interval([0.8, 0.81, 0.83])
    assert written.loc[("vae_dense", "knn_accuracy"), ["mean", "lo", "hi"]].tolist() == pytest.approx(
        expected, rel=1e-5
    )
    values = pd.read_csv("metrics/seeds/values.csv")
    assert values[(values["row"] == "real")]["value"].tolist() == pytest.approx([1.0, 1.01, 1.03])
    lines = Path("metrics/seeds/seeds.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "| row | knn_accuracy | mse | frechet | bits_per_dim |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| isomap", "| vae_dense", "| real", "| pca"]
    assert lines[4].startswith("| real |  |  | 1.013 (")


def test_seeds_of_other_params_are_experiments_and_lie_apart(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (0, 1):
        params = params_with(seed=seed, beta=0.1)
        repository.add_experiment(f"seed-{seed}-vae_dense.beta-0.1", params, shift=0.05 + 0.01 * seed)
    call(seeds, "--n", "2", "--set", "vae_dense.beta=0.1", monkeypatch=monkeypatch)
    folder = Path("metrics/seeds/vae_dense.beta-0.1")
    values = pd.read_csv(folder / "values.csv").set_index(["row", "score"])
    assert values.loc[("vae_dense", "knn_accuracy"), "value"].tolist() == pytest.approx([0.85, 0.86])
    assert {path.name for path in folder.iterdir()} == {"values.csv", "seeds.csv", "seeds.md"}
    (folder / "values.csv").unlink()
    call(seeds, "--n", "2", "--set", "vae_dense.beta=1e-1", monkeypatch=monkeypatch)  # YAML reads that as text
    assert (folder / "values.csv").is_file()
    for setting, says in (
        ("beta=1", "there is no such param"),
        ("seed=3", "write a param as key=value"),
        ("beta", "key=value"),
        ("vae_dense.beta=much", "has another type"),
    ):
        with pytest.raises(SystemExit, match=says):
            call(seeds, "--n", "2", "--set", setting, monkeypatch=monkeypatch)


def test_a_score_that_one_seed_lacks_is_told() -> None:
    values = pd.DataFrame({"seed": [0, 1, 0], "judge": "a", "row": "x", "score": ["s", "s", "t"], "value": [1.0, 2, 3]})
    with pytest.raises(ExperimentError, match="only 1 of 2 seeds have t"):
        seeds.summarise(values)


def test_runs_with_different_judges_do_not_compare(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.add_experiment("seed-1", params_with(seed=1), judge="other")
    with pytest.raises(SystemExit, match="different classifiers"):
        call(seeds, "--n", "2", monkeypatch=monkeypatch)
    assert "Traceback" not in capsys.readouterr().err
    assert not Path("metrics/seeds").exists()


def test_an_experiment_of_that_name_with_other_params_is_refused(repository: Repository) -> None:
    repository.add_experiment("seed-1", params_with(seed=5))
    with pytest.raises(ExperimentError, match="'dvc exp remove seed-1' first"):
        Fleet(Options()).run([("seed-1", {"seed": 1}, [])])


def test_an_experiment_of_another_commit_does_not_count(repository: Repository) -> None:
    made = repository.add_experiment("seed-1", params_with(seed=1))
    assert experiments.found() == {"seed-1": made}
    repository.write({"seed": 0, "other": 1})
    repository.commit()
    assert experiments.found() == {}


@pytest.mark.parametrize("name", ["params.yaml", "metrics/evaluate/generators.csv", "latentbench/new.py"])
def test_a_pipeline_that_is_not_committed_is_refused(repository: Repository, name: str) -> None:
    experiments.check_committed()
    (repository.folder / name).parent.mkdir(exist_ok=True)
    (repository.folder / name).write_text("changed", encoding="utf-8")
    with pytest.raises(ExperimentError, match="changed since the last commit: .*commit the changes first"):
        experiments.check_committed()


def test_one_seed_has_no_interval(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit):
        call(seeds, "--n", "1", monkeypatch=monkeypatch)
    assert not (repository.folder / "metrics" / "seeds").exists()


def test_nested_params_are_named_by_their_dotted_keys() -> None:
    assert experiments.flatten({"a": {"b": {"c": 1}, "d": None}, "e": [1, 2]}) == {"a.b.c": 1, "a.d": None, "e": [1, 2]}
    with pytest.raises(ExperimentError, match=r"a\.x: there is no such param"):
        experiments.value_at({"a": {"b": 1}}, "a.x")


def test_values_are_told_to_dvc_as_yaml_on_one_line() -> None:
    told = [experiments._yaml(value) for value in (None, True, 0.001, 24.5, 15, "constant", [1, 2])]
    assert told == ["null", "true", "0.001", "24.5", "15", "constant", "[1, 2]"]
