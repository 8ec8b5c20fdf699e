"""All that this process and those that it starts print, into a file."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def into(path: Path) -> Iterator[None]:
    """Add what is printed to a file, all of it by the time that this ends or raises."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("ab") as room:
        os.dup2(room.fileno(), 1)
        os.dup2(room.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in enumerate(kept, start=1):
            os.dup2(copy, number)
            os.close(copy)
