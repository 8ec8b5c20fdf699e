"""Serve the latent explorer to this machine only, and open it: `python -m latentbench.explore --help`."""

import argparse
import contextlib
import sys
import webbrowser
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from latentbench.core import progress
from latentbench.core.errors import InputError, LatentbenchError

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
}
_HEADERS = {
    # A new run shows up at once; sending an unchanged file again is cheap on the same machine.
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # The page has its own policy, which applies wherever it is served from. Its worker has only this one, and is the
    # only part that compiles WebAssembly.
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    ),
}


def files(folder: Path) -> dict[str, Path]:
    """Return what is served from a folder, by URL path: the files that are in it now, and nothing else.

    Files whose names start with a dot are left out: they are not finished yet.
    """
    present = [path for path in folder.rglob("[!.]*") if path.is_file()]
    found = {f"/{path.relative_to(folder).as_posix()}": path for path in present}
    return found | {"/": folder / "index.html"}


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD requests for the files in a folder, if they address this machine by its own name.

    Args:
        folder: where the page is.
    """

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "latentbench", ""

    def __init__(self, *arguments: object, folder: Path) -> None:
        self._folder = folder
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Send a file."""
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        """Send the headers of a file, without its content."""
        self._answer(with_content=False)

    def _answer(self, *, with_content: bool) -> None:
        # Another site can point its own name at this address, and would then pass for this page.
        name = self.headers.get("Host", "").rsplit(":", maxsplit=1)[0]
        if name not in _NAMES:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        try:
            path = files(self._folder)[unquote(urlsplit(self.path).path)]  # listed anew: a run may add files
            content = path.read_bytes()
        except (KeyError, OSError):  # a run may also remove them
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", _TYPES.get(path.suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_content:
            # The browser may have moved on.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(content)

    def end_headers(self) -> None:
        """Add the headers that every response has."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Do not log what went well."""


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Return a server for the explorer in a folder, bound only to this machine's own address.

    Args:
        folder: where the page is.
        port: to listen on; 0 for any free port.

    Raises:
        InputError: there is no page, or the port is taken.
    """
    if not (folder / "index.html").is_file():
        raise InputError(
            f"there is no explorer in {folder}; build it with 'make repro', or restore it with 'dvc checkout'"
        )
    handler = partial(Handler, folder=folder)
    try:
        return ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise InputError(
            f"port {port} is not available: {error}; choose another with --port, or 0 for any free one"
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m latentbench.explore", description=__doc__)
    parser.add_argument(
        "--folder", type=Path, default=Path("data/explorer"), help="folder with the page (default: %(default)s)"
    )
    parser.add_argument("--port", type=_port, default=8765, help="0 for any free port (default: %(default)s)")
    parser.add_argument("--no-open", dest="open", action="store_false", help="do not open a browser")
    options = parser.parse_args(arguments)
    try:
        serving = server(options.folder, options.port)
    except LatentbenchError as error:
        sys.exit(f"explore: {error}")
    address = f"http://{HOST}:{serving.server_port}/"
    progress.note(f"the explorer is at {address} until you press Ctrl+C")
    if options.open and not webbrowser.open(address):
        progress.note("no browser could be started here: open that address yourself")
    with serving, contextlib.suppress(KeyboardInterrupt):
        serving.serve_forever()


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**16:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, not {number}")
    return number


if __name__ == "__main__":
    main()
