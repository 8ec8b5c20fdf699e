"""README tells the truth: its tables are those of the committed run, its pictures and links exist."""

import re
from pathlib import Path

import pytest

from latentbench import artifacts
from latentbench.evaluation import tables


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["representations", "generators"])
def test_tables_are_those_of_the_committed_run(root: Path, readme: str, name: str) -> None:
    table = tables.markdown(artifacts.read_table(root / "metrics" / "evaluate" / f"{name}.csv"))
    assert table in readme, f"put metrics/evaluate/{name}.md into README.md"


def test_every_picture_and_link_exists(root: Path, readme: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", readme)
    assert len(targets) > 5
    assert [target for target in targets if not target.startswith("http") and not (root / target).exists()] == []


def test_committed_metrics_stay_small(root: Path) -> None:
    total = sum(path.stat().st_size for path in (root / "metrics").rglob("*") if path.is_file())
    assert 0 < total < 6 * 2**20


def test_every_make_target_that_readme_names_exists(root: Path, readme: str) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"`make ([a-z-]+)", readme))
    assert {"repro", "test"} <= named
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
