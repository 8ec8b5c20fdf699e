"""The sections of autoencoders and VAEs: each row of `rows.ae` and `rows.vae` has one, named after the row."""

from typing import Annotated, Any, Literal

from pydantic import Field

from latentbench.params.base import Section
from latentbench.params.project import LatentDim
from latentbench.params.training import Training


class AutoencoderParams(Section):
    """An autoencoder: its architecture with its options, and its recipe."""

    architecture: str
    options: dict[str, Any] = Field(default_factory=dict)
    latent_dim: LatentDim | None = None
    training: Training


class VAEParams(AutoencoderParams):
    """The same for a VAE; `latentbench.networks.likelihoods` explains the likelihoods."""

    likelihood: Literal["bernoulli", "discretized_logistic", "autoregressive_logistic"]
    beta: Annotated[float, Field(ge=0)]
    beta_warmup_share: Annotated[float, Field(ge=0, lt=1)]
    total_correlation: Annotated[float, Field(ge=0)] = 1.0
