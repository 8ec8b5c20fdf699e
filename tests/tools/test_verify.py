"""A byte that changes in a stored output is noticed, also where DVC looks away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.counting import Faults

PIPELINE = """
stages:
  make:
    cmd: mkdir -p made && seq 1000 > made/numbers && seq 9 > single
    outs: [made, single]
"""


class Project:
    """A repository with one stage that has run."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
        self.dvc("init", "--quiet")
        self.dvc("config", "core.analytics", "false")
        (folder / "dvc.yaml").write_text(PIPELINE, encoding="utf-8")
        self.dvc("repro", "--quiet")

    def dvc(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=True).stdout

    def verify(self) -> tuple[int, str]:
        path = os.pathsep.join([str(self.root), os.environ["PYTHONPATH"]])
        done = subprocess.run(
            [sys.executable, "-m", "tools.verify"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    def stored(self, name: str) -> Path:
        """Return the file of the cache that holds what an output holds."""
        content = (self.folder / name).read_bytes()
        files = (path for path in (self.folder / ".dvc/cache/files/md5").rglob("*") if path.is_file())
        (path,) = (path for path in files if path.read_bytes() == content)
        return path


def flip_a_bit(path: Path) -> None:
    """Change one bit of a file, and neither its size, its times nor its mode, as a disk does."""
    before = path.stat()
    path.chmod(0o644)
    content = path.read_bytes()
    path.write_bytes(content[:7] + bytes([content[7] ^ 4]) + content[8:])
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture(scope="module")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("project"), root)


def test_what_is_as_it_was_stored_passes(project: Project) -> None:
    assert project.verify() == (0, "")


@pytest.mark.parametrize(("name", "where"), [("made/numbers", "cache"), ("single", "workspace")])
def test_one_bit_is_noticed_and_a_rerun_mends_it(project: Project, faults: Faults, name: str, where: str) -> None:
    whole = (project.folder / name).read_bytes()
    with faults.one():
        damaged = project.stored(name) if where == "cache" else project.folder / name
        flip_a_bit(damaged)
        assert "up to date" in project.dvc("status"), "DVC notices by itself: is the tool still needed?"
        status, said = project.verify()
        assert status == 1
        assert str(damaged) in said
        assert said.count("\n  ") == 1
        damaged.unlink()
        (project.folder / name).unlink(missing_ok=True)
        project.dvc("repro", "--quiet")
        assert (project.folder / name).read_bytes() == whole
        assert project.verify() == (0, "")


@pytest.mark.parametrize("damage", [b"[", b'[{"md5": "x", "relpath": "numbers"}]'])
def test_a_damaged_list_of_a_folder_is_named_and_nothing_else(project: Project, faults: Faults, damage: bytes) -> None:
    (listed,) = (project.folder / ".dvc/cache/files/md5").rglob("*.dir")
    before, mode = listed.read_bytes(), listed.stat().st_mode
    with faults.one():
        listed.chmod(0o644)
        listed.write_bytes(damage)
        status, said = project.verify()
        listed.write_bytes(before)
        listed.chmod(mode)
        assert status == 1
        assert said.count("\n  ") == 1
        assert str(listed) in said
