"""A small dataset as the four files of a source, and what becomes of it."""

import gzip
import hashlib
import os
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from latentbench.data import sources
from latentbench.data.formats import idx

N_CLASSES = 3


def raw_files(content: dict[str, bytes]) -> list[sources.RawFile]:
    return [
        sources.RawFile(name, f"{name}-ubyte", 3 if "images" in name else 1, hashlib.sha256(whole).hexdigest())
        for name, whole in content.items()
    ]


def lay(folder: Path, content: dict[str, bytes], *, gzipped: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    for name, whole in content.items():
        if gzipped:
            (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(whole))
        else:
            (folder / f"{name}-ubyte").write_bytes(whole)
    return folder


def fetched(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def fetch_from(address: str, content: dict[str, bytes], folder: Path) -> str:
    """Fetch from one mirror, in a process of its own maybe."""
    return sources.fetch([sources.http_source(address)], raw_files(content), idx, folder, N_CLASSES)


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
