"""dvc.lock and DVC's cache: outputs by their hash, read without DVC, which takes seconds to start."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from latentbench.core import artifacts

FOLDER = ".dir"  # ends the hash of a folder, which is the hash of a list of its files


def outputs_by_stage(lock: str | bytes) -> dict[str, dict[str, str]]:
    """Return the hash of each output by its path, for each stage, from the text of dvc.lock."""
    stages: dict[str, Any] = yaml.safe_load(lock)["stages"]
    return {
        name: {out["path"]: out["md5"] for out in stage.get("outs", []) if "md5" in out}
        for name, stage in stages.items()
    }


def md5(path: Path) -> str:
    """Return the hash by which DVC names a file.

    Raises:
        ArtifactError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise artifacts.ArtifactError(f"cannot read {path}: {error}") from error


def place(known: str, cache: Path) -> Path:
    """Return where the cache stores the content with this hash."""
    return cache / known[:2] / known[2:]


def files(path: Path, expected: str, cache: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files of an output with their hashes; for a folder, those on the list in the cache.

    Nothing is yielded if the list is missing or damaged.

    Args:
        path: of the output.
        expected: its hash in dvc.lock.
        cache: where DVC stores outputs by their hash.
    """
    if not expected.endswith(FOLDER):
        yield path, expected
        return
    listed = place(expected, cache)
    if listed.is_file() and md5(listed) == expected.removesuffix(FOLDER):
        for entry in json.loads(listed.read_text(encoding="utf-8")):
            yield path / entry["relpath"], entry["md5"]
