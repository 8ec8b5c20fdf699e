"""dvc.yaml declares exactly what each stage imports and reads."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from latentbench import plugins
from latentbench.params.rows import Rows
from tests.imports import METHODS, plugins_loaded, project_modules
from tests.pipeline.all_stages import ORDER
from tests.pipeline.stale import Told, batches, check_files, check_params
from tests.pipeline.workspace import Workspace, stages_run
from tools.lib.pipeline import Declared, family_of


@pytest.fixture(scope="module")
def pipeline(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    return content


def methods_of(listed: str) -> list[str]:
    """Return the methods of a list of `rows`: its own, or of "reductions" those that no other list is named as."""
    family = family_of(listed)
    return (
        [name for name in plugins.names(METHODS) if name not in Rows.model_fields]
        if family == "reductions"
        else [family]
    )


def test_every_stage_is_run_here(pipeline: dict[str, Any]) -> None:
    assert sorted(pipeline["stages"]) == sorted(ORDER)


@pytest.mark.parametrize("stage", ORDER)
def test_dependencies_on_code_are_exactly_the_imports(root: Path, pipeline: dict[str, Any], stage: str) -> None:
    definition = pipeline["stages"][stage]
    listed = {dep for dep in definition["deps"] if dep.startswith(("latentbench/", "stages/"))}
    declared = set[str]()
    for dep in listed:
        files = [each for each in (root / dep).rglob("*.py") if each.stem != "__init__"] or [root / dep]
        declared |= {each.relative_to(root).as_posix() for each in files}
    module = re.fullmatch(r"python -m ([\w.]+).*", definition["cmd"])
    assert module is not None
    methods = methods_of(definition["matrix"]["row"]) if "matrix" in definition else None
    imported = project_modules(root, module[1], methods)
    assert declared == imported, (
        f"deps of {stage} in dvc.yaml: add {sorted(imported - declared)}, remove {sorted(declared - imported)}"
    )


def test_the_headline_alone_is_a_metric_and_all_other_numbers_are_in_git(pipeline: dict[str, Any]) -> None:
    """DVC prints files of metrics in the order of a set, so that a second one would come first every other time."""
    entries = {name: [*each.get("metrics", [])] for name, each in pipeline["stages"].items() if "metrics" in each}
    assert entries == {"evaluate": [{"metrics/headline.json": {"cache": False}}]}
    plots = [out for each in pipeline["stages"].values() for out in each.get("plots", [])]
    numbers = [out for out in plots if ".json" in str(out)]
    assert len(numbers) == 13
    assert all(options == {"cache": False} for out in numbers for options in out.values())
    # DVC's run cache does not bring plain outs back that it has no copy of.
    plain = [out for each in pipeline["stages"].values() for out in each["outs"]]
    assert not [out for out in plain if isinstance(out, dict)]


def test_the_walk_along_imports_agrees_with_python(root: Path, finished: Workspace) -> None:
    walked = project_modules(root, "stages.evaluate")
    packages = set[str]().union(*(plugins_loaded(root / path) for path in walked))
    code = (
        "import sys, stages.evaluate; from latentbench import plugins; "
        f"[plugins.load(package, name) for package in {sorted(packages)} for name in plugins.names(package)]; "
        "print(*[m.__file__ for m in sys.modules.values() if getattr(m, '__file__', 0)])"
    )
    loaded = finished.run("python", "-c", code).stdout.split()
    ours = {
        Path(name).relative_to(finished.folder).as_posix()
        for name in loaded
        if Path(name).is_relative_to(finished.folder) and not name.endswith("__init__.py")
    }
    assert ours == walked


def test_the_committed_run_is_of_the_stages_that_there_are(root: Path, tmp_path: Path) -> None:
    for name in ("dvc.yaml", "params.yaml", "dvc.lock"):
        shown = subprocess.run(["git", "show", f"HEAD:{name}"], cwd=root, capture_output=True, check=True)
        (tmp_path / name).write_bytes(shown.stdout)
    locked = yaml.safe_load((tmp_path / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    assert locked.keys() == Declared(tmp_path).runs.keys()


def test_dvc_reruns_what_is_declared(root: Path, finished: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every module, and a param of each that dvc.yaml declares; tests/faults/test_staleness.py has every param."""
    monkeypatch.chdir(finished.folder)  # DVC names stages relative to it
    declared = Declared(finished.folder)
    assert Told().stale() == set(), "the workspace is not up to date"
    bytecode = finished.folder / "latentbench/core/__pycache__/new.pyc"
    bytecode.parent.mkdir(exist_ok=True)
    bytecode.write_bytes(b"1")
    assert Told().stale() == set(), "what Python compiles beside the code counts as code"
    first, *_ = batches(finished, declared)
    assert {"seed", "latent_dim"} <= set(first)
    check_params(finished, declared, first)
    scripts = {definition["cmd"].split()[2] for definition in declared.runs.values()}
    modules = set[str]().union(*(project_modules(root, script) for script in scripts))
    assert len(modules) > 60
    check_files(finished, declared, modules)


@pytest.mark.faults
def test_a_queued_experiment_runs_the_code_it_was_queued_with(finished: Workspace) -> None:
    """Queue, then break the library in the workspace: the experiment must not notice."""
    broken = finished.folder / "latentbench" / "reduction" / "pca.py"
    text = broken.read_text(encoding="utf-8")
    finished.run("dvc", "exp", "run", "--queue", "--name", "queued", "-S", "pca.n_components=31", "pca")
    try:
        broken.write_text("raise RuntimeError('edited after queueing')\n", encoding="utf-8")
        finished.run("dvc", "queue", "start")
        finished.run("dvc", "queue", "logs", "--follow", "queued", check=False)
        status = ""
        for _ in range(120):
            status = finished.run("dvc", "queue", "status").stdout
            if "Success" in status or "Failed" in status:
                break
            finished.run("sleep", "0.5")
        logs = finished.run("dvc", "queue", "logs", "queued", check=False)
        assert "Success" in status, f"{status}\n{logs.stdout}\n{logs.stderr}"
        assert stages_run(logs.stdout) == ["pca"]
        path = "metrics/pca/metrics.json"
        shown = finished.run("dvc", "metrics", "diff", "--json", "HEAD", "queued", "--all", "--targets", path).stdout
        assert path in shown
    finally:
        broken.write_text(text, encoding="utf-8")
        finished.run("dvc", "queue", "stop", "--kill", check=False)
        finished.run("dvc", "exp", "remove", "--queue", "queued", check=False)
    assert finished.run("git", "status", "--porcelain").stdout == ""
