"""The `classifier` section."""

from typing import Annotated

from pydantic import Field

from latentbench.params.base import Section
from latentbench.params.training import Training


class ClassifierParams(Section):
    """The `classifier` section."""

    seed: Annotated[int, Field(ge=0)]
    training: Training
