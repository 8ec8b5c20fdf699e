"""README tells the truth: its tables are those of the committed run, its pictures and links exist."""

import re
import subprocess
from pathlib import Path

import pytest

from tools.readme import filled


@pytest.fixture(scope="module")
def readme(root: Path) -> str:
    return (root / "README.md").read_text(encoding="utf-8")


def committed(root: Path, name: str) -> str:
    """Return a committed file: the working tree may hold an experiment's metrics."""
    return subprocess.run(["git", "show", f"HEAD:{name}"], cwd=root, capture_output=True, text=True, check=True).stdout


def test_tables_are_those_of_the_committed_run(root: Path, tmp_path: Path) -> None:
    text = committed(root, "README.md")
    named = re.findall(r"<!-- table: (\S+) -->", text)
    assert {f"metrics/evaluate/{name}.csv" for name in ("representations", "generators", "likelihoods")} <= set(named)
    for name in named:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(committed(root, name), encoding="utf-8")
    assert filled(text, tmp_path) == text, "README's tables are not those of the committed files: 'make readme'"
    others = re.sub(r"<!-- table: .*?<!-- end of table -->", "", text, flags=re.DOTALL)
    assert not re.findall(r"^\| vae_dense ", others, re.MULTILINE), "a table that is not between marks"


def test_no_figure_is_left_to_fill_in(readme: str) -> None:
    assert re.findall(r"@[A-Z]+@", readme) == []


def test_every_picture_and_link_exists(root: Path, readme: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", readme)
    assert len(targets) > 5
    assert [target for target in targets if not target.startswith("http") and not (root / target).exists()] == []


def test_committed_metrics_stay_small(root: Path) -> None:
    total = sum(path.stat().st_size for path in (root / "metrics").rglob("*") if path.is_file())
    assert 0 < total < 6 * 2**20


def test_every_make_target_that_readme_names_exists(root: Path, readme: str) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", readme, re.MULTILINE))
    assert {"repro", "test"} <= named
    assert [name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
