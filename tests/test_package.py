"""What is installed is the library alone, whole, and its estimators are found by name."""

import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ESTIMATORS = {
    "latentbench.reduction": ("PCA", "UMAP", "Isomap"),
    "latentbench.neighbors": ("KNeighborsClassifier",),
}


@pytest.fixture
def project(root: Path) -> dict[str, Any]:
    with (root / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def test_the_wheel_holds_the_library_alone_and_whole(root: Path, project: dict[str, Any]) -> None:
    """The discovery that builds the wheel finds every folder of the library, and nothing beside it."""
    code = (
        "import json, sys; from setuptools import Distribution; from setuptools.command.build_py import build_py; "
        "made = Distribution({'script_name': 'setup.py'}); made.parse_config_files(); command = build_py(made); "
        "command.ensure_finalized(); print(json.dumps([file for _, _, file in command.find_all_modules()] + "
        "[f'{folder}/{file}' for _, folder, _, files in command.data_files for file in files]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    found = {Path(name).as_posix() for name in json.loads(done.stderr.splitlines()[-1])}
    there = {path.relative_to(root).as_posix() for path in (root / "latentbench").rglob("*.py")}
    packed = {name.removeprefix("build/lib/") for name in found}
    assert packed == there | {"latentbench/py.typed"}
    assert project["tool"]["setuptools"]["package-data"] == {"latentbench": ["py.typed"]}


def test_estimators_are_found_by_name_and_imported_when_they_are_asked_for() -> None:
    code = (
        f"import importlib, sys; [importlib.import_module(name) for name in {list(ESTIMATORS)}]; "
        "print(*[name for name in sys.modules if name.count('.') > 1 and name.startswith('latentbench')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    for package, names in ESTIMATORS.items():
        module = importlib.import_module(package)
        assert sorted(module.__all__) == sorted(names) == sorted(module._MODULES)
        for name in names:
            estimator = getattr(module, name)
            assert estimator.__name__ == name
            assert estimator.__module__.startswith(f"{package}.")
        with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'TSNE'"):
            _ = module.TSNE


def test_one_version_is_told_everywhere(root: Path, project: dict[str, Any]) -> None:
    version = project["project"]["version"]
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{version}] - {citation['date-released']}\n" in changes


def test_continuous_integration_covers_the_versions_that_are_promised(root: Path, project: dict[str, Any]) -> None:
    jobs = yaml.safe_load((root / ".github/workflows/test.yml").read_text(encoding="utf-8"))["jobs"]
    kinds = (each.rpartition(" :: ")[2] for each in project["project"]["classifiers"] if "Python :: 3." in each)
    promised = sorted(kinds)
    assert promised[0] == project["project"]["requires-python"].removeprefix(">=")
    for system in ("linux", "macos"):
        assert jobs[system]["strategy"]["matrix"]["python"] == promised
    paths = [word for step in jobs["macos"]["steps"] for word in step.get("run", "").split() if "tests/" in word]
    assert len(paths) > 5
    assert all((root / path).exists() for path in paths)
