"""The `evaluate` section."""

from typing import Annotated

from pydantic import Field

from latentbench.params.base import Section


class EvaluateParams(Section):
    """The `evaluate` section."""

    k_max: Annotated[int, Field(ge=1)]
    n_bootstrap: Annotated[int, Field(ge=100)]
    n_groups: Annotated[int, Field(ge=5)]
    raw_l1: bool
    importance_samples: Annotated[int, Field(ge=1, le=100_000)]
    bound_draws: Annotated[int, Field(ge=1)]
    features: str
    coverage_k: Annotated[int, Field(ge=1)]
    likelihood_images: Annotated[int, Field(ge=2)] | None
