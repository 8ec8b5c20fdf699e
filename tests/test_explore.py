"""The explorer's server: it serves its page's files, to this machine, and nothing else."""

import http.client
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from latentbench import explore
from latentbench.core.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    page = tmp_path / "page"
    (page / "data").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html><title>page</title>", encoding="utf-8")
    (page / "data" / "model a.onnx").write_bytes(bytes(range(256)))
    (page / "run.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret.txt").write_text("canary", encoding="utf-8")
    return page


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    with explore.server(folder, 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
        thread.start()
        yield serving.server_port
        serving.shutdown()
        thread.join()


def ask(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return found


def test_files_of_the_page_are_served_with_their_types(port: int) -> None:
    status, headers, content = ask(port, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert content.startswith(b"<!doctype html>")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert ask(port, "/index.html?x=1#y")[2] == content
    assert ask(port, "/data/model%20a.onnx")[2] == bytes(range(256))
    assert ask(port, "/run.wasm")[1]["Content-Type"] == "application/wasm"
    status, headers, content = ask(port, "/data/model%20a.onnx", "HEAD")
    assert (status, headers["Content-Length"], content) == (200, "256", b"")


def test_files_of_a_new_run_are_served(folder: Path, port: int) -> None:
    assert ask(port, "/data/new.bin")[0] == 404
    (folder / "data" / "new.bin").write_bytes(b"new")
    assert ask(port, "/data/new.bin")[2] == b"new"
    (folder / "index.html").unlink()  # as a run does before it writes the page again
    assert ask(port, "/")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/data/../../secret.txt",
        "//etc/passwd",
        "/etc/passwd",
        "/data/..\\..\\secret.txt",
        "/index.html%00.txt",
        "/data/",
        "/data",
        "/missing",
    ],
)
def test_nothing_else_is_served_and_nothing_is_listed(port: int, path: str) -> None:
    status, _, content = ask(port, path)
    assert status == 404
    assert b"canary" not in content
    assert b"model" not in content


def test_other_methods_are_refused(port: int) -> None:
    assert ask(port, "/", "POST")[0] == 501
    assert ask(port, "/", "PUT")[0] == 501


def test_a_foreign_name_for_this_machine_is_refused(port: int) -> None:
    assert ask(port, "/", Host="example.org")[0] == 421
    assert ask(port, "/", Host=f"localhost:{port}")[0] == 200


def test_it_listens_on_this_machine_alone(folder: Path) -> None:
    with explore.server(folder, 0) as serving:
        assert serving.socket.getsockname()[0] == "127.0.0.1"


def test_a_missing_page_and_a_taken_port_are_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make repro"):
        explore.server(tmp_path, 0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match="--port"):
            explore.server(folder, other.getsockname()[1])


def test_the_command_tells_where_the_page_is(folder: Path, root: Path) -> None:
    command = [sys.executable, "-m", "latentbench.explore", "--folder", str(folder), "--port", "0", "--no-open"]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "http://127.0.0.1:" in line
        port = int(line.split("127.0.0.1:")[1].split("/")[0])
        assert ask(port, "/")[0] == 200
        process.terminate()
    done = subprocess.run([*command[:4], str(folder / "none")], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make repro" in done.stderr
    assert "Traceback" not in done.stderr
