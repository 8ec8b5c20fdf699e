"""The classifier by name: `from latentbench.neighbors import KNeighborsClassifier`, imported when asked for."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentbench.neighbors.knn import KNeighborsClassifier

__all__ = ["KNeighborsClassifier"]
_MODULES = {"KNeighborsClassifier": "knn"}


def __getattr__(name: str) -> Any:
    """Return the classifier (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
