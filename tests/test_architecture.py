"""The layers hold: imports go downwards only, and files are where a newcomer would look."""

from pathlib import Path

import pytest

from tests.imports import imported_modules, packages_at_start, project_modules

# From the bottom up; modules of one layer do not import each other, except within one package.
LAYERS = [
    {
        "checkpoints",
        "compiled",
        "core",
        "devices",
        "machine",
        "mosaics",
        "optimizers",
        "parallel",
        "params",
        "plugins",
        "seeding",
        "threads",
    },
    {"inference", "networks", "neighbors"},
    {"training", "diffusion", "evaluation", "figures", "reduction", "data", "densities"},
    {"explore", "methods", "sample"},
]


def layer_of(part: str) -> int:
    return next(level for level, parts in enumerate(LAYERS) if part in parts)


def test_library_imports_only_downwards(root: Path) -> None:
    library = root / "latentbench"
    checked = 0
    for path in library.rglob("*.py"):
        part = path.relative_to(library).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        for name in imported_modules(path):
            assert not name.startswith(("stages", "dvc", "tests")), f"{path} imports {name}"
            if name.startswith("latentbench."):
                other = name.split(".")[1]
                assert other == part or layer_of(other) < layer_of(part) or {other, part} <= LAYERS[0], (
                    f"{path} imports {name}, which is not in a lower layer"
                )
                checked += 1
    assert checked > 20


@pytest.mark.parametrize("stage", ["classifier", "ae", "vae", "diffusion"])
def test_training_stages_neither_draw_nor_score(root: Path, stage: str) -> None:
    forbidden = ("latentbench/figures", "latentbench/evaluation")
    modules = project_modules(root, f"stages.{stage}")
    assert "latentbench/training.py" in modules
    assert not [name for name in modules if name.startswith(forbidden)]


@pytest.mark.parametrize(
    ("stage", "large"),
    [
        ("download", set()),
        ("explorer_libraries", set()),
        ("preprocess", {"matplotlib"}),
        ("latent_explore", {"pandas"}),
        ("classifier", {"torch"}),
        ("ae", {"torch"}),
        ("vae", {"torch"}),
        ("diffusion", {"torch"}),
        ("explorer", {"torch"}),
        ("judge", {"torch", "numba"}),
    ],
)
def test_a_stage_starts_without_the_packages_that_it_does_not_need(root: Path, stage: str, large: set[str]) -> None:
    """What only some runs need, such as the drawing of a figure, is imported where it is used."""
    known = {"torch", "sklearn", "scipy", "pandas", "matplotlib", "numba", "onnx"}
    assert packages_at_start(root, f"stages.{stage}") & known == large


def test_no_stage_imports_another(root: Path) -> None:
    shared = {
        "classifiers",
        "costs",
        "decoding",
        "densities",
        "lifecycle",
        "exporting",
        "fitted",
        "trainings",
        "judging",
        "leftovers",
        "paths",
        "principal",
        "sample_scores",
        "sizes",
    }
    shared |= {"__init__"}
    stages = {path.stem for path in (root / "stages").glob("*.py")} - shared
    for path in (root / "stages").glob("*.py"):
        imported = {name.split(".")[1] for name in imported_modules(path) if name.startswith("stages.")}
        assert not imported & stages, path


def test_package_files_are_empty_and_no_module_is_a_drawer(root: Path) -> None:
    for folder in ("latentbench", "stages"):
        for path in (root / folder).rglob("*.py"):
            by_name = {f"latentbench.{part}" for part in ("neighbors", "reduction")}  # tests/test_package.py
            package = ".".join(path.parent.relative_to(root).parts)
            if path.name == "__init__.py" and package not in {"stages", *by_name}:  # stages speaks for itself
                assert path.read_text(encoding="utf-8") == "", f"{path} is not empty"
            assert path.stem not in {"utils", "util", "helpers", "helper", "common", "misc"}


def test_a_module_of_tools_is_a_command_and_what_commands_share_is_in_lib(root: Path) -> None:
    targets = (root / "Makefile").read_text(encoding="utf-8")
    commands = {path.stem for path in (root / "tools").glob("*.py")} - {"__init__"}
    assert "compare" in commands
    for path in (root / "tools").rglob("*.py"):
        imported = {name.split(".")[1] for name in imported_modules(path) if name.startswith("tools.")}
        assert imported <= {"lib"}, f"{path} imports a command"
    for name in commands:
        recipe = f"python -m tools.{name}"
        assert recipe in targets, f"no target of the Makefile runs {recipe}"
        assert f"\n{name.replace('_', '-')}:" in targets, f"no target is named as tools/{name}.py"
