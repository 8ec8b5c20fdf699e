"""The estimators by name: `from latentbench.reduction import Isomap`, each imported when asked for."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentbench.reduction.isomap import Isomap
    from latentbench.reduction.pca import PCA
    from latentbench.reduction.umap import UMAP

__all__ = ["PCA", "UMAP", "Isomap"]
_MODULES = {"PCA": "pca", "UMAP": "umap", "Isomap": "isomap"}


def __getattr__(name: str) -> Any:
    """Return an estimator (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
