"""The stage that fetches the explorer's libraries: what it writes is what is pinned, and its errors say what to do."""

import json
import re
from pathlib import Path

import pytest

from stages import explorer_libraries


def test_what_was_fetched_is_what_is_pinned(root: Path) -> None:
    lock = json.loads((root / "explorer/libraries/package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert all(re.match("sha512-", package["integrity"]) for place, package in lock.items() if place)
    fetched = root / "data/explorer_libraries"
    licenses = (fetched / "LICENSES.txt").read_text(encoding="utf-8")
    for place, package in lock.items():
        if place and not package.get("dev"):
            assert f"{place.removeprefix('node_modules/')} {package['version']}: " in licenses
    runtime = (fetched / "ort.wasm.min.mjs").read_text(encoding="utf-8")
    assert lock["node_modules/onnxruntime-web"]["version"] in runtime
    assert (fetched / "ort-wasm-simd-threaded.wasm").read_bytes().startswith(b"\0asm")
    assert "export{" in (fetched / "d3.js").read_text(encoding="utf-8")


def test_pinned_versions_are_exact(root: Path) -> None:
    wanted = json.loads((root / "explorer/libraries/package.json").read_text(encoding="utf-8"))
    versions = (wanted["dependencies"] | wanted["devDependencies"]).values()
    assert [version for version in versions if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []


def test_a_missing_npm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(explorer_libraries.LibrariesError, match="npm is not installed on this machine; 'make setup'"):
        explorer_libraries._run(tmp_path, "npm", "ci")


def test_what_npm_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'integrity checksum failed' >&2\nexit 1\n", encoding="utf-8")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(explorer_libraries.LibrariesError, match="package-lock.json: integrity checksum failed"):
        explorer_libraries._run(tmp_path, "npm", "ci")
