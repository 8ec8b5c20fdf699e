"""The `ae` and `vae` sections: one subsection for each preset."""

from typing import Annotated

from pydantic import Field

from latentbench.params.base import Section
from latentbench.params.training import Training


class Preset(Section):
    """One network of the `ae` or the `vae` section."""

    training: Training


class AutoencoderParams(Section):
    """The `ae` section."""

    dense: Preset
    conv: Preset


class VAEParams(Section):
    """The `vae` section."""

    beta: Annotated[float, Field(ge=0)]
    dense: Preset
    conv: Preset
