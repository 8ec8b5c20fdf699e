"""A row that is listed and cannot be there, as the images lack what it takes: it can do nothing, and nobody asks it."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np


class Method:
    """Nothing."""

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Return it."""
        return cls()
