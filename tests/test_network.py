"""Tests reach this machine alone, as do the processes that they start; DVC asks for no updates and reports nothing."""

import configparser
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ELSEWHERE = "192.0.2.1"  # of a network that exists in documents alone
CONNECT = f"""
import socket
try:
    socket.create_connection(("{ELSEWHERE}", 80), timeout=1)
except Exception as error:
    print(type(error).__name__)
"""


def expect_attempts(path: Path, n: int) -> None:
    assert len(path.read_text().splitlines()) == n
    os.truncate(path, 0)


def test_other_machines_are_out_of_reach_and_every_attempt_is_told(network_attempts: Path) -> None:
    with pytest.raises(PermissionError, match=ELSEWHERE):
        socket.create_connection((ELSEWHERE, 80), timeout=1)
    with pytest.raises(PermissionError, match=r"example\.org"):
        socket.getaddrinfo("example.org", 80)
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams, pytest.raises(PermissionError, match=ELSEWHERE):
        datagrams.sendto(b"", (ELSEWHERE, 53))
    expect_attempts(network_attempts, 3)


def test_this_machine_is_in_reach() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, server.getsockname()[1]), timeout=5).close()


def test_processes_that_a_test_starts_are_cut_off_too(network_attempts: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CONNECT], capture_output=True, text=True, check=True)
    assert done.stdout == "PermissionError\n"
    expect_attempts(network_attempts, 1)


@pytest.fixture
def config(root: Path) -> configparser.ConfigParser:
    """Return DVC's configuration as it is in git."""
    parser = configparser.ConfigParser()
    parser.read(root / ".dvc" / "config", encoding="utf-8")
    return parser


def test_dvc_asks_for_no_updates_and_reports_nothing(config: configparser.ConfigParser) -> None:
    assert config.getboolean("core", "analytics") is False
    assert config.getboolean("core", "check_update") is False


def test_credentials_of_a_remote_stay_out_of_git(root: Path, config: configparser.ConfigParser) -> None:
    git = ["git", "-C", str(root)]
    ignored = subprocess.run([*git, "check-ignore", ".dvc/config.local"], capture_output=True, text=True, check=False)
    assert ignored.stdout == ".dvc/config.local\n"
    for section in config.sections():
        for name, value in config[section].items():
            assert not re.search("user|pass|secret|token|key|credential|connection", name), f"{section}: {name}"
            assert "@" not in value, f"{section}: {name}"
