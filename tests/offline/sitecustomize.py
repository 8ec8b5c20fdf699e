"""Lets a Python process reach loopback alone. Python runs a module of this name as it starts, if it is on its path.

So it holds for the process that tests and, through PYTHONPATH, for those that it starts. Refused attempts are written
to a file, for an error alone might be caught and taken for a mirror that is down.
"""

import ipaddress
import os
import sys
from pathlib import Path

ATTEMPTS = "LATENTBENCH_NETWORK_ATTEMPTS"  # the environment variable that names the file

_CONNECTING = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_RESOLVING = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}


def is_this_machine(host: object) -> bool:
    """Tell whether a host's name or number stands for this machine, without asking a name server."""
    name = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in ("localhost", os.uname().nodename)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event in _CONNECTING:
        address = arguments[1]
        # Sockets of a file system have a path for an address; a message on a connected socket has none.
        host = address[0] if isinstance(address, tuple) else None
    elif event in _RESOLVING:
        host = arguments[0]
    else:
        return
    if host in (None, "", b"") or is_this_machine(host):
        return
    if ATTEMPTS in os.environ:
        with Path(os.environ[ATTEMPTS]).open("a", encoding="utf-8") as file:
            file.write(f"{event} {host!r} by {' '.join(sys.orig_argv)!r}\n")
    raise PermissionError(f"{event}: {host!r} is not this machine")


sys.addaudithook(_refuse)
