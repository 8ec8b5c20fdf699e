"""Sources: whichever works, the same four files; whatever is wrong, none of them."""

import gzip
import hashlib
import struct
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latentbench.data import sources

N_CLASSES = 3


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def content(images: np.ndarray) -> dict[str, bytes]:
    """Return a small dataset of real images, 12x9 pixels of each, as the four files."""
    labels = np.arange(6, dtype=np.uint8) % N_CLASSES
    return {
        "train-images": idx_bytes(images[:6, 8:20, 10:19]),
        "train-labels": idx_bytes(labels),
        "t10k-images": idx_bytes(images[6:10, 8:20, 10:19]),
        "t10k-labels": idx_bytes(labels[:4]),
    }


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


@pytest.fixture
def serve() -> Iterator[Any]:
    """Return a function that serves a handler on loopback and gives its address."""
    servers = []

    def start(handler: Any) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class QuietFolder(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("kind", ["folder", "http"])
def test_every_kind_of_source_gives_the_same_files(
    tmp_path: Path, content: dict[str, bytes], serve: Any, kind: str, gzipped: bool
) -> None:
    place = lay(tmp_path / "place", content, gzipped=gzipped)
    if kind == "folder":
        source = sources.folder_source(place)
    else:
        source = sources.http_source(serve(partial(QuietFolder, directory=place)) + "/")
    assert sources.fetch([source], raw_files(content), tmp_path / "raw", N_CLASSES) == source.name
    assert fetched(tmp_path / "raw") == content


def test_the_next_source_is_tried_and_all_reasons_are_told(
    tmp_path: Path, content: dict[str, bytes], serve: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = serve(partial(QuietFolder, directory=tmp_path))
    wrong = [
        sources.folder_source(tmp_path / "nowhere"),
        sources.http_source(empty),
        sources.http_source("http://127.0.0.1:1"),
    ]
    files = raw_files(content)
    with pytest.raises(sources.SourceError) as caught:
        sources.fetch(wrong, files, tmp_path / "raw", N_CLASSES)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "neither train-images-ubyte nor train-images-ubyte.gz" in lines[1]
    assert "HTTP status 404" in lines[2]
    assert "refused" in lines[3]
    right = sources.folder_source(lay(tmp_path / "right", content))
    assert sources.fetch([*wrong, right], files, tmp_path / "raw", N_CLASSES) == right.name
    assert fetched(tmp_path / "raw") == content
    assert "HTTP status 404" in capsys.readouterr().err


def truncated(whole: bytes) -> bytes:
    return whole[:-1]


def extended(whole: bytes) -> bytes:
    return whole + b"\0"


def flipped(whole: bytes) -> bytes:
    return whole[:-1] + bytes([whole[-1] ^ 1])


def emptied(_: bytes) -> bytes:
    return b""


def enormous(whole: bytes) -> bytes:
    return whole[:4] + b"\xff\xff\xff\xff" + whole[8:]


@pytest.mark.parametrize("name", ["train-images", "t10k-labels"])
@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (truncated, "truncated"),
        (extended, "oversized"),
        (flipped, "SHA-256"),
        (emptied, "truncated"),
        (enormous, "oversized|truncated"),
    ],
)
def test_damaged_content_never_arrives(
    tmp_path: Path, content: dict[str, bytes], name: str, gzipped: bool, damage: Any, says: str
) -> None:
    files = raw_files(content)
    place = lay(tmp_path / "place", content | {name: damage(content[name])}, gzipped=gzipped)
    with pytest.raises(sources.SourceError, match=says) as caught:
        sources.fetch([sources.folder_source(place)], files, tmp_path / "raw", N_CLASSES)
    assert name in str(caught.value)
    assert fetched(tmp_path / "raw") == {}


def test_a_damaged_gzip_never_arrives(tmp_path: Path, content: dict[str, bytes]) -> None:
    place = lay(tmp_path / "place", content, gzipped=True)
    archive = place / "train-images-ubyte.gz"
    whole = archive.read_bytes()
    for damaged in (whole[:-20], whole[:60] + bytes([whole[60] ^ 255]) + whole[61:], whole[:-6] + bytes(6)):
        archive.write_bytes(damaged)
        with pytest.raises(sources.SourceError, match="train-images"):
            sources.fetch([sources.folder_source(place)], raw_files(content), tmp_path / "raw", N_CLASSES)
        assert fetched(tmp_path / "raw") == {}


def test_files_that_do_not_belong_together_never_arrive(tmp_path: Path, content: dict[str, bytes]) -> None:
    files = [sources.RawFile(file.target, file.name, file.n_axes, None) for file in raw_files(content)]
    wrong = {
        "4 images but 6 labels": {"t10k-labels": content["train-labels"]},
        "differ in size": {"t10k-images": idx_bytes(np.zeros((4, 12, 10), dtype=np.uint8))},
        "label 3, but data.classes names 3": {"t10k-labels": idx_bytes(np.array([0, 1, 2, 3], dtype=np.uint8))},
    }
    for says, change in wrong.items():
        place = lay(tmp_path / "place", content | change)
        with pytest.raises(sources.SourceError, match=says):
            sources.fetch([sources.folder_source(place)], files, tmp_path / "raw", N_CLASSES)
        assert fetched(tmp_path / "raw") == {}


def test_a_connection_cut_in_the_middle_is_told(tmp_path: Path, content: dict[str, bytes], serve: Any) -> None:
    class Cut(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(content["train-images"][:100])

        def log_message(self, *_: object) -> None:
            pass

    with pytest.raises(sources.SourceError, match="train-images"):
        sources.fetch([sources.http_source(serve(Cut))], raw_files(content), tmp_path / "raw", N_CLASSES)
    assert fetched(tmp_path / "raw") == {}


def test_a_debian_package_that_does_not_exist_is_told(tmp_path: Path, content: dict[str, bytes]) -> None:
    source = sources.debian_source("no-such-dataset-package")
    with pytest.raises(sources.SourceError, match="debian no-such-dataset-package"):
        sources.fetch([source], raw_files(content), tmp_path / "raw", N_CLASSES)
    assert fetched(tmp_path / "raw") == {}
