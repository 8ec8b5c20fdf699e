"""A small dataset as the four files of a source, and what becomes of it."""

import gzip
import hashlib
import os
from collections.abc import Sequence
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from latentbench.core import artifacts
from latentbench.data import datasets, sources
from latentbench.params.dataset import Description, File, Source
from tests.idx_files import idx_bytes

N_CLASSES = 3


def described(right: dict[str, bytes], *, known: bool = True) -> Description:
    """Return the description of a dataset of these files, their checksums known or not."""
    return Description(
        title="small",
        format="idx",
        sources=[Source(folder="/nowhere")],
        files={
            name: File(name=f"{name}-ubyte", sha256=hashlib.sha256(whole).hexdigest() if known else None)
            for name, whole in right.items()
        },
        classes=[str(label) for label in range(N_CLASSES)],
    )


def take(places: Sequence[sources.Source], right: dict[str, bytes], folder: Path, *, known: bool = True) -> str:
    """Obtain the dataset of these files from some places; return the name of the one that it came from."""
    return datasets.obtain(described(right, known=known), folder, places)


def lay(folder: Path, content: dict[str, bytes], *, gzipped: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for name, whole in content.items():
        if gzipped:
            (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(whole))
        else:
            (folder / f"{name}-ubyte").write_bytes(whole)
    return folder


def fetched(folder: Path) -> dict[str, bytes]:
    """Return what arrived in a folder, as the files that it came from."""
    if not folder.exists():
        return {}
    found = {}
    for path in folder.iterdir():
        if path.suffix == ".npy":
            array = artifacts.read_array(path)
            found[path.stem] = idx_bytes(array[:, 0] if array.ndim == 4 else array)
        elif path.name != "dataset.json":
            found[path.name] = path.read_bytes()
    return found


def fetch_from(address: str, content: dict[str, bytes], folder: Path) -> str:
    """Fetch from one mirror, in a process of its own maybe."""
    return take([sources.http_source(address)], content, folder)


def fake_debian(room: Path, monkeypatch: pytest.MonkeyPatch, apt_get: str, dpkg: str = "exit 1") -> None:
    """Put an apt-get and a dpkg of our own first on PATH, so that nothing outside `room` is touched."""
    tools = room / "tools"
    tools.mkdir()
    for name, script in (("apt-get", apt_get), ("dpkg", dpkg)):
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")


class QuietFolder(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
