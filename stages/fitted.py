"""What the stages fitted and trained, back from their files."""

from typing import Any

from latentbench import plugins
from latentbench.core import artifacts
from stages import paths


def load(row: str) -> Any:
    """Return the method of a row; what it can do, its protocols in `latentbench.methods.base` tell.

    Raises:
        ArtifactError: a file is missing or damaged.
        InputError: it is of a method that is not there.
        WeightsError: the weights are not of the network that is described beside them.
    """
    arrays, description = artifacts.read_model(paths.model(row))
    return plugins.load("latentbench.methods", description["method"]).Method.load(arrays, description)
