"""The audit fails where it cannot run, and each hole that it is told to accept is explained."""

import os
import re
import subprocess
from pathlib import Path


def accepted_holes(root: Path) -> list[str]:
    line = re.search(r"^ACCEPTED_HOLES := ([^#\n]*)", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert line
    return line[1].split()


def audited(root: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the audit. The proxies of the tests lead nowhere; answers to an earlier one are out of reach too."""
    caches = {"XDG_CACHE_HOME": str(folder), "npm_config_cache": str(folder), "npm_config_fetch_retries": "0"}
    return subprocess.run(
        ["make", "--old-file", "setup", *options, "audit"],
        cwd=root,
        env={**os.environ, "MAKEFLAGS": "", **caches},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_an_audit_without_a_network_fails_and_says_so(root: Path, tmp_path: Path) -> None:
    done = audited(root, tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "pip-audit --strict" in done.stdout
    assert "refused" in said or "ProxyError" in said, said
    assert "No known vulnerabilities found" not in said


def test_the_audit_of_the_pages_libraries_fails_without_a_network_as_well(root: Path, tmp_path: Path) -> None:
    done = audited(root, tmp_path, "--ignore-errors")
    _, _, said = done.stdout.partition("npm audit --prefix")
    assert said, done.stdout
    assert done.stderr.count("Error 1 (ignored)") == 3, done.stderr
    assert "audit endpoint returned an error" in done.stderr


def test_every_accepted_hole_is_explained(root: Path) -> None:
    explained = (root / "docs" / "guarantees.md").read_text(encoding="utf-8")
    holes = accepted_holes(root)
    assert holes
    assert [hole for hole in holes if hole not in explained] == []
