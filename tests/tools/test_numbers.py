"""Numbers of a run by their names, and parts of its tables."""

import json
from pathlib import Path

import pytest

from tools.lib import numbers


@pytest.fixture
def run(tmp_path: Path) -> Path:
    scores = {
        "pca": {"dims": 64, "mse": 0.0103682, "accuracy": 0.8629, "accuracy_lo": 0.8561, "accuracy_hi": 0.8693},
        "raw": {"dims": 784, "accuracy": 0.8597, "accuracy_lo": 0.8527, "accuracy_hi": 0.8666},
    }
    (tmp_path / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    table = "claim,value,isomap\nneighbors,35,0.999994\nnoise,0.05,0.9998\nnoise,0.1,0.9887\n"
    (tmp_path / "sheets.csv").write_text(table, encoding="utf-8")
    (tmp_path / "kept.csv").write_text("strength,share\n0.2,0.99\n0.4,0.905\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("scores.json#pca.accuracy:.3f", "0.863"),
        ("scores.json#pca.accuracy:.1%", "86.3%"),
        ("scores.json#pca.dims", "64"),
        ("kept.csv#0.4.share:.0%", "90%"),
        ("sheets.csv#claim=noise,value=0.1.isomap:.2f", "0.99"),
        ("sheets.csv#neighbors.value", "35.0"),
    ],
)
def test_a_number_is_found_by_its_name(run: Path, name: str, text: str) -> None:
    assert numbers.number(run, name) == text


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("scores.json", "FILE#ROW.KEY"),
        ("scores.json#isomap.mse", "there is no 'isomap'; there is pca, raw"),
        ("scores.json#raw.mse", "there is no 'mse'"),
        ("scores.json#pca", "not a single value"),
        ("scores.json#pca.mse:.4z", "Unknown format"),
        ("sheets.csv#noise.isomap", "2 lines match"),
        ("sheets.csv#claim=noise,value=7.isomap", "0 lines match"),
        ("sheets.csv#neighbors.pca", "there is no column 'pca'"),
        ("none.json#a.b", "none.json"),
    ],
)
def test_a_number_that_is_not_there_is_an_error_that_says_what_is(run: Path, name: str, told: str) -> None:
    with pytest.raises(numbers.NumberError, match=told):
        numbers.number(run, name)


def test_a_table_shows_rows_and_columns_in_the_order_asked_for_with_intervals(run: Path) -> None:
    cells = numbers.table(run, "scores.json", rows=["raw", "pca"], columns=["accuracy", "mse"], spec=".3f")
    assert cells.columns == ["row", "accuracy", "mse"]
    assert cells.rows == [["raw", "0.860 [0.853, 0.867]", ""], ["pca", "0.863 [0.856, 0.869]", "0.010"]]


def test_a_whole_table_leaves_the_ends_of_intervals_to_their_column(run: Path) -> None:
    assert numbers.table(run, "scores.json").columns == ["row", "dims", "mse", "accuracy"]
    assert len(numbers.table(run, "sheets.csv").rows) == 3  # of which two have the same name


@pytest.mark.parametrize(
    ("asked", "told"),
    [({"rows": ["isomap"]}, "no row isomap"), ({"columns": ["ssim"]}, "no column ssim"), ({}, "at most 8 fit")],
)
def test_a_table_that_cannot_be_shown_is_an_error(run: Path, asked: dict[str, list[str]], told: str) -> None:
    wide = {"a": {f"column_{number}": 1 for number in range(9)}}
    (run / "wide.json").write_text(json.dumps(wide), encoding="utf-8")
    with pytest.raises(numbers.NumberError, match=told):
        numbers.table(run, "wide.json", **asked)
