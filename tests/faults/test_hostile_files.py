"""Damaged and hostile files by the thousand: the project's own error, within bounded memory, or the right content."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import fuzzing
from tests.faults.counting import Faults

SAMPLE = 20  # mutated files for each target in `make test`
MANY = {
    "download": 2000,
    "download of unknown content": 2000,
    "idx": 2000,
    "npz": 2000,
    "csv": 1500,
    "libsvm": 1000,
    "cifar": 1000,
    "mat": 2000,
    "parquet": 1500,
    "images": 3000,
    "mirror": 1000,
    "array": 2500,
    "model": 2500,
    "json": 1000,
    "table": 500,
    "params": 500,
}


def fuzz(root: Path, folder: Path, faults: Faults, n: int, seed: int, *names: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.fuzzing", str(folder), str(n), str(seed), *names],
        cwd=root,
        # One arena for all threads: each would take 64 MiB of addresses, though not of memory.
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    last = folder / "input"
    assert done.returncode == 0, f"{done.stderr[-3000:]}\nlast input: {last.read_bytes()[:200]!r}"
    results = json.loads(done.stdout)
    for counts in results.values():
        faults.many(counts["injected"], counts["survived"])
    failures = {name: counts["failures"] for name, counts in results.items() if counts["failures"]}
    assert failures == {}
    assert all(counts["injected"] > n for counts in results.values()), "each has hostile files of its own"


def test_a_sample_of_hostile_files_is_refused(root: Path, tmp_path: Path, faults: Faults) -> None:
    fuzz(root, tmp_path, faults, SAMPLE, 1, *fuzzing.targets())


@pytest.mark.faults
@pytest.mark.parametrize("name", MANY)
def test_thousands_of_hostile_files_are_refused(root: Path, tmp_path: Path, faults: Faults, name: str) -> None:
    fuzz(root, tmp_path, faults, MANY[name], 2, name)


def test_many_are_at_least_ten_thousand_and_of_every_target() -> None:
    assert MANY.keys() == fuzzing.targets().keys()
    assert sum(MANY.values()) >= 10_000
