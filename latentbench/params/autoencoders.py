"""The `ae` and `vae` sections: one subsection for each preset."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from latentbench.params.base import Section
from latentbench.params.training import Training


class Preset(Section):
    """One network of the `ae` section."""

    training: Training


class AutoencoderParams(Section):
    """The `ae` section."""

    dense: Preset
    conv: Preset
    residual: Preset


class VAEPreset(Section):
    """One network of the `vae` section; `latentbench.networks.likelihoods` says what the likelihoods are."""

    likelihood: Literal["bernoulli", "discretized_logistic"]
    beta: Annotated[float, Field(ge=0)]
    warmup_epochs: Annotated[float, Field(ge=0)]
    training: Training

    @model_validator(mode="after")
    def _warm_up_ends(self) -> Self:
        if self.warmup_epochs >= self.training.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be below training.epochs ({self.training.epochs})"
            )
        return self


class VAEParams(Section):
    """The `vae` section."""

    dense: VAEPreset
    conv: VAEPreset
    residual: VAEPreset
