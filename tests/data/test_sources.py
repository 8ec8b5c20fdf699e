"""Sources: whichever works, the same four files; whatever is wrong, none of them."""

import gzip
import os
import shutil
import subprocess
import tempfile
from contextlib import nullcontext
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentbench.data import sources
from tests.data.small import N_CLASSES, QuietFolder, fake_debian, fetched, lay, take
from tests.idx_files import idx_bytes


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
    assert take([source], content, tmp_path / "raw") == source.name
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
    with pytest.raises(sources.SourceError) as caught:
        take(wrong, content, tmp_path / "raw")
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "no such folder" in lines[1]
    assert "train_images-ubyte.gz: HTTP status 404; " in lines[2]
    assert "train_images-ubyte: HTTP status 404" in lines[2]
    assert "refused" in lines[3]
    right = sources.folder_source(lay(tmp_path / "right", content))
    assert take([*wrong, right], content, tmp_path / "raw") == right.name
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


@pytest.mark.parametrize("name", ["train_images", "test_labels"])
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
    place = lay(tmp_path / "place", content | {name: damage(content[name])}, gzipped=gzipped)
    with pytest.raises(sources.SourceError, match=says) as caught:
        take([sources.folder_source(place)], content, tmp_path / "raw")
    assert name in str(caught.value)
    assert fetched(tmp_path / "raw") == {}


def test_a_damaged_gzip_never_arrives(tmp_path: Path, content: dict[str, bytes]) -> None:
    place = lay(tmp_path / "place", content, gzipped=True)
    archive = place / "train_images-ubyte.gz"
    whole = archive.read_bytes()
    for damaged in (whole[:-20], whole[:60] + bytes([whole[60] ^ 255]) + whole[61:], whole[:-6] + bytes(6)):
        archive.write_bytes(damaged)
        with pytest.raises(sources.SourceError, match="train_images"):
            take([sources.folder_source(place)], content, tmp_path / "raw")
        assert fetched(tmp_path / "raw") == {}


def test_files_that_do_not_belong_together_never_arrive(tmp_path: Path, content: dict[str, bytes]) -> None:
    wrong = {
        "4 images but 6 labels": {"test_labels": content["train_labels"]},
        "differ in the shape of their images": {"test_images": idx_bytes(np.zeros((4, 12, 10), dtype=np.uint8))},
        "label 3, but there are names for only 3 classes": {
            "test_labels": idx_bytes(np.array([0, 1, 2, 3], dtype=np.uint8))
        },
    }
    for says, change in wrong.items():
        place = lay(tmp_path / "place", content | change)
        with pytest.raises(sources.SourceError, match=says):
            take([sources.folder_source(place)], content, tmp_path / "raw", known=False)
        assert fetched(tmp_path / "raw") == {}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_four_files_arrive_exactly_if_they_belong_together(draws: st.DataObject) -> None:
    counts = draws.draw(
        st.lists(st.integers(1, 3), min_size=4, max_size=4) | st.tuples(st.integers(1, 3)).map(lambda n: n * 4)
    )
    widths = draws.draw(st.lists(st.integers(8, 9), min_size=2, max_size=2) | st.just([9, 9]))
    highest = draws.draw(st.lists(st.integers(0, N_CLASSES), min_size=2, max_size=2))
    content = {}
    for place, split in enumerate(("train", "test")):
        images = np.zeros((counts[2 * place], 8, widths[place]), dtype=np.uint8)
        labels = np.full(counts[2 * place + 1], highest[place], dtype=np.uint8)
        content |= {f"{split}_images": idx_bytes(images), f"{split}_labels": idx_bytes(labels)}
    belong = counts[0] == counts[1] and counts[2] == counts[3] and widths[0] == widths[1] and max(highest) < N_CLASSES
    with tempfile.TemporaryDirectory() as folder:
        place, raw = lay(Path(folder) / "place", content), Path(folder) / "raw"
        try:
            take([sources.folder_source(place)], content, raw)
        except sources.SourceError:
            assert not belong
            assert fetched(raw) == {}
        else:
            assert belong
            assert fetched(raw) == content


def test_a_connection_cut_in_the_middle_is_told(tmp_path: Path, content: dict[str, bytes], serve: Any) -> None:
    class Cut(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(content["train_images"][:100])

        def log_message(self, *_: object) -> None:
            pass

    with pytest.raises(sources.SourceError, match="train_images"):
        take([sources.http_source(serve(Cut))], content, tmp_path / "raw")
    assert fetched(tmp_path / "raw") == {}


def test_a_folder_without_the_files_is_told(tmp_path: Path, content: dict[str, bytes]) -> None:
    with pytest.raises(sources.SourceError, match="neither train_images-ubyte nor train_images-ubyte.gz"):
        take([sources.folder_source(tmp_path)], content, tmp_path / "raw")


class EndlessZeros:
    """A gzip stream that never ends: readers skip the zeros after it."""

    def __init__(self, start: bytes) -> None:
        self.start = start
        self.taken = 0

    def read(self, size: int = -1, /) -> bytes:
        chunk = (self.start + bytes(size))[:size]
        self.start = self.start[size:]
        self.taken += size
        assert self.taken < 2**26, "it is read without end"
        return chunk


def test_an_endless_source_is_left(tmp_path: Path, content: dict[str, bytes]) -> None:
    streams = {f"{name}-ubyte": EndlessZeros(gzip.compress(whole)) for name, whole in content.items()}
    source = sources.Source("endless", lambda: nullcontext(streams.__getitem__))
    with pytest.raises(sources.SourceError, match="oversized"):
        take([source], content, tmp_path / "raw")
    assert max(stream.taken for stream in streams.values()) < 2**22


needs_dpkg_deb = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb, which is Debian's")


@needs_dpkg_deb
def test_a_debian_package_is_fetched_and_unpacked(
    tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: small-images\nVersion: 1\nArchitecture: all\nDescription: x\nMaintainer: n <n@example.org>\n"
    )
    lay(tree / "images", content, gzipped=True)
    archive = tmp_path / "small-images_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, archive], check=True, capture_output=True)
    # The first download fails, as in a container without package lists; only root may then refresh them.
    log = tmp_path / "log"
    script = f'echo "$1" >> {log}; [ "$(wc -l < {log})" -eq 1 ] && exit 1; [ "$1" = update ] || cp {archive} .'
    fake_debian(tmp_path, monkeypatch, script)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    source = sources.debian_source("small-images")
    assert take([source], content, tmp_path / "raw") == "debian small-images"
    assert log.read_text().split() == ["download", "update", "download"]
    assert fetched(tmp_path / "raw") == content


def test_an_installed_debian_package_is_used_as_it_is(
    tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = lay(tmp_path / "place", content, gzipped=True)
    fake_debian(tmp_path, monkeypatch, "exit 1", f"ls -d {place} {place}/*")
    take([sources.debian_source("small-images")], content, tmp_path / "raw")
    assert fetched(tmp_path / "raw") == content


@needs_dpkg_deb
def test_a_debian_package_that_does_not_exist_is_told_and_lists_are_left_alone_without_root(
    tmp_path: Path, content: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    fake_debian(tmp_path, monkeypatch, f'echo "$1" >> {log}; echo E: Unable to locate package $2 >&2; exit 100')
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    source = sources.debian_source("no-such-package")
    with pytest.raises(sources.SourceError, match="debian no-such-package: .*Unable to locate package no-such-package"):
        take([source], content, tmp_path / "raw")
    assert log.read_text().split() == ["download"]
    assert fetched(tmp_path / "raw") == {}
