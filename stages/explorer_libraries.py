"""Fetch the libraries of the explorer's page through npm, at pinned versions and checked by their hashes."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from latentbench.core import artifacts
from latentbench.core.errors import LatentbenchError
from stages import lifecycle, paths

_SOURCE = Path("explorer/libraries")
_RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


class LibrariesError(LatentbenchError):
    """The libraries cannot be fetched, or are not the pinned ones."""


def main() -> None:
    """Run the stage."""
    with lifecycle.stage("explorer_libraries", timed=False), tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for path in _SOURCE.iterdir():
            shutil.copy(path, folder)
        # What is in npm's own cache is not fetched again; the hashes of the lock file apply to it too.
        _run(folder, "npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
        bundle = folder / "d3.bundle.js"
        options = ["--bundle", "--format=esm", "--minify", "--legal-comments=none", f"--outfile={bundle}"]
        _run(folder, "node", "node_modules/esbuild/bin/esbuild", "d3.js", *options)
        artifacts.write_bytes(paths.EXPLORER_LIBRARIES / "d3.js", bundle.read_bytes())
        for name in _RUNTIME:
            built = folder / "node_modules/onnxruntime-web/dist" / name
            artifacts.write_bytes(paths.EXPLORER_LIBRARIES / name, built.read_bytes())
        artifacts.write_text(paths.EXPLORER_LIBRARIES / "LICENSES.txt", _licenses(folder))


def _run(folder: Path, *command: str) -> None:
    """Run a command in a folder.

    Raises:
        LibrariesError: it is not installed, or fails.
    """
    if shutil.which(command[0]) is None:
        raise LibrariesError(f"{command[0]} is not installed on this machine; 'make setup' installs it")
    quiet = {**os.environ, "NO_UPDATE_NOTIFIER": "1", "NODE_OPTIONS": ""}
    done = subprocess.run(command, cwd=folder, env=quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise LibrariesError(f"'{' '.join(command[:2])}' failed for {_SOURCE}/package-lock.json: {said}")


def _licenses(folder: Path) -> str:
    """Return the licenses of everything that may have gone into the libraries, one after another."""
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    parts = []
    for place, package in sorted(lock["packages"].items()):
        if not place or package.get("dev"):
            continue
        heading = f"{place.removeprefix('node_modules/')} {package['version']}: {package.get('license', 'see below')}"
        found = sorted(each for each in (folder / place).iterdir() if each.stem.lower() in ("license", "licence"))
        text = "\n\n".join(each.read_text(encoding="utf-8").strip() for each in found if each.is_file())
        parts.append(f"{heading}\n{'=' * len(heading)}\n\n{text}".strip())
    return "\n\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
