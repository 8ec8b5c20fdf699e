"""Read all stored outputs, and name each file that is not what was stored: a disk or a hand has changed it.

DVC trusts a file of its cache that is marked as read-only, and a file of the workspace whose time and size are as they
were. This trusts neither.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from dvc.repo import Repo

from latentbench import artifacts

_FOLDER = ".dir"  # ends the hash of a folder, which is that of a list of its files


def md5(path: Path) -> str:
    """Return the hash of a file by which DVC names it.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise artifacts.ArtifactError(f"cannot read {path}: {error}") from error


def damaged_in_cache(cache: Path) -> Iterator[Path]:
    """Yield the files below `cache`, where DVC keeps outputs by their hash, that have another."""
    for path in sorted(cache.glob("??/*")):
        if md5(path) != path.parent.name + path.name.removesuffix(_FOLDER):
            yield path


def damaged_outputs(outs: Mapping[Path, str], cache: Path) -> Iterator[Path]:
    """Yield the files of outputs that are there, and are not those that were stored.

    Args:
        outs: the hash of each output, as dvc.lock has it.
        cache: as for `damaged_in_cache`.
    """
    for out, known in outs.items():
        for path, expected in _files(out, known, cache):
            if path.is_file() and md5(path) != expected:
                yield path


def _files(path: Path, expected: str, cache: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of an output with their hashes; of a folder, those on the list that the cache has."""
    if not expected.endswith(_FOLDER):
        yield path, expected
        return
    listed = cache / expected[:2] / expected[2:]
    if listed.is_file() and md5(listed) == expected.removesuffix(_FOLDER):  # else the list itself is named
        for entry in json.loads(listed.read_text(encoding="utf-8")):
            yield path / entry["relpath"], entry["md5"]


def main() -> None:
    """Check the outputs and the cache; exit with 1, the damaged files and what to do where there are any."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with Repo() as repo:
        cache = Path(repo.cache.local.path)
        outs = {Path(out.fs_path): out.hash_info.value for out in repo.index.outs if out.hash_info}
    try:
        found = [*damaged_outputs(outs, cache), *damaged_in_cache(cache)]
    except artifacts.ArtifactError as error:
        sys.exit(str(error))
    if found:
        names = "\n".join(f"  {path}" for path in found)
        sys.exit(f"these files have changed since they were stored; remove them, then 'dvc repro':\n{names}")


if __name__ == "__main__":
    main()
