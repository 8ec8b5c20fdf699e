"""The `data` section: which images to compare on, and how to split them."""

from typing import Annotated

from pydantic import Field

from latentbench.params.base import Section


class Data(Section):
    """The `data` section."""

    dataset: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    train_size: Annotated[int, Field(ge=100)] | None
    test_size: Annotated[int, Field(gt=100)] | None  # twice the largest neighbourhood that evaluate looks at
    validation_share: Annotated[float, Field(gt=0, lt=1)]
    test_share: Annotated[float, Field(gt=0, lt=1)]
    split_seed: Annotated[int, Field(ge=0)]
