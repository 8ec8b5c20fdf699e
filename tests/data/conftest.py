"""A small dataset of real images, and servers on loopback."""

import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from tests.data.small import N_CLASSES
from tests.idx_files import idx_bytes


@pytest.fixture
def content(images: np.ndarray) -> dict[str, bytes]:
    """Return a small dataset of real images, 12x9 pixels of each, as the four files."""
    labels = np.arange(6, dtype=np.uint8) % N_CLASSES
    return {
        "train_images": idx_bytes(images[:6, 0, 8:20, 10:19]),
        "train_labels": idx_bytes(labels),
        "test_images": idx_bytes(images[6:10, 0, 8:20, 10:19]),
        "test_labels": idx_bytes(labels[:4]),
    }


@pytest.fixture
def serve() -> Iterator[Any]:
    """Return a function that serves a handler on loopback and gives its address."""
    servers = []

    def start(handler: Any) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
