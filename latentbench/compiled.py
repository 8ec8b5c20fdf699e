"""Loops compiled by Numba, on as many threads as all else, and once for all copies of the project on a machine."""

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
    """Keeps what was compiled in the user's cache folder, by the content of the source file.

    Numba itself keeps it by where the file is, so that every clone, and every experiment in a folder of its own, would
    compile for some 20 seconds. Where the folder cannot be written, Numba's own choice stands.
    """

    def __init__(self, function: Callable[..., Any], path: str) -> None:
        super().__init__(function, path)  # type: ignore[no-untyped-call]
        content = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
        folder = platformdirs.user_cache_path("latentbench", appauthor=False)
        self._cache_path = str(folder / "compiled" / f"{Path(path).stem}-{content}")


def loop(**options: Any) -> Callable[[_Function], _Function]:
    """Return a decorator that has Numba compile a function when it is first called, and keep the result.

    A loop may call others of its own file alone: what is kept is known by the content of that.

    Args:
        options: of `numba.njit`.
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
    """Let compiled loops use the threads that `threads.use` set, as far as there are; return how many."""
    allowed = threads.in_use()
    count: int = min(allowed, numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    numba.set_num_threads(count)
    threads.use(allowed)  # as Numba starts its threads, it lets OpenMP, and so torch, use all cores
    return count
