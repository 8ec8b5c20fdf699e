"""Join the results of each latent space: how confident the classifier is on the paths between test images."""

import pandas as pd

from latentbench.core import artifacts
from latentbench.params.rows import Rows
from stages import leftovers, lifecycle, paths


def main() -> None:
    """Run the stage."""
    with lifecycle.stage("latent_explore") as view:
        leftovers.remove()
        rows = view.section(Rows, "rows").coders()
        tables = {
            row: artifacts.read_table(paths.METRICS / "latent_explore" / row / "interpolation.csv") for row in rows
        }
        joined = [table.assign(row=row)[["row", *table]] for row, table in tables.items()]
        columns = ["row", "share", "straight_confidence", "spherical_confidence"]
        whole = pd.concat(joined) if joined else pd.DataFrame(columns=columns)
        artifacts.write_table(paths.METRICS / "interpolation.csv", whole[columns])


if __name__ == "__main__":
    main()
