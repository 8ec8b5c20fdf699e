"""What docs/guarantees.md cites is there."""

import re
from pathlib import Path


def test_every_file_and_test_that_proves_a_promise_exists(root: Path) -> None:
    text = (root / "docs" / "guarantees.md").read_text(encoding="utf-8")
    assert re.findall(r"@\w+@", text) == [], "something is still to be filled in"
    files = {(root / "docs" / name).resolve() for name in re.findall(r"\]\(([^)]+)\)", text)}
    assert len(files) > 10
    assert [path for path in files if not path.is_file()] == []
    names = set(re.findall(r"`(test_\w+)`", text))
    assert len(names) > 10
    defined = set()
    for path in (root / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert names - defined == set()
