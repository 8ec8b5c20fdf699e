"""The reference classifier back from the files that its stage wrote."""

from latentbench.core import artifacts
from latentbench.networks import weights
from latentbench.networks.classifier import Classifier
from stages import paths


def load() -> Classifier:
    """Return it in evaluation mode.

    Raises:
        ArtifactError: a file is missing or damaged.
        WeightsError: the weights are not of the network that is described beside them.
    """
    arrays, description = artifacts.read_model(paths.model("classifier"))
    network = Classifier(**description["network"])
    weights.load(network, arrays)
    return network
