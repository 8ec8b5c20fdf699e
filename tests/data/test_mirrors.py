"""Mirrors that misbehave in every way: the next one is taken, nothing partial appears, and nothing is given away."""

import gzip
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from latentbench.data import sources
from tests.data.small import QuietFolder, fetch_from, fetched, lay, take
from tests.faults.counting import Faults

Misbehaviour = Callable[["Mirror", bytes], None]


class Mirror(BaseHTTPRequestHandler):
    """Has every file gzipped, and answers each request by one misbehaviour."""

    protocol_version = "HTTP/1.1"

    def __init__(self, misbehave: Misbehaviour, content: dict[str, bytes], *arguments: Any) -> None:
        self.misbehave, self.content = misbehave, content
        super().__init__(*arguments)

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2].removesuffix(".gz").removesuffix("-ubyte")
        whole = self.content[name] if not self.path.endswith(".gz") else gzip.compress(self.content[name])
        self.close_connection = True
        with suppress(OSError):  # whoever asked has had enough
            self.misbehave(self, whole)

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def truncated(mirror: Mirror, whole: bytes) -> None:
    mirror.answer(whole[: len(whole) // 2])


def one_bit_wrong(mirror: Mirror, whole: bytes) -> None:
    mirror.answer(whole[:-12] + bytes([whole[-12] ^ 1]) + whole[-11:], Content_Length=str(len(whole)))


def a_page_for_a_file(mirror: Mirror, _: bytes) -> None:
    mirror.answer(b"<html>please log in</html>", Content_Type="text/html")


def nothing(mirror: Mirror, _: bytes) -> None:
    mirror.answer(b"", Content_Length="0")


def length_too_long(mirror: Mirror, whole: bytes) -> None:
    mirror.answer(whole, Content_Length=str(len(whole) + 7))


def length_too_short(mirror: Mirror, whole: bytes) -> None:
    mirror.answer(whole, Content_Length=str(len(whole) - 7))


def length_of_zero(mirror: Mirror, whole: bytes) -> None:
    mirror.answer(whole, Content_Length="0")


def two_lengths(mirror: Mirror, whole: bytes) -> None:
    mirror.answer(whole, Content_Length="5, 6")


def broken_chunks(mirror: Mirror, whole: bytes) -> None:
    mirror.answer(b"%x\r\n%b\r\nzz\r\n" % (len(whole) // 2, whole[: len(whole) // 2]), Transfer_Encoding="chunked")


def stall(mirror: Mirror, whole: bytes) -> None:
    mirror.answer(whole[:40], Content_Length=str(len(whole)))
    time.sleep(1.5)


def stall_before_answering(_: Mirror, __: bytes) -> None:
    time.sleep(1.5)


def drip(mirror: Mirror, whole: bytes) -> None:
    mirror.answer(b"", Content_Length=str(len(whole)))
    for place in range(len(whole)):
        mirror.wfile.write(whole[place : place + 1])
        time.sleep(0.1)


def hang_up(mirror: Mirror, _: bytes) -> None:
    mirror.connection.close()


def no_http(mirror: Mirror, _: bytes) -> None:
    mirror.wfile.write(b"\x00\xff" * 500)


def endless_headers(mirror: Mirror, _: bytes) -> None:
    mirror.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-More: of the same\r\n" * 1000)


def overloaded(mirror: Mirror, _: bytes) -> None:
    mirror.answer(b"later", 503, Content_Length="5")


def redirect_in_a_circle(mirror: Mirror, _: bytes) -> None:
    mirror.answer(b"", 302, Location=mirror.path, Content_Length="0")


def redirect_to_a_file(mirror: Mirror, _: bytes) -> None:
    mirror.answer(b"", 301, Location="file:///etc/passwd", Content_Length="0")


def redirect_to_nothing(mirror: Mirror, _: bytes) -> None:
    mirror.answer(b"", 302, Location="http://", Content_Length="0")


def redirect_to_no_address(mirror: Mirror, _: bytes) -> None:
    mirror.answer(b"", 302, Location="http://[127.0.0.1", Content_Length="0")


MISBEHAVIOURS = {
    truncated: "truncated|end-of-stream|IncompleteRead",
    one_bit_wrong: "SHA-256|CRC|decompressing",
    a_page_for_a_file: "magic number",
    nothing: "truncated",
    length_too_long: "IncompleteRead|oversized",
    length_too_short: "end-of-stream|truncated",
    length_of_zero: "truncated",
    two_lengths: "Content-Length",
    broken_chunks: "InvalidChunkLength|invalid literal|IncompleteRead",
    stall: "timed out",
    stall_before_answering: "timed out",
    drip: "stalled: ",
    hang_up: "closed connection|reset",
    no_http: "BadStatusLine",
    endless_headers: "more than 100 headers",
    overloaded: "HTTP status 503",
    redirect_in_a_circle: "more than 5 redirects",
    redirect_to_a_file: "No connection adapters",
    redirect_to_nothing: "more than 5 redirects",
    redirect_to_no_address: "Invalid IPv6|Failed to parse",
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_CONNECT_TIMEOUT_S", 1)
    monkeypatch.setattr(sources, "_READ_TIMEOUT_S", 0.5)
    monkeypatch.setattr(sources, "_PAUSES_S", (0.01, 0.01))


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that temporary files go to."""
    folder = tmp_path / "staging"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize("misbehave", MISBEHAVIOURS, ids=lambda each: each.__name__)
def test_a_mirror_that_misbehaves_is_told_and_the_next_one_is_taken(
    tmp_path: Path, staging: Path, content: dict[str, bytes], serve: Any, faults: Faults, misbehave: Misbehaviour
) -> None:
    bad = sources.http_source(serve(partial(Mirror, misbehave, content)))
    good = sources.folder_source(lay(tmp_path / "good", content))
    with faults.one():
        with pytest.raises(sources.SourceError, match=MISBEHAVIOURS[misbehave]):
            take([bad], content, tmp_path / "raw")
        assert fetched(tmp_path / "raw") == {}
        assert take([bad, good], content, tmp_path / "raw") == good.name
        assert fetched(tmp_path / "raw") == content
        assert list(staging.iterdir()) == []


def test_what_was_there_stays_when_no_mirror_works(
    tmp_path: Path, content: dict[str, bytes], serve: Any, faults: Faults
) -> None:
    old = {name: whole + b"of before" for name, whole in content.items()}
    (tmp_path / "raw").mkdir()
    for name, whole in old.items():
        (tmp_path / "raw" / name).write_bytes(whole)
    with faults.one():
        dead = sources.http_source("http://127.0.0.1:1")
        cut = sources.http_source(serve(partial(Mirror, truncated, content)))
        with pytest.raises(sources.SourceError):
            take([dead, cut], content, tmp_path / "raw")
        assert fetched(tmp_path / "raw") == old


def test_a_mirror_that_is_overloaded_for_a_moment_is_asked_again(
    tmp_path: Path, content: dict[str, bytes], serve: Any, faults: Faults
) -> None:
    asked: list[str] = []

    def overloaded_at_first(mirror: Mirror, whole: bytes) -> None:
        asked.append(mirror.path)
        if asked.count(mirror.path) < 3:
            overloaded(mirror, whole)
        else:
            mirror.answer(whole, Content_Length=str(len(whole)))

    with faults.one():
        fetch_from(serve(partial(Mirror, overloaded_at_first, content)), content, tmp_path / "raw")
        assert fetched(tmp_path / "raw") == content
        assert asked == [f"/{name}-ubyte.gz" for name in content for _ in range(3)]


def test_redirects_are_followed_and_credentials_go_nowhere(
    tmp_path: Path, content: dict[str, bytes], serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen: list[str | None] = []

    def moved(mirror: Mirror, whole: bytes) -> None:
        seen.append(mirror.headers["Authorization"])
        if mirror.path.startswith("/new/"):
            mirror.answer(whole, Content_Length=str(len(whole)))
        else:
            mirror.answer(b"", 302, Location=f"new{mirror.path}", Content_Length="0")

    fetch_from(serve(partial(Mirror, moved, content)) + "/", content, tmp_path / "raw")
    assert fetched(tmp_path / "raw") == content
    assert seen == [None] * 8


@pytest.mark.parametrize(
    "target", ["http://me:secret@127.0.0.1:1/x?token=secret#secret", "http://me:secret@[::1/x?a=secret"]
)
def test_what_a_redirect_puts_into_an_address_is_not_repeated(
    tmp_path: Path, content: dict[str, bytes], serve: Any, target: str, capfd: pytest.CaptureFixture[str]
) -> None:
    def moved(mirror: Mirror, whole: bytes) -> None:  # noqa: ARG001
        mirror.answer(b"", 302, Location=target, Content_Length="0")

    with pytest.raises(sources.SourceError, match="127.0.0.1|::1") as failed:
        fetch_from(serve(partial(Mirror, moved, content)), content, tmp_path / "raw")
    assert "secret" not in f"{failed.value}{capfd.readouterr()}"


def test_eight_processes_at_once_all_end_well(
    tmp_path: Path, content: dict[str, bytes], serve: Any, faults: Faults
) -> None:
    place = lay(tmp_path / "place", content, gzipped=True)
    address = serve(partial(QuietFolder, directory=place))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.data.small"])
    with faults.one(), ProcessPoolExecutor(8, mp_context=context) as pool:
        started = [pool.submit(fetch_from, address, content, tmp_path / "raw") for _ in range(8)]
        while not all(each.done() for each in started):
            for name, whole in content.items():
                with suppress(FileNotFoundError):
                    assert fetched(tmp_path / "raw").get(name, whole) == whole, "a file is seen before it is whole"
            time.sleep(0.001)
        assert [each.result() for each in started] == [f"http {address}"] * 8
        assert fetched(tmp_path / "raw") == content
