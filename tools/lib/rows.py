"""What the params of a run say about the rows of its comparison: the family of each, and its recipe."""

from collections.abc import Iterable, Mapping
from typing import Any

from tools.lib.experiments import ExperimentError

_WITHOUT_CHANCE = ("pixels", "pca")  # families without randomness
_CODERS = ("ae", "vae")  # families with densities of their latents


def families(params: Mapping[str, Any]) -> dict[str, str]:
    """Return the family of each row that the params of a run list: the stage that makes it, such as "vae".

    Raises:
        ExperimentError: the run is older than the param `rows`.
    """
    listed = params.get("rows")
    if not isinstance(listed, Mapping):
        raise ExperimentError("params.yaml of that run has no rows: it was made by an older version of latentbench")
    return {row: family for family, rows in listed.items() for row in rows}


def family_of(row: str, params: Mapping[str, Any]) -> str:
    """Return the family of a row of the tables: that of `families`, or "pixels", "real", "guided" or "density".

    Raises:
        ExperimentError: the run has no such row, or is older than the param `rows`.
    """
    known = families(params)
    if row in known:
        return known[row]
    if row in ("raw", "raw_l1"):
        return "pixels"
    if row in ("real", "real_validation"):
        return "real"
    if row.removesuffix("_guided") in known:  # samples that follow classes
        return "guided"
    if known.get(coder_of(row) or "") in _CODERS:
        return "density"
    raise ExperimentError(f"params.yaml of that run lists no row {row}")


def coder_of(row: str) -> str | None:
    """Return the row to whose latents a density is fitted, such as "ae_dense" for "ae_dense+mixture"; else None."""
    coder, plus, _ = row.partition("+")
    return coder if plus else None


def of_family(family: str, rows: Iterable[str], params: Mapping[str, Any]) -> list[str]:
    """Return the rows that belong to a family, in their order."""
    return [row for row in rows if family_of(row, params) == family]


def is_drawn(row: str, params: Mapping[str, Any]) -> bool:
    """Return whether the seed affects how a row represents images; it affects all samples."""
    return family_of(row, params) not in _WITHOUT_CHANCE


def is_taught(row: str, params: Mapping[str, Any]) -> bool:
    """Return whether a row was trained with the labels that it is judged by: a ceiling, not a rival of the others."""
    return dict(params.get(row) or {}).get("method") == "supervised"


def of_param(key: str, rows: Iterable[str]) -> str | None:
    """Return the row in whose section a param is, by its dotted key; None if it is in no row's section."""
    section = key.split(".", maxsplit=1)[0]
    return section if section in set(rows) else None
