"""What the stages fitted and trained, loaded from their files."""

from typing import Any

from latentbench import plugins
from latentbench.core import artifacts
from stages import paths


def load(row: str) -> Any:
    """Return the method of a row; its protocols in `latentbench.methods.base` say what it can do.

    Raises:
        ArtifactError: a file is missing or damaged.
        InputError: its method does not exist.
        WeightsError: the weights do not fit the description saved beside them.
    """
    arrays, description = artifacts.read_model(paths.model(row))
    return plugins.load("latentbench.methods", description["method"]).Method.load(arrays, description)
