"""Comparison tables for people."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import pandas as pd

V = TypeVar("V")
_ENDS = ("", "_lo", "_hi")


def ordered(values: Mapping[str, V], names: Sequence[str]) -> dict[str, V]:
    """Return values by name in the order of `names`, each followed by the ends of its interval, `_lo` and `_hi`.

    Raises:
        KeyError: there is a value that no name is for.
    """
    found = {f"{name}{end}": values[f"{name}{end}"] for name in names for end in _ENDS if f"{name}{end}" in values}
    if len(found) < len(values):
        raise KeyError(f"no place among the columns for {sorted(set(values) - set(found))}")
    return found


def markdown(table: pd.DataFrame) -> str:
    """Return a Markdown table: `x`, `x_lo` and `x_hi` share a cell, numbers have four significant digits."""
    columns = [name for name in table if not str(name).endswith(("_lo", "_hi"))]
    lines = ["| " + " | ".join(map(str, columns)) + " |", "|" + "---|" * len(columns)]
    for _, row in table.iterrows():
        lines.append("| " + " | ".join(_cell(row, str(name)) for name in columns) + " |")
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
