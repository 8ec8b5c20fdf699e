"""What docs/guarantees.md cites is there."""

import re
from pathlib import Path


def test_every_file_and_test_that_proves_a_promise_exists(root: Path) -> None:
    text = (root / "docs" / "guarantees.md").read_text(encoding="utf-8")
    assert re.findall(r"@\w+@", text) == [], "something is still to be filled in"
    files = {(root / "docs" / name).resolve() for name in re.findall(r"\]\(([^)]+)\)", text)}
    assert len(files) > 10
    assert [path for path in files if not path.is_file()] == []
    rows = [line for line in text.splitlines() if "`test_" in line]
    assert len(rows) > 10
    for line in rows:
        cited = [path.read_text(encoding="utf-8") for path in files if f"{path.relative_to(root)})" in line]
        defined = set(re.findall(r"^def (test_\w+)", "\n".join(cited), re.MULTILINE))
        assert set(re.findall(r"`(test_\w+)`", line)) <= defined, line
