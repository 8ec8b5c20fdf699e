"""What `make seeds` wrote, as other commands read it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

SHOWN = ("knn_accuracy", "mse", "frechet", "bits_per_dim")


def are_of_run(values: pd.DataFrame, row: str, seed: int, truth: Mapping[str, float]) -> bool:
    """Return whether values belong to a run's params and code: for its seed, they must equal the run's scores of a row.

    Other params or code give other scores.

    Args:
        values: of each seed, a line each: seed, judge, row, score, value.
        row: of the comparison.
        seed: of the run.
        truth: the run's scores of the row, of which at least one must be among the values.
    """
    own = values[(values["row"] == row) & (values["seed"] == seed) & values["score"].isin(list(truth))]
    expected = own["score"].map(dict(truth)).to_numpy(dtype=float)
    return len(own) > 0 and bool(np.allclose(own["value"], expected, rtol=2e-6, atol=0))


def side_by_side(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the main scores, with a line for each row and columns for each score and the ends of its interval."""
    wide = {
        f"{score}{end}": summary[summary["score"] == score].set_index("row")[name]
        for score in SHOWN
        for name, end in (("mean", ""), ("lo", "_lo"), ("hi", "_hi"))
    }
    rows = list(dict.fromkeys(summary["row"]))
    table = pd.DataFrame(wide).reindex(rows)
    return table.dropna(how="all").dropna(axis="columns", how="all").rename_axis("row").reset_index()
