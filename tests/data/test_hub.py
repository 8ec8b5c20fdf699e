"""A dataset on a hub, which a server on this machine stands for."""

import hashlib
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import yaml

from latentbench.core import artifacts
from latentbench.params.base import ParamsError, validate
from latentbench.params.dataset import Source

IMAGES = np.random.default_rng(0).integers(256, size=(6, 9, 8), dtype=np.uint8)
PATH = "/datasets/someone/small/resolve/v1/arrays/train.npy"

PROGRAM = """
import sys, yaml
from pathlib import Path
from latentbench.core.errors import LatentbenchError
from latentbench.data import datasets
from latentbench.params.base import validate
from latentbench.params.dataset import Description
try:
    datasets.obtain(validate(Description, yaml.safe_load(sys.argv[1])), Path(sys.argv[2]))
except LatentbenchError as error:
    sys.exit(str(error))
"""


def content() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, IMAGES)
    return buffer.getvalue()


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as a file takes."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer(content())

    def _answer(self, body: bytes = b"") -> None:
        is_there = self.path == PATH
        self.send_response(200 if is_there else 404)
        if is_there:
            self.send_header("ETag", hashlib.sha256(content()).hexdigest())
            self.send_header("X-Repo-Commit", "a" * 40)
            self.send_header("Content-Length", str(len(content())))
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
        self.end_headers()
        if is_there:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def obtain(root: Path, hub: str, folder: Path, address: str, name: str) -> subprocess.CompletedProcess[str]:
    described = {
        "title": "small",
        "format": "npy",
        "sources": [{"hub": address}],
        "files": {"train_images": {"name": name}},
    }
    environment = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "0"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, yaml.safe_dump(described), str(folder / "raw")],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_dataset_on_a_hub_is_fetched(root: Path, hub: str, tmp_path: Path) -> None:
    done = obtain(root, hub, tmp_path, "someone/small/arrays@v1", "train.npy")
    assert done.returncode == 0, done.stderr
    assert "the data came from: hub someone/small/arrays@v1" in done.stderr
    np.testing.assert_array_equal(artifacts.read_array(tmp_path / "raw/train_images.npy")[:, 0], IMAGES)


def test_what_a_hub_does_not_have_is_told(root: Path, hub: str, tmp_path: Path) -> None:
    done = obtain(root, hub, tmp_path, "someone/small/arrays@v1", "test.npy")
    assert done.returncode == 1
    assert "hub someone/small/arrays@v1: test.npy: arrays/test.npy: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("address", ["small", "someone/small?token=1", "https://host/someone/small", "a/b@"])
def test_an_address_is_owner_and_name(address: str) -> None:
    with pytest.raises(ParamsError, match="pattern"):
        validate(Source, {"hub": address})
