"""The sections of autoencoders and VAEs: each row of `rows.ae` and `rows.vae` has one, named as the row."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from latentbench.params.base import Section
from latentbench.params.project import LatentDim
from latentbench.params.training import Training


class AutoencoderParams(Section):
    """An autoencoder: its architecture, with what that takes besides, and its recipe."""

    architecture: str
    options: dict[str, Any] = Field(default_factory=dict)
    latent_dim: LatentDim | None = None
    training: Training


class VAEParams(AutoencoderParams):
    """A VAE likewise; `latentbench.networks.likelihoods` says what the likelihoods are."""

    likelihood: Literal["bernoulli", "discretized_logistic"]
    beta: Annotated[float, Field(ge=0)]
    warmup_epochs: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _warm_up_ends(self) -> Self:
        if self.warmup_epochs >= self.training.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be below training.epochs ({self.training.epochs})"
            )
        return self
