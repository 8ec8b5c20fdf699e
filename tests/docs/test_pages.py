"""The documentation is right where a machine can tell: its links, its numbers, its commands."""

import copy
import importlib
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.cli import parse_args

from latentbench.params import file
from tests.docs import pages
from tools.lib import filled, params_notes, pipeline
from tools.lib.experiments import read_value

PROGRAMS = {"git", "make", "dvc", "python", "python3", "pip", ".venv/bin/pip", "source", "sbatch", "torchrun"}


@pytest.fixture(scope="module")
def texts(root: Path) -> dict[Path, str]:
    """Return every page by its path."""
    return {path: path.read_text(encoding="utf-8") for path in pages.found(root)}


@pytest.fixture(scope="module")
def commands(texts: dict[Path, str]) -> list[tuple[str, list[str]]]:
    """Return every command of the pages, with the name of its page."""
    return [(path.name, words) for path, text in texts.items() for words in pages.commands(text)]


def test_every_link_and_picture_leads_somewhere(texts: dict[Path, str]) -> None:
    wrong, n_checked = [], 0
    for path, text in texts.items():
        for target in pages.links(text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            there = (path.parent / name).resolve() if name else path
            n_checked += 1
            if not there.exists():
                wrong.append(f"{path.name}: {target}")
            elif anchor and there.suffix == ".md" and anchor not in pages.anchors(there.read_text(encoding="utf-8")):
                wrong.append(f"{path.name}: {target} has no such heading")
    assert n_checked > 100
    assert wrong == []


def test_every_page_is_in_one_table_of_contents(root: Path) -> None:
    listed = Counter[Path]()
    for path in pages.of_the_site(root):
        for directive in pages.fences(path.read_text(encoding="utf-8"), "{toctree}"):
            for line in directive.splitlines():
                if line.strip() and not line.startswith(":"):
                    entries = path.parent.glob(f"{line}.md") if "*" in line else [path.parent / f"{line}.md"]
                    listed.update(entry.resolve() for entry in entries if entry.resolve() != path.resolve())
    expected = {path.resolve() for path in pages.of_the_site(root)} - {(root / "docs/index.md").resolve()}
    assert {path for path, n in listed.items() if n > 1} == set()
    assert set(listed) >= expected
    assert [path for path in listed if not path.is_file()] == []


def test_no_number_of_a_row_is_typed_by_hand(texts: dict[Path, str], root: Path) -> None:
    """A line of a Markdown table that begins with a row's name is a copy that grows old."""
    rows = {row for listed in yaml.safe_load((root / "params.yaml").read_text())["rows"].values() for row in listed}
    typed = [
        f"{path.name}: {line[:60]}"
        for path, text in texts.items()
        if path.name != "datasets.md"  # runs of other datasets, which are not committed
        for line in pages.without_code(filled.unfilled(text)).splitlines()
        if (match := re.match(r"\| *`?(\w+)`? *\|", line)) and match[1] in rows and re.search(r"\d\.\d", line)
    ]
    assert typed == []


def test_every_function_that_a_page_names_is_there(texts: dict[Path, str]) -> None:
    named = {
        name
        for text in texts.values()
        for kind in ("py:func", "py:class", "py:mod", "py:meth")
        for name in pages.roles(text, kind)
    }
    assert len(named) > 8
    for name in named:
        full = re.sub(r".*<|>$", "", name).lstrip("~")
        parts = full.split(".")
        for n in range(len(parts), 0, -1):
            try:
                found: Any = importlib.import_module(".".join(parts[:n]))
            except ModuleNotFoundError:
                continue
            break
        for part in parts[n:]:
            assert hasattr(found, part), full
            found = getattr(found, part)


def test_every_command_is_one(root: Path, commands: list[tuple[str, list[str]]]) -> None:
    assert len(commands) > 50
    assert {f"{page}: {words[0]}" for page, words in commands if words[0] not in PROGRAMS} == set()
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    engine = re.search(r"^ENGINE_OPTIONS = ((?:.*\\\n)*.*)", makefile, re.MULTILINE)
    assert engine
    for page, (program, *words) in commands:
        told = f"{page}: {program} {' '.join(words)}"
        if program == "make":
            target, *given = words
            assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), told
            recipe = re.search(rf"^{re.escape(target)}:.*\n((?:\t.*\n)*)", makefile, re.MULTILINE)
            assert recipe, told
            used = recipe[1].replace("$(ENGINE_OPTIONS)", engine[1])
            assert all(f"$({setting.partition('=')[0]})" in used for setting in given), told
        elif program == "dvc":
            parse_args([re.sub(r"<\w+>", "a", word) for word in words])  # ends the process where it is none
        elif program == "python" and words[0] == "-m":
            importlib.import_module(words[1])


def settings(program: str, words: list[str]) -> list[str]:
    """Return what a command sets params to, KEY=VALUE each."""
    if program == "dvc" and words[:2] == ["exp", "run"]:
        return [value for flag, value in pairwise(words) if flag in ("-S", "--set-param")]
    if program == "make":
        given = dict(word.split("=", 1) for word in words[1:])
        return [each for name in ("SET", "GRID") for each in given.get(name, "").split()]
    return []


def test_every_param_that_a_command_sets_may_have_that_value(root: Path, commands: list[tuple[str, list[str]]]) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    content["ae_shallow"] = content["ae_dense"]  # the row that a page has the reader add
    known, n_checked = dict(pipeline.leaves(content)), 0
    for page, (program, *words) in commands:
        for setting in settings(program, words):
            key, _, text = setting.partition("=")
            assert key in known, f"{page}: {setting}"
            for value in [text] if text[:1] in "[{" else text.split(","):
                changed = copy.deepcopy(content)
                *sections, name = key.split(".")
                section = changed
                for each in sections:
                    section = section[each]
                section[name] = read_value(key, value)
                file.check(changed)
                n_checked += 1
    assert n_checked > 15


def test_every_param_has_a_sentence(root: Path) -> None:
    path = root / "params.yaml"
    for key, _ in pipeline.leaves(yaml.safe_load(path.read_text(encoding="utf-8"))):
        place = key.partition(".")[2] or key
        sentence = params_notes.of_param(path, key, place)
        assert sentence is not None, f"{key}: a comment beside it in params.yaml, please"
        assert sentence[0].isupper() or not sentence[0].isalpha(), key
        assert sentence.endswith("."), key


def test_a_comment_of_params_is_found_from_other_sections(root: Path) -> None:
    path = root / "params.yaml"
    first = params_notes.of_param(path, "classifier.training.batch_size", "training.batch_size")
    assert first == "Images in each step."
    assert params_notes.of_param(path, "diffusion.large.training.batch_size", "large.training.batch_size") == first
    assert params_notes.of_param(path, "ae_dense.nothing", "nothing") is None
