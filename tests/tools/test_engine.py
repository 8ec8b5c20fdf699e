"""What is ready runs side by side, with the bytes of `dvc repro` and `dvc exp run`, whatever dies on the way."""

import socket
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
import yaml

from tests.tools.chain import Chain
from tools.lib import engine
from tools.lib.board import Board
from tools.lib.engine import Cluster, EngineError, Loop, Options, Task


class OneAfterAnother:
    """Stands for the client of a cluster: what it is given ends when the test says so."""

    def __init__(self, *workers: str) -> None:
        self.workers, self.given = list(workers), list[tuple[str, str, str | None, "Answer"]]()
        self.taken_over = dict[str, list[str]]()

    def processing(self) -> dict[str, list[str]]:
        return {worker: [] for worker in self.workers} | self.taken_over

    def nthreads(self) -> dict[str, int]:
        return dict.fromkeys(self.workers, 1)

    def submit(self, call: str, *_: object, environment: dict[str, str | None], workers: list[str], **__: Any) -> Any:
        answer = Answer()
        self.given.append((call, workers[0], environment.get("CUDA_VISIBLE_DEVICES"), answer))
        return answer


class Answer(Future[Any]):
    """A future with the attribute that Dask's has beside Python's."""

    @property
    def status(self) -> str:
        return "error" if self.exception() else "finished"


def task(name: str, *after: str, rank: float = 0.0, trains: bool = False, near: str = "") -> Task:
    call: Any = name
    return Task(name, name, call, (), Path("nowhere"), frozenset(after), (rank,), trains=trains, near=near)


def loop_over(client: OneAfterAnother, tasks: Sequence[Task], gpus: Sequence[str] = ()) -> Loop:
    any_client: Any = client
    made = Loop(Cluster(any_client, list(gpus), ""), Board())
    for each in tasks:
        made.add(each)
    return made


def test_a_task_begins_when_what_it_comes_after_is_done_and_the_first_in_rank_first() -> None:
    client = OneAfterAnother("w1", "w2")
    loop = loop_over(client, [task("c", "a"), task("late", rank=1.0), task("b"), task("a")])
    loop._give()
    assert [(call, where) for call, where, *_ in client.given] == [("b", "w1"), ("a", "w2")]
    client.given[1][3].set_result("of a")
    done = loop.next()
    assert (done.task.name, done.result, done.error) == ("a", "of a", None)
    loop._give()
    assert client.given[2][:2] == ("c", "w2")
    client.given[0][3].set_exception(ValueError("no luck"))
    assert loop.next().error == "no luck"
    loop._give()
    assert [each.name for each in loop.running] == ["c", "late"]
    assert [loop.knows(key) for key in "abc"] == [True, False, True], "what failed may be given again"


def test_a_gpu_belongs_to_one_stage_at_a_time() -> None:
    client = OneAfterAnother("w1", "w2", "w3", "w4")
    waiting = [task("t1", trains=True), task("t2", trains=True), task("t3", trains=True), task("cpu", rank=1.0)]
    loop = loop_over(client, waiting, gpus=["GPU-x", "GPU-y"])
    loop._give()
    assert [(call, gpu) for call, _, gpu, _ in client.given] == [("t1", "GPU-x"), ("t2", "GPU-y"), ("cpu", None)]
    client.given[0][3].set_result(None)
    loop.next()
    loop._give()
    assert client.given[3][0:3:2] == ("t3", "GPU-x")


def test_tasks_that_are_near_go_to_the_same_worker_and_none_to_one_that_is_busy_for_a_dead_one() -> None:
    client = OneAfterAnother("w1", "w2")
    loop = loop_over(client, [task("a", near="x"), task("b", near="y")])
    loop._give()
    for _, _, _, answer in client.given:
        answer.set_result(None)
        loop.next()
    loop.add(task("c", near="y"))
    loop._give()
    assert client.given[2][:2] == ("c", "w2")
    client.workers.remove("w2")
    client.taken_over["w1"] = ["c"]
    loop.add(task("d"))
    loop._give()
    assert len(client.given) == 3
    client.workers.append("w3")
    loop._give()
    assert client.given[3][0] == "d"


def test_what_can_never_begin_is_told() -> None:
    loop = loop_over(OneAfterAnother("w1"), [task("a", "nothing")])
    with pytest.raises(EngineError, match="waiting for missing inputs: a"):
        loop.next()


@pytest.mark.parametrize(("threads", "cores", "expected"), [(1, 8, 8), (2, 8, 4), (3, 8, 2), (16, 8, 1), (None, 8, 1)])
def test_the_machine_carries_its_cores_over_the_threads(
    threads: int | None, cores: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.machine, "n_cores", lambda: cores)
    assert engine.local_jobs(threads) == expected


