"""The commands of two tutorials, run at small size in the order of the page.

Those of "Change one parameter" and of "Your own images" run in tests/pipeline/test_pipeline.py, and `make quick` in
tests/tools/test_quick.py. A GPU and Slurm need machines that have them.
"""

from pathlib import Path

import pytest

from tests.docs import pages
from tests.pipeline.workspace import Workspace

# `make explore` serves until it is stopped (tests/test_explore.py); a finished workspace has nothing to commit.
ELSEWHERE = (["make", "quick"], ["make", "explore"], ["git", "commit", "--all", "--message", "First run"])


def page(root: Path, name: str) -> str:
    return (root / f"docs/tutorials/{name}.md").read_text(encoding="utf-8")


def test_the_first_run(root: Path, finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy(tmp_path / "copy")
    workspace.set_up_make()
    text = page(root, "first_run").partition("## Where the images come from")[0]
    done = {
        " ".join(words): workspace.run(*words)
        for words in pages.commands(text)
        if words not in ELSEWHERE and words[0] != "source"
    }
    assert list(done) == ["make repro", "make report", "make plots", "dvc metrics show metrics/headline.json"]
    assert "all stages are up to date" in done["make repro"].stderr
    assert "knn.vae_dense" in done["dvc metrics show metrics/headline.json"].stdout
    for name in ("report", "dvc_plots"):
        assert (workspace.folder / name / "index.html").stat().st_size > 100_000


@pytest.mark.faults
def test_a_sweep(root: Path, finished: Workspace, tmp_path: Path) -> None:
    """Each command tells what it would run, which takes a minute; tests/tools runs sweeps."""
    workspace = finished.copy(tmp_path / "copy")
    workspace.set_up_make()
    (workspace.folder / "experiments.txt").write_text(pages.fences(page(root, "a_sweep"), "text")[0], encoding="utf-8")
    told = [workspace.run(*words, "DRY_RUN=1").stderr for words in pages.commands(page(root, "a_sweep"))]
    assert len(told) == 5
    assert all("stages would run; nothing has been run" in each for each in told)
    assert workspace.run("git", "status", "--porcelain").stdout == "?? experiments.txt\n"
