"""Trained networks back from the files that the training stages wrote."""

from latentbench import artifacts
from latentbench.networks import autoencoders, vaes, weights
from latentbench.networks.autoencoders import Autoencoder
from latentbench.networks.classifier import Classifier
from latentbench.networks.vaes import VAE
from stages import paths


def load_coder(row: str) -> Autoencoder | VAE:
    """Return the autoencoder or VAE of a row, such as "ae_dense", in evaluation mode."""
    arrays, description = artifacts.read_model(paths.model(row))
    family = {"ae": autoencoders, "vae": vaes}[row.split("_", maxsplit=1)[0]]
    network: Autoencoder | VAE = family.build(**description["network"])
    weights.load(network, arrays)
    return network


def load_classifier() -> Classifier:
    """Return the reference classifier, in evaluation mode."""
    arrays, description = artifacts.read_model(paths.model("classifier"))
    network = Classifier(**description["network"])
    weights.load(network, arrays)
    return network