def test_the_gpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1, 3")
    assert engine.gpus() == ["1", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert engine.gpus() == []
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    query = tmp_path / "nvidia-smi"
    query.write_text("#!/bin/sh\necho GPU-a\necho GPU-b\n", encoding="utf-8")
    query.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine.gpus() == ["GPU-a", "GPU-b"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "is not a file, an address or one of local, ssh, slurm"),
        ("- a\n", "this is not a Dask configuration"),
        ("jobqueue: {slurm: {}, pbs: {}}\n", "but it has slurm, pbs"),
        ("distributed: {}\n", "but it has neither"),
    ],
)
def test_an_engine_that_is_none_is_told(content: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "engine.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(EngineError, match=says), engine.opened(Options(str(path)), 1, 1, tmp_path):
        pass


def test_workers_on_this_machine_listen_on_its_loopback_alone_and_encrypted(tmp_path: Path) -> None:
    """Where another scheduler of Dask has its usual port too: a warning is an error here."""
    with ExitStack() as stack:
        usual = stack.enter_context(socket.socket())
        with suppress(OSError):  # another has it indeed
            usual.bind(("127.0.0.1", 8787))
            usual.listen()
        cluster = stack.enter_context(engine.opened(Options(jobs=1), 1, 1, tmp_path))
        address = cluster.client.scheduler.address
        settings = ("distributed.worker.profile.enabled", "distributed.admin.tick.interval")
        told = cluster.client.run(lambda: [dask.config.get(name) for name in settings])
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        sockets = [each for process in processes for each in process.net_connections("inet")]
    assert list(told.values()) == [[False, "1s"]], "a worker that waits takes time from the stages"
    assert address.startswith("tls://127.0.0.1:")
    listening = {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_stages_side_by_side_write_the_bytes_of_dvc_repro_and_one_that_fails_lets_others_end(
    root: Path, tmp_path: Path
) -> None:
    chain, alone = Chain(tmp_path / "chain", root), Chain(tmp_path / "alone", root)
    for each in (chain, alone):
        each.set_params(meet=["a", "b"])  # neither goes on without the other
    (chain.notes / "fail-b").touch()
    failed = chain.run("python", "-m", "tools.repro", "--jobs", "2", check=False)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert "repro: row@b failed: failed to reproduce 'row@b'" in failed.stderr
    assert "b: no luck" in failed.stderr
    before = chain.ran()
    assert {"a dim=1", "b dim=1", "base"} <= set(before)
    assert (chain.folder / "data/rows/a").exists(), "it ended well"
    (chain.notes / "fail-b").unlink()
    chain.run("python", "-m", "tools.repro", "--jobs", "2")
    assert sorted([*before, *chain.ran()]) == ["a dim=1", "b dim=1", "b dim=1", "base", "join", "other beta=1.0"]
    (alone.notes / "met-b").touch()
    alone.run("dvc", "repro")
    for name in ("metrics/join.txt", "data/rows/a", "data/rows/b", "data/other"):
        assert (chain.folder / name).read_bytes() == (alone.folder / name).read_bytes(), name
    # DVC puts a stage that is new to dvc.lock at its end.
    found, expected = (yaml.safe_load((each.folder / "dvc.lock").read_bytes()) for each in (chain, alone))
    assert found == expected
    assert "all stages are up to date" in chain.run("python", "-m", "tools.repro", "--jobs", "2").stderr


def test_experiments_share_stages_survive_a_worker_and_are_those_of_dvc_exp_run(root: Path, tmp_path: Path) -> None:
    chain, alone = Chain(tmp_path / "chain", root), Chain(tmp_path / "alone", root)
    (tmp_path / "list").write_text("dim=2\ndim=2 beta=2.0\n", encoding="utf-8")
    (chain.notes / "kill-a").touch()  # with its worker: another one does it
    chain.run("python", "-m", "tools.batch", str(tmp_path / "list"), "--jobs", "2")
    once = ["a dim=2", "a dim=2", "b dim=2", "base", "join", "join", "other beta=1.0", "other beta=2.0"]
    assert chain.ran() == once
    assert list((chain.folder / ".dvc/tmp/engine/runs").iterdir()) == []
    alone.run("dvc", "exp", "run", "--name", "dim-2-beta-2.0", "--set-param", "dim=2", "--set-param", "beta=2.0")
    found, expected = (each.content(f"refs/exps/{head_of(each)}/dim-2-beta-2.0") for each in (chain, alone))
    assert found == expected
    chain.run("git", "rev-parse", "--verify", f"refs/exps/{head_of(chain)}/dim-2")


def head_of(chain: Chain) -> str:
    head = chain.run("git", "rev-parse", "HEAD").stdout.strip()
    return f"{head[:2]}/{head[2:]}"
