"""The pages on methods point at what there is: functions, pictures, numbers and tables of the run, and each other."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/methods"
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md") if path.stem != "index"}


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
