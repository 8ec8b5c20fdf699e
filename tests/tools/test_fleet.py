"""Which stages of which experiments are run, and what follows from one that fails. Nothing is trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.tools.conftest import Repository, params_with
from tests.tools.test_engine import Answer
from tools.lib import engine, experiments, fleet, worker
from tools.lib.engine import Cluster, Options
from tools.lib.experiments import ExperimentError
from tools.lib.fleet import DryRunError, Fleet
from tools.lib.worker import Experiment, Project, Step, WorkerError

TARGETS: list[str] = []
WANTED = [(f"seed-{seed}", {"seed": seed}, TARGETS) for seed in (1, 2)]


class AtOnce:
    """Stands for the client of a cluster: what it is given is done."""

    def nthreads(self) -> dict[str, int]:
        return {"w1": 1, "w2": 1}

    def processing(self) -> dict[str, list[str]]:
        return {}

    def submit(self, call: Any, *arguments: Any, log: str, environment: dict[str, str | None], **_: Any) -> Answer:
        answer = Answer()
        try:
            answer.set_result(call(*arguments, log=log, environment=environment))
        except WorkerError as error:
            answer.set_exception(error)
        return answer


def steps_of(experiment: Experiment) -> list[Step]:
    """Return the data, that the cache has, the judge, that all share, and a network and its score of its own."""
    seed = experiment.settings[0]
    return [
        Step("data", "d", (), True, False),
        Step("judge", "j", ("d",), False, True),
        Step("network", f"n {seed}", ("d",), False, True),
        Step("score", f"s {seed}", ("j", f"n {seed}"), False, False),
    ]


@pytest.fixture
def ran(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is run; a stage fails whose experiment and name are in the list beforehand."""
    repository.write({**params_with(), "threads": 1})
    repository.commit()
    done: list[str] = []

    def run_step(_: Project, experiment: Experiment, stage: str, **__: Any) -> None:
        if f"no {experiment.name} {stage}" in done:
            raise WorkerError("no luck")
        done.append(f"{experiment.name} {stage}")

    def finish(_: Project, experiment: Experiment, **__: Any) -> None:
        done.append(f"{experiment.name} is made")
        repository.add_experiment(experiment.name, {**params_with(seed=int(experiment.name[-1])), "threads": 1})

    @contextmanager
    def opened(*_: object) -> Iterator[Cluster]:
        client: Any = AtOnce()
        yield Cluster(client, [], "")

    monkeypatch.setattr(engine, "opened", opened)
    monkeypatch.setattr(worker, "plan", lambda _, experiment, **__: steps_of(experiment))
    monkeypatch.setattr(worker, "run_step", run_step)
    monkeypatch.setattr(worker, "finish", finish)
    monkeypatch.setattr(experiments, "cache_folder", lambda: repository.folder / ".dvc/cache")
    return done


def test_what_is_shared_runs_once_and_what_is_cached_not_at_all(ran: list[str]) -> None:
    with Fleet(Options()) as made:
        revisions = made.run(WANTED)
    assert revisions == [experiments.found()["seed-1"], experiments.found()["seed-2"]]
    own = ["seed-1 network", "seed-1 score", "seed-2 network", "seed-2 score", "seed-1 is made", "seed-2 is made"]
    assert sorted(ran) == sorted(["seed-1 judge", *own])
    assert ran.index("seed-1 judge") < ran.index("seed-2 score")
    with Fleet(Options()) as made:
        assert made.run(WANTED) == revisions
    assert len(ran) == 7, "they are there"


def test_an_experiment_that_fails_stops_no_other(ran: list[str]) -> None:
    ran.append("no seed-1 network")
    with Fleet(Options()) as made, pytest.raises(ExperimentError) as raised:
        made.run(WANTED)
    assert "1 of 2 experiments failed\nseed-1: network failed: no luck" in str(raised.value)
    assert "seed-2 is made" in ran
    assert "seed-1 score" not in ran
    assert list(experiments.found()) == ["seed-2"]


def test_a_shared_stage_that_fails_ends_all_that_need_it(ran: list[str]) -> None:
    ran.append("no seed-1 judge")
    with Fleet(Options()) as made, pytest.raises(ExperimentError, match="2 of 2 experiments failed"):
        made.run(WANTED)
    assert not [each for each in ran if each.endswith(("score", "is made"))]


def test_a_dry_run_tells_what_would_run_and_what_is_cached(ran: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with Fleet(Options(dry_run=True)) as made, pytest.raises(DryRunError, match="5 stages would run"):
        made.run(WANTED)
    told = capsys.readouterr().err.splitlines()
    assert "seed-1: from the cache: data" in told
    assert "seed-1: would run: judge, network, score" in told
    assert "seed-2: would run: network, score" in told
    assert "seed-2: would run for: seed-1: judge" in told
    assert "seed-1: 3 stages would run, 1 are cached" in told
    assert not [line for line in told if "stages done" in line]
    assert ran == []


def test_clones_of_killed_runs_are_removed_and_those_of_live_ones_not(repository: Repository) -> None:
    left = repository.folder / ".dvc/tmp/engine/runs/left"
    left.mkdir(parents=True)
    (left / "lock").touch()
    with fleet._own_room("first") as first, fleet._own_room("second") as second:
        assert not left.exists()
        assert first.is_dir()
        assert second.stat().st_mode & 0o777 == 0o700
    assert not first.exists()
