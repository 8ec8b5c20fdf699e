"""Loops compiled by Numba, with as many threads as everything else, once for all clones on a machine."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import platformdirs
from numba.core.caching import UserWideCacheLocator

from latentbench import threads

_Function = TypeVar("_Function", bound=Callable[..., Any])


class ByContent(UserWideCacheLocator):
    """Caches compiled code in the user's cache folder, keyed by the content of the source file.

    Numba itself keys the cache by the file's location, so every clone, and every experiment in its own folder, would
    compile for some 20 seconds. If the folder is not writable, Numba's own choice applies.
    """

    def __init__(self, function: Callable[..., Any], path: str) -> None:
        super().__init__(function, path)  # type: ignore[no-untyped-call]
        content = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
        folder = platformdirs.user_cache_path("latentbench", appauthor=False)
        self._cache_path = str(folder / "compiled" / f"{Path(path).stem}-{content}")


def loop(**options: Any) -> Callable[[_Function], _Function]:
    """Return a decorator that has Numba compile a function on its first call, and cache the result.

    A loop may only call others in its own file: the cache is keyed by the content of that file.

    Args:
        options: for `numba.njit`.
    """

    def compile_later(function: _Function) -> _Function:
        before = numba.config.CACHE_LOCATOR_CLASSES  # type: ignore[attr-defined]
        if not before and not numba.config.CACHE_DIR:  # type: ignore[attr-defined]
            ours = f"{ByContent.__module__}.{ByContent.__qualname__}"
            numba.config.CACHE_LOCATOR_CLASSES = f"{ours},InTreeCacheLocator,UserWideCacheLocator"  # type: ignore[attr-defined]
        try:
            made: _Function = numba.njit(cache=True, **options)(function)
        finally:
            numba.config.CACHE_LOCATOR_CLASSES = before  # type: ignore[attr-defined]
        return made

    return compile_later


def use_threads() -> int:
    """Let compiled loops use as many threads as `threads.use` set, or all that Numba has; return how many."""
    allowed = threads.in_use()
    count: int = min(allowed, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(count)
    threads.use(allowed)  # when Numba starts its threads, it lets OpenMP, and so torch, use all cores
    return count
