"""Read all stored outputs, and list every file that has changed since it was stored, by a bad disk or by hand.

DVC trusts a file in its cache that is read-only, and a file in the workspace whose time and size are unchanged. This
command trusts neither.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from dvc.repo import Repo

from latentbench.core import artifacts
from tools.lib import cache


def damaged_in_cache(kept: Path) -> Iterator[Path]:
    """Yield the files below `kept`, where DVC stores outputs by their hash, whose hash differs."""
    for path in sorted(kept.glob("??/*")):
        if cache.md5(path) != path.parent.name + path.name.removesuffix(cache.FOLDER):
            yield path


def damaged_outputs(outs: Mapping[Path, str], kept: Path) -> Iterator[Path]:
    """Yield the files of outputs in the workspace that differ from those that were stored.

    Args:
        outs: the hash of each output, from dvc.lock.
        kept: as for `damaged_in_cache`.
    """
    for out, known in outs.items():
        for path, expected in cache.files(out, known, kept):
            if path.is_file() and cache.md5(path) != expected:
                yield path


def main() -> None:
    """Check the outputs and the cache; if files are damaged, list them, say what to do, and exit with 1."""
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
        sys.exit(f"these files have changed since they were stored; remove them, then run 'dvc repro':\n{names}")


if __name__ == "__main__":
    main()
