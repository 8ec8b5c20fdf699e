"""What a revision's stages wrote comes straight out of DVC's cache, whole or not at all."""

from pathlib import Path

import pytest

from tests.tools.test_verify import Project, flip_a_bit
from tools.lib import experiments
from tools.lib.experiments import ExperimentError


@pytest.fixture
def project(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a committed project in which the test works."""
    made = Project(tmp_path, root)
    for command in (("config", "user.name", "test"), ("config", "user.email", "test@example.org"), ("add", "--all")):
        experiments._run("git", "-C", str(tmp_path), *command)
    experiments._run("git", "-C", str(tmp_path), "commit", "--quiet", "--message", "a run")
    monkeypatch.chdir(tmp_path)
    return made


def test_files_and_folders_are_those_of_the_revision(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {name: (project.folder / name).read_bytes() for name in ("made/numbers", "single")}
    experiments._cache(project.folder)
    run = experiments._run

    def git_alone(*command: str, capture: bool = False) -> str:
        assert command[0] == "git", "DVC takes seconds"
        return run(*command, capture=capture)

    monkeypatch.setattr(experiments, "_run", git_alone)
    (project.folder / "single").unlink()  # the workspace does not matter
    experiments.fetch("HEAD", "made", Path("fetched"))
    experiments.fetch("HEAD", "single", Path("one"))
    assert [path.name for path in Path("fetched").iterdir()] == ["numbers"]
    assert Path("fetched/numbers").read_bytes() == there["made/numbers"]
    assert Path("one").read_bytes() == there["single"]
    assert experiments.stage_that_writes("single") == "make"


def test_what_changed_in_the_cache_is_refused(project: Project) -> None:
    flip_a_bit(project.stored("made/numbers"))
    with pytest.raises(ExperimentError, match="has changed since it was stored; 'make verify'"):
        experiments.fetch("HEAD", "made", Path("fetched"))


def test_what_the_cache_lacks_is_left_to_dvc(project: Project) -> None:
    project.stored("made/numbers").unlink()
    with pytest.raises(ExperimentError, match="'dvc get --quiet' failed"):
        experiments.fetch("HEAD", "made", Path("fetched"))
    with pytest.raises(ExperimentError, match="no stage in dvc.lock of the last commit writes nothing"):
        experiments.stage_that_writes("nothing")
