"""Experiments on a real Slurm: workers die, the command that drives them dies, and all come back, byte for byte."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.faults.counting import Faults
from tests.tools.chain import Chain

pytestmark = pytest.mark.faults

N = 12
PATIENCE_S = 900.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Path]:
    """Yield a file that describes a Slurm whose node is this machine; its jobs are gone in the end."""
    try:
        asked = ["sinfo", "--noheader", "--format=%R %N"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"no Slurm answers to sinfo: {error}")
    if len(told) != 2 or told[1] != os.uname().nodename.partition(".")[0]:
        pytest.skip(f"this Slurm has other nodes than this machine, whose loopback workers are to use: {told}")
    name = f"latentbench-{os.getpid()}"
    slurm = {
        "name": name,
        "queue": told[0],
        "memory": "1GB",
        "job-cpu": 1,
        "interface": "lo",
        "job-extra-directives": ["--mem=0"],
        "scheduler-options": {"interface": "lo"},
    }
    path = tmp_path / "slurm.yaml"
    path.write_text(yaml.safe_dump({"jobqueue": {"slurm": slurm}}), encoding="utf-8")
    yield path
    subprocess.run(["scancel", f"--name={name}"], check=False)


def names(chain: Chain) -> set[str]:
    """Return the names of the experiments that are there."""
    return set(chain.run("git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps").stdout.split())


def test_workers_and_the_command_die_and_all_experiments_are_as_alone(
    root: Path, tmp_path: Path, cluster: Path, faults: Faults
) -> None:
    chain, alone = Chain(tmp_path / "chain", root), Chain(tmp_path / "alone", root)
    for each in (chain, alone):
        each.set_params(seconds=0.5)
        each.commit()
    betas = {f"beta-{number}.5": f"{number}.5" for number in range(N)}
    (tmp_path / "list").write_text("".join(f"{name}: beta={beta}\n" for name, beta in betas.items()), encoding="utf-8")
    command = ("python", "-m", "tools.batch", str(tmp_path / "list"), "--engine", str(cluster), "--jobs", "2")
    (chain.notes / "kill-a").touch()  # with its worker
    (chain.notes / "kill-join").touch()
    log = tmp_path / "log"
    with faults.one(), faults.one(), faults.one():
        with log.open("wb") as said:
            first = subprocess.Popen(
                command, cwd=chain.folder, env=chain.environment(), stdout=said, stderr=said, start_new_session=True
            )
        deadline = time.monotonic() + PATIENCE_S
        try:
            while len(names(chain)) < N // 3:
                assert first.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
                time.sleep(0.2)
        finally:
            first.kill()
            first.wait()
        before = names(chain)
        assert len(before) < N, "it was killed in the middle"
        assert not list(chain.notes.glob("kill-*")), "two workers were killed"
        chain.ran()
        gone_on = chain.run(*command).stderr
        assert "Traceback" not in gone_on
        assert all(f"{name}: has already run" in gone_on for name in before)
        assert names(chain) == set(betas)
        again = chain.ran()
        assert not [line for line in again if line.startswith(("base", "a ", "b "))], "what was finished is not lost"
        for name, beta in betas.items():
            alone.run("dvc", "exp", "run", "--temp", "--name", name, "--set-param", f"beta={beta}")
            found, expected = (each.content(reference(each, name)) for each in (chain, alone))
            assert found == expected


def reference(chain: Chain, name: str) -> str:
    """Return the git reference of an experiment of the last commit."""
    head = chain.run("git", "rev-parse", "HEAD").stdout.strip()
    return f"refs/exps/{head[:2]}/{head[2:]}/{name}"
