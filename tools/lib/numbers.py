"""Numbers and tables of a run as text, for README and for the pages of the documentation: none is typed by hand.

A number is named `FILE#PLACE:FORMAT`: a JSON or CSV file below the project, the place in it, and Python's format. Dots
descend into JSON, as in `metrics/headline.json#frechet.pca:.1f`. In CSV a line is found by its first column, or by the
columns that identify it: `metrics/isomap/s_curve.csv#claim=noise,value=0.1.isomap:.3f`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from latentbench.core import artifacts
from latentbench.core.errors import LatentbenchError
from latentbench.evaluation import tables

MOST_COLUMNS = 8  # of a table that can still be read
_NAME = re.compile(r"(?P<file>[^#:]+)#(?P<place>[^:]+)(?::(?P<format>.*))?")


class NumberError(LatentbenchError):
    """The run does not have a number or a table that a page asks for."""


def number(root: Path, name: str) -> str:
    """Return a number of the run below `root`, by its name, as text.

    Raises:
        NumberError: the name is malformed, or there is no such number.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise NumberError(f"{name!r} is not the name of a number: FILE#ROW.KEY or FILE#ROW.KEY:FORMAT")
    value = _value(root, match["file"], match["place"])
    if isinstance(value, Mapping | list) or value is None or pd.isna(value):
        raise NumberError(f"{name}: this is not a single value but {value!r}")
    try:
        return format(value, match["format"] or "")
    except ValueError as error:
        raise NumberError(f"{name}: {error}") from error


def _value(root: Path, file: str, place: str) -> Any:
    path = root / file
    if path.suffix == ".csv":
        return _of_table(_read(path, artifacts.read_table), file, place)
    value: Any = _read(path, artifacts.read_json)
    for key in place.split("."):
        if not isinstance(value, Mapping) or key not in value:
            there = ", ".join(value) if isinstance(value, Mapping) else repr(value)
            raise NumberError(f"{file}#{place}: there is no {key!r}; there is {there}")
        value = value[key]
    return value


def _of_table(table: pd.DataFrame, file: str, place: str) -> Any:
    line, _, column = place.rpartition(".")
    given = dict(part.split("=", 1) for part in line.split(",")) if "=" in line else {str(table.columns[0]): line}
    missing = [name for name in (*given, column) if name not in table]
    if missing:
        raise NumberError(f"{file}#{place}: there is no column {missing[0]!r}; there are {', '.join(table.columns)}")
    fits = pd.Series(True, index=table.index)
    for name, text in given.items():
        fits &= table[name].map(_plain) == _plain(text)
    if fits.sum() != 1:
        raise NumberError(f"{file}#{place}: {fits.sum()} lines match {line!r}, not one")
    return table.loc[fits, column].iloc[0]


def _plain(value: object) -> str:
    """Return a cell so that 10, 10.0 and "10" are the same."""
    try:
        return f"{float(str(value)):g}"
    except ValueError:
        return str(value)


def _read(path: Path, read: Any) -> Any:
    try:
        return read(path)
    except artifacts.ArtifactError as error:
        raise NumberError(str(error)) from error


def table(
    root: Path, file: str, rows: Sequence[str] = (), columns: Sequence[str] = (), spec: str = ".4g"
) -> tables.Cells:
    """Return a part of a table of the run below `root`; `value [low, high]` where the value has an interval.

    Args:
        root: the project.
        file: a JSON file with a mapping for each row, or a CSV file.
        rows: names of rows, from the first column of a CSV file; all rows if empty.
        columns: if empty, all columns except the ends of intervals.
        spec: Python's format of numbers.

    Raises:
        NumberError: there is no such file, row or column, or there are too many columns.
    """
    path = root / file
    if path.suffix == ".csv":
        content = _read(path, artifacts.read_table)
    else:
        content = pd.DataFrame.from_dict(_read(path, artifacts.read_json), orient="index").rename_axis("row")
        content = content.reset_index()
    first = str(content.columns[0])
    shown = [first, *(columns or [name for name in content.columns[1:] if not name.endswith(("_lo", "_hi"))])]
    lines = {_plain(line[first]): line for line in content.to_dict("records")}
    kept = [_plain(row) for row in rows] or list(lines)
    for what, asked, there in (("row", kept, lines), ("column", shown, list(content.columns))):
        missing = [name for name in asked if name not in there]
        if missing:
            raise NumberError(f"{file}: there is no {what} {', '.join(missing)}; there are {', '.join(there)}")
    if len(shown) > MOST_COLUMNS:
        raise NumberError(f"{file}: {len(shown)} columns are too many, at most {MOST_COLUMNS} fit; name those to show")
    if not rows and len(lines) < len(content):
        return tables.Cells(shown, [_line(line, shown, spec) for line in content.to_dict("records")])
    return tables.Cells(shown, [_line(lines[row], shown, spec) for row in kept])


def _line(line: Mapping[Any, Any], columns: Sequence[str], spec: str) -> list[str]:
    cells = []
    for name in columns:
        text = _text(line[name], spec)
        low, high = (_text(line.get(f"{name}_{end}"), spec) for end in ("lo", "hi"))
        cells.append(f"{text} [{low}, {high}]" if text and low and high else text)
    return cells


def _text(value: object, spec: str) -> str:
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else format(value, spec)
    return str(value)
