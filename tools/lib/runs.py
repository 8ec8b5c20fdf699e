"""One run of the pipeline as the tools read it: its committed tables, and what it cost."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from latentbench.core import artifacts
from latentbench.core.errors import LatentbenchError
from latentbench.params import base
from tools.lib import rows

_STAGES = {"reductions": "reduce"}  # stages whose name differs from their list of rows
_TIMES = ("transform_s_per_1000", "knn_s_per_1000", "sample_s_per_1000")


class NotMeasuredError(LatentbenchError):
    """A run does not have this number."""


class CostsError(LatentbenchError):
    """Timings or outcomes of a run are missing; the message says how to get them."""


@dataclass(frozen=True)
class Score:
    """A number with its 95% interval; both ends equal the number if it has none."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"

    def above(self, other: "Score | float") -> bool:
        """Return whether it is larger even at the nearest ends of the intervals."""
        return self.low > (other if isinstance(other, float | int) else other.high)

    def below(self, other: "Score | float") -> bool:
        """Return whether it is smaller even at the nearest ends of the intervals."""
        return self.high < (other if isinstance(other, float | int) else other.low)


class Run:
    """A run, read from the files that it wrote.

    Args:
        root: of the project.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tables: dict[str, pd.DataFrame] = {}

    @cached_property
    def params(self) -> dict[str, Any]:
        """params.yaml."""
        content: dict[str, Any] = base.parse(artifacts.read_bytes(self.root / "params.yaml"))
        return content

    def table(self, name: str) -> pd.DataFrame:
        """Return a table below metrics/, such as "evaluate/generators".

        Raises:
            NotMeasuredError: the run has none.
        """
        if name not in self._tables:
            path = self.root / "metrics" / f"{name}.csv"
            if not path.exists():
                raise NotMeasuredError(f"there is no metrics/{name}.csv")
            self._tables[name] = artifacts.read_table(path)
        return self._tables[name]

    def score(self, name: str, of: str, /, **where: str | float) -> Score:
        """Return a score from the line of a table where columns have the given values.

        Raises:
            NotMeasuredError: there is no such table, column or line, or its cell is empty.
        """
        table = self.table(name)
        if "row" in where and "row" in table and not (table["row"] == where["row"]).any():
            raise NotMeasuredError(f"not measured: there is no row {where['row']} in metrics/{name}.csv")
        there = pd.Series(True, index=table.index)
        for column, value in where.items():
            there &= table[column] == value
        what = f"{of} of {', '.join(str(value) for value in where.values())} in metrics/{name}.csv"
        if of not in table or there.sum() != 1:
            raise NotMeasuredError(f"there is no {what}")
        line = table[there].iloc[0]
        ends = [float(line.get(f"{of}{end}", line[of])) for end in ("", "_lo", "_hi")]
        if math.isnan(ends[0]):
            raise NotMeasuredError(f"there is no {what}")
        return Score(*ends)

    def number(self, path: str, *keys: str) -> Score:
        """Return a number from a JSON file below metrics/, with its interval if `key_lo` and `key_hi` are beside it.

        Raises:
            NotMeasuredError: there is no such file or number.
        """
        file = self.root / "metrics" / path
        content: Any = artifacts.read_json(file) if file.exists() else {}
        *outer, last = keys
        for key in outer:
            content = content.get(key, {})
        if last not in content:
            raise NotMeasuredError(f"there is no {' '.join(keys)} in metrics/{path}")
        return Score(*(float(content.get(f"{last}{end}", content[last])) for end in ("", "_lo", "_hi")))

    def rows(self) -> list[str]:
        """Return the rows of the comparison, representations first."""
        names = ("evaluate/representations", "evaluate/generators")
        return list(dict.fromkeys(row for name in names for row in self.table(name)["row"]))

    def of_family(self, family: str, name: str = "evaluate/generators") -> list[str]:
        """Return the rows of a family in a table, in its order.

        Raises:
            NotMeasuredError: there is no such table, or no such row in it.
        """
        found = rows.of_family(family, self.table(name)["row"], self.params)
        if not found:
            raise NotMeasuredError(f"not measured: there is no row of the family {family} in metrics/{name}.csv")
        return found

    @cached_property
    def costs(self) -> pd.DataFrame:
        """What each row of the comparison took: seconds to fit, represent, classify and generate, and memory.

        Raises:
            CostsError: a timing is missing.
        """
        folder = self.root / "data" / "timing"
        times = self._timing(folder / "costs.json")
        lines = []
        for row in self.rows():
            line: dict[str, Any] = {"row": row}
            if row in self.timings:
                stage, _ = self.timings[row]
                timing = self._timing(folder / f"{stage}.json")
                line["fit_s"] = self._fit_s(row)
                line["stage_s"], line["peak_memory_mib"] = timing["seconds"], timing["peak_memory_mib"]
            line |= {name: times[row][name] for name in _TIMES if name in times.get(row, {})}
            lines.append(line)
        table = pd.DataFrame(lines).reindex(columns=["row", "fit_s", "stage_s", "peak_memory_mib", *_TIMES])
        return table[table.drop(columns="row").notna().any(axis="columns")]

    @cached_property
    def timings(self) -> dict[str, tuple[str, str]]:
        """For each row, the timing files, without their ending, of the stage that fits it and of the fit alone.

        They are the same if the stage does nothing else.
        """
        found = {}
        for row, family in rows.families(self.params).items():
            whole, fit = f"{_STAGES.get(family, family)}@{row}", f"fit@{row}"
            has_fit = (self.root / "data/timing" / f"{fit}.json").exists()
            found[row] = (whole, fit if has_fit else whole)
        for row in self.rows():
            coder = rows.coder_of(row)
            if coder is not None:
                found[row] = (f"density_{rows.family_of(coder, self.params)}@{coder}", f"densities@{coder}")
        return found

    def _fit_s(self, row: str) -> float:
        """Return the seconds to fit a row; a density also needs the network to whose latents it is fitted."""
        timing, coder = self._timing(self.root / "data/timing" / f"{self.timings[row][1]}.json"), rows.coder_of(row)
        if coder is None:
            return float(timing["seconds"])
        return self._fit_s(coder) + float(timing[row.removeprefix(f"{coder}+")])

    def model_bytes(self, row: str) -> int:
        """Return the size of the file with the fitted model of a row.

        Raises:
            CostsError: it is missing.
        """
        path = self.root / "data" / "models" / row.removesuffix("_guided") / "model.safetensors"
        self.check_there(path)
        return path.stat().st_size

    def cost(self, row: str, name: str) -> Score:
        """Return a cost of a row.

        Raises:
            CostsError: the timings are missing.
            NotMeasuredError: the row has no such cost.
        """
        known = self.costs.set_index("row")[name].dropna().to_dict() if name in self.costs else {}
        if row not in known:
            raise NotMeasuredError(f"there is no {name} of {row} in data/timing")
        return Score(*[float(known[row])] * 3)

    @staticmethod
    def check_there(path: Path) -> None:
        """Refuse a run that lacks a file which git does not store.

        Raises:
            CostsError: it is missing; the message says how to get it.
        """
        if not path.exists():
            raise CostsError(
                f"{path.as_posix()} is missing, and git does not store it: 'dvc checkout' restores the files of this "
                "commit from DVC's cache ('dvc pull' from a remote), 'make repro' makes them"
            )

    @classmethod
    def _timing(cls, path: Path) -> dict[str, Any]:
        cls.check_there(path)
        return artifacts.read_json(path)
