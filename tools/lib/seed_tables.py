"""What `make seeds` wrote, as other commands read it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

SHOWN = ("knn_accuracy", "mse", "frechet", "bits_per_dim")


def are_of_run(values: pd.DataFrame, row: str, seed: int, truth: Mapping[str, float]) -> bool:
    """Return whether values are of a run's params and code: under its seed they say of a row what the run says.

    Scores follow from params and code, and others have others.

    Args:
        values: of each seed, a line each: seed, judge, row, score, value.
        row: of the comparison.
        seed: of the run.
        truth: the scores that the run has of the row, of which one at least must be among the values.
    """
    own = values[(values["row"] == row) & (values["seed"] == seed) & values["score"].isin(list(truth))]
    expected = own["score"].map(dict(truth)).to_numpy(dtype=float)
    return len(own) > 0 and bool(np.allclose(own["value"], expected, rtol=2e-6, atol=0))


def side_by_side(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the scores to show first, a line for each row and a column for each score and its ends."""
    wide = {
        f"{score}{end}": summary[summary["score"] == score].set_index("row")[name]
        for score in SHOWN
        for name, end in (("mean", ""), ("lo", "_lo"), ("hi", "_hi"))
    }
    rows = list(dict.fromkeys(summary["row"]))
    table = pd.DataFrame(wide).reindex(rows)
    return table.dropna(how="all").dropna(axis="columns", how="all").rename_axis("row").reset_index()
