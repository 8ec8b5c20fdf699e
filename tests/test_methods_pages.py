"""The pages on methods point at what there is: functions, pictures, numbers and tables of the run, and each other."""

import ast
import csv
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/methods"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md") if path.stem != "index"}
MOST_COLUMNS = 8  # of a table, the names of its rows included


def found(pattern: str) -> Iterator[tuple[str, str]]:
    """Yield the page and the text of each match."""
    for page, text in sorted(PAGES.items()):
        yield from ((page, each) for each in re.findall(pattern, text, re.DOTALL))


@cache
def public(module: str) -> dict[str, str] | None:
    """Return the public names of a module, methods as `Class.method`, with what they are; None for no module."""
    path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
    if not path.is_file():
        return None
    names: dict[str, str] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names[node.name] = "func"
        elif isinstance(node, ast.ClassDef):
            names[node.name] = "class"
            names |= {f"{node.name}.{each.name}": "meth" for each in node.body if isinstance(each, ast.FunctionDef)}
    return {name: kind for name, kind in names.items() if "_" not in {part[0] for part in name.split(".")}}


def kind_of(target: str) -> str | None:
    """Return whether a name of the library is a module, a class, a method or a function; None where there is none."""
    parts = target.split(".")
    for n in (len(parts), len(parts) - 1, len(parts) - 2):
        names = public(".".join(parts[:n]))
        if names is not None:
            return names.get(".".join(parts[n:])) if parts[n:] else "mod"
    return None


@cache
def lines_of(file: str) -> tuple[dict[str, Any], ...]:
    """Return the lines of a table of the run, each with its name in the first column."""
    path = ROOT / file
    if path.suffix == ".json":
        return tuple({"row": row, **values} for row, values in json.loads(path.read_text(encoding="utf-8")).items())
    with path.open(encoding="utf-8", newline="") as table:
        return tuple(csv.DictReader(table))


def number(name: str) -> str:
    """Return a number of the run, FILE#ROW.KEY or FILE#ROW.KEY|FORMAT, as text."""
    place, _, spec = name.partition("|")
    file, _, keys = place.partition("#")
    value: Any = json.loads((ROOT / file).read_text(encoding="utf-8"))
    for key in keys.split("."):
        value = value[key]
    assert isinstance(value, int | float)
    return format(value, spec)


def test_there_is_a_page_on_each_method() -> None:
    asked = {"pca", "isomap", "umap_and_tsne", "autoencoders", "variational_autoencoders", "likelihoods_and_bounds"}
    asked |= {"latent_space", "diffusion", "neighbours", "sample_quality", "reconstruction", "intervals"}
    assert asked | {"optimisation", "the_report"} <= set(PAGES)
    assert [page for page, text in PAGES.items() if not re.match(r"# \S.*\n\n\S", text)] == []


def test_every_function_that_is_linked_exists_and_is_public() -> None:
    links = [(page, *link.split("}`")) for page, link in found(r"\{py:(\w+\}`[^`]+)`")]
    assert {page for page, _, _ in links} == set(PAGES), "a page links no function"
    wrong = [(page, role, target) for page, role, target in links if kind_of(target) != role]
    assert wrong == []


def test_every_picture_and_link_leads_somewhere() -> None:
    targets = list(found(r"\]\(([^)]+)\)"))
    assert len(targets) > 50
    assert [(page, target) for page, target in targets if not (FOLDER / target.partition("#")[0]).is_file()] == []
    assert [(page, text) for page, text in found(r"!\[([^\]]*)\]") if not text] == [], "a picture without words"


def test_every_number_is_one_of_the_run() -> None:
    names = list(found(r"\{number\}`([^`]+)`"))
    assert len(names) > 20
    for _, name in names:
        assert re.fullmatch(r"-?\d[\d.e%-]*", number(name)), name


def test_every_table_has_the_rows_and_columns_that_it_asks_for() -> None:
    tables = list(found(r"```\{results-table\}\n(.*?)```"))
    assert len(tables) > 20
    for page, text in tables:
        options = dict(re.findall(r"^:(\w+): (.+)$", text, re.MULTILINE))
        lines = lines_of(options["file"])
        first, *others = dict.fromkeys(name for line in lines for name in line)
        columns = options.get("columns", "").replace(",", " ").split()
        rows = options.get("rows", "").replace(",", " ").split()
        assert set(columns) <= set(others), (page, options)
        assert set(rows) <= {line[first] for line in lines}, (page, options)
        shown = columns or [name for name in others if not name.endswith(("_lo", "_hi"))]
        assert len(shown) < MOST_COLUMNS, (page, options)


def test_every_file_that_is_included_exists() -> None:
    files = list(found(r"```\{include\} (\S+)"))
    assert files
    assert [(page, file) for page, file in files if not (FOLDER / file).is_file()] == []


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("latentbench.reduction.pca", "mod"),
        ("latentbench.reduction.pca.PCA", "class"),
        ("latentbench.reduction.pca.PCA.first", "meth"),
        ("latentbench.reduction.pca.PCA.last", None),
        ("latentbench.reduction.isomap.Isomap._ways_from", None),
        ("latentbench.reduction.nothing.PCA", None),
    ],
)
def test_names_are_found_where_they_are(target: str, kind: str | None) -> None:
    assert kind_of(target) == kind
