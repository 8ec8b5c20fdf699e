"""Read all stored outputs, and name each file that is not what was stored: a disk or a hand has changed it.

DVC trusts a file of its cache that is marked as read-only, and a file of the workspace whose time and size are as they
were. This trusts neither.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from dvc.repo import Repo

from latentbench.core import artifacts
from tools.lib import cache


def damaged_in_cache(kept: Path) -> Iterator[Path]:
    """Yield the files below `kept`, where DVC keeps outputs by their hash, that have another."""
    for path in sorted(kept.glob("??/*")):
        if cache.md5(path) != path.parent.name + path.name.removesuffix(cache.FOLDER):
            yield path


def damaged_outputs(outs: Mapping[Path, str], kept: Path) -> Iterator[Path]:
    """Yield the files of outputs that are there, and are not those that were stored.

    Args:
        outs: the hash of each output, as dvc.lock has it.
        kept: as for `damaged_in_cache`.
    """
    for out, known in outs.items():
        for path, expected in cache.files(out, known, kept):
            if path.is_file() and cache.md5(path) != expected:
                yield path


def main() -> None:
    """Check the outputs and the cache; exit with 1, the damaged files and what to do where there are any."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with Repo() as repo:
        kept = Path(repo.cache.local.path)
        outs = {Path(out.fs_path): out.hash_info.value for out in repo.index.outs if out.hash_info}
    try:
        found = [*damaged_outputs(outs, kept), *damaged_in_cache(kept)]
    except artifacts.ArtifactError as error:
        sys.exit(str(error))
    if found:
        names = "\n".join(f"  {path}" for path in found)
        sys.exit(f"these files have changed since they were stored; remove them, then 'dvc repro':\n{names}")


if __name__ == "__main__":
    main()
