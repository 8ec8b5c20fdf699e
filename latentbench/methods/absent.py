"""A row that is listed but cannot be made, because the images lack what it needs: it can do nothing."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np


class Method:
    """Nothing."""

    @classmethod
    def load(cls, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:  # noqa: ARG003
        """Return an instance."""
        return cls()
