"""Comparison tables for people: the text of their cells, and Markdown of it. HTML pages show the same cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from latentbench.evaluation.columns import KEPT

V = TypeVar("V")
_ENDS = ("", "_lo", "_hi")


def ordered(values: Mapping[str, V], names: Sequence[str]) -> dict[str, V]:
    """Return values by name in the order of `names`, each followed by the ends of its interval, `_lo` and `_hi`.

    Raises:
        KeyError: a value has no matching name.
    """
    found = {f"{name}{end}": values[f"{name}{end}"] for name in names for end in _ENDS if f"{name}{end}" in values}
    if len(found) < len(values):
        raise KeyError(f"no place among the columns for {sorted(set(values) - set(found))}")
    return found


@dataclass(frozen=True)
class Cells:
    """What a table shows, as text.

    Attributes:
        columns: their names, m of them.
        rows: n rows of m cells; "" where there is no value.
    """

    columns: list[str]
    rows: list[list[str]]


def cells(table: pd.DataFrame) -> Cells:
    """Return the cells of a table: `x`, `x_lo` and `x_hi` share one, numbers have four significant digits."""
    columns = [str(name) for name in table if not str(name).endswith(("_lo", "_hi"))]
    return Cells(columns, [[_cell(row, name) for name in columns] for _, row in table.iterrows()])


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown; for representations two, the second on how well they keep the layout in pixels."""
    kept = [name for name in table if str(name).removesuffix("_lo").removesuffix("_hi") in KEPT]
    others = [name for name in table if name not in kept]
    if "row" not in others or not kept or len(others) == 1:
        return _markdown(table)
    second = table.loc[table[kept].notna().any(axis=1), ["row", *kept]]
    return f"{_markdown(table[others])}\n{_markdown(second)}"


def _markdown(table: pd.DataFrame) -> str:
    shown = cells(table)
    lines = ["| " + " | ".join(shown.columns) + " |", "|" + "---|" * len(shown.columns)]
    lines += ["| " + " | ".join(row) + " |" for row in shown.rows]
    return "\n".join(lines) + "\n"


def _cell(row: pd.Series, name: str) -> str:
    value = _text(row[name])
    if f"{name}_lo" in row and value:
        value += f" ({_text(row[f'{name}_lo'])} to {_text(row[f'{name}_hi'])})"
    return value


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
    return str(value)
