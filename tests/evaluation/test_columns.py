"""Every column of a committed comparison is known: what it means, which way is better, whether it has an interval."""

import json
import re
from pathlib import Path

import pytest

from latentbench.evaluation import columns
from latentbench.evaluation.columns import Column
from tests.imports import imported_modules


def columns_of(path: Path) -> list[str]:
    """Return the names in a committed JSON file that holds numbers by row, in which nothing else can be."""
    rows: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
    return list(dict.fromkeys(name for scores in rows.values() for name in scores))


def test_every_comparison_is_registered(root: Path) -> None:
    committed = {path.stem for path in (root / "metrics" / "evaluate").glob("*.json")}
    assert committed == set(columns.COMPARISONS)


@pytest.mark.parametrize("table", columns.COMPARISONS)
def test_every_committed_column_is_registered(root: Path, table: str) -> None:
    path = root / "metrics" / "evaluate" / f"{table}.json"
    found = columns_of(path)
    known = {column.name: column for column in columns.COMPARISONS[table]}
    plain = {name for name in found if not name.endswith(("_lo", "_hi"))}
    assert plain <= set(known), "say in latentbench/evaluation/columns.py what they mean"
    numbers = {name for name, column in known.items() if column.kind != "word"}
    assert numbers == plain, "there is a sentence for what no table has"
    for name in plain:
        assert known[name].interval == (f"{name}_lo" in found) == (f"{name}_hi" in found), name
    header = path.with_suffix(".csv").read_text(encoding="utf-8").split("\n", maxsplit=1)[0].split(",")
    assert [name for name in header[1:] if not name.endswith(("_lo", "_hi"))] == list(known), "the order is another"


def test_what_a_training_writes_is_registered(root: Path) -> None:
    files = [path.parent / "metrics.json" for path in (root / "metrics").glob("*/loss.csv")]
    assert len(files) > 3
    written = {name for path in files for name in json.loads(path.read_text(encoding="utf-8"))}
    off = {"validation_total_correlation", "validation_commitment", "codes_used_share", "code_perplexity"}
    off |= {"bits_per_image"}  # of rows that the committed run does not list
    assert written <= set(columns.names(columns.TRAINING)) <= written | off


@pytest.mark.parametrize("column", columns.BY_NAME.values(), ids=lambda column: column.name)
def test_a_column_has_one_sentence_and_a_direction_or_none(column: Column) -> None:
    assert column.sentence[0].isupper()
    assert column.sentence.endswith(".")
    assert ". " not in column.sentence
    assert not re.search(r"(higher|lower|more|less) is better", column.sentence), "the direction says it"
    assert column.better in {"higher", "lower", None}
    assert column.kind == "score" or column.better is None
    told = f"; {column.better} is better."
    assert column.meaning.endswith(told) == (column.better is not None)


def test_directions_of_scores_that_everybody_knows() -> None:
    known = {"knn_accuracy": "higher", "ssim": "higher", "mse": "lower", "frechet": "lower", "bits_per_dim": "lower"}
    assert {name: columns.better(name) for name in known} == known
    assert columns.better("density") is columns.better("kl_nats") is columns.better("what nobody knows") is None


def test_a_name_means_the_same_wherever_it_stands() -> None:
    by_name: dict[str, set[tuple[object, ...]]] = {}
    for table in columns.COMPARISONS.values():
        for column in table:
            by_name.setdefault(column.name, set()).add((column.better, column.kind, column.interval))
    assert [name for name, kinds in by_name.items() if len(kinds) > 1] == []


def test_it_imports_nothing_but_the_standard_library(root: Path) -> None:
    imported = imported_modules(root / "latentbench" / "evaluation" / "columns.py")
    assert {name.split(".")[0] for name in imported} == {"collections", "dataclasses", "typing"}
