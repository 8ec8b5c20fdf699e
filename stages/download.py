"""Fetch the dataset that params.yaml names into data/raw: checked, and in one form whatever its format."""

from latentbench.data import datasets
from latentbench.params import dataset as descriptions
from latentbench.params.data import Data
from stages import lifecycle, paths


def main() -> None:
    """Run the stage."""
    with lifecycle.stage("download", timed=False) as view:
        datasets.obtain(descriptions.load(view.section(Data, "data").dataset), paths.RAW)


if __name__ == "__main__":
    main()
