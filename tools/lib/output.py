"""Send everything that this process and its child processes print to a file."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def into(path: Path) -> Iterator[None]:
    """Append everything that is printed to a file; it is complete when the block ends or raises."""
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
