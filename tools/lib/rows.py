"""What the tools tell of a row of the comparisons by its name: its family, and its params."""

from collections.abc import Iterable, Mapping
from typing import Any

_WITHOUT_CHANCE = ("pixels", "pca")  # families in which nothing is drawn at random


def family_of(row: str) -> str:
    """Return the family of a row: "pixels", "pca", "isomap", "ae", "vae", "diffusion", "guided" or "real".

    All that the tools tell by a family asks here. For now the name begins with it; a name that begins otherwise is its
    own family.
    """
    if row.endswith("_guided"):  # samples that follow classes, of another row
        return "guided"
    first = row.split("_", maxsplit=1)[0]
    return "pixels" if first == "raw" else first


def of_family(family: str, rows: Iterable[str]) -> list[str]:
    """Return those of some rows that are of a family, in their order."""
    return [row for row in rows if family_of(row) == family]


def is_drawn(row: str) -> bool:
    """Return whether a seed bears on how a row represents images; it bears on all samples."""
    return family_of(row) not in _WITHOUT_CHANCE


def params_of(row: str, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the section of params.yaml that a row stands in, such as `vae.dense` for "vae_dense"; None without one."""
    if isinstance(params.get(row), Mapping):
        return params[row]  # type: ignore[no-any-return]
    family, _, preset = row.partition("_")
    section = params.get(family)
    found = section.get(preset) if isinstance(section, Mapping) else None
    return found if isinstance(found, Mapping) else None


def of_param(key: str, rows: Iterable[str]) -> str | None:
    """Return the row in whose section a param stands, by its dotted key; None where it is of no row."""
    parts = key.split(".")
    return next((row for row in rows if row in {parts[0], "_".join(parts[:2])}), None)
