"""The pages of the documentation as text: their links, anchors, roles and commands. No page is built here."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

_FENCE = re.compile(r"^(?P<ticks>`{3,})(?P<language>[^\n]*)\n(?P<body>.*?)^(?P=ticks)\s*$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"\s#\s.*$")


def found(root: Path) -> list[Path]:
    """Return README, CONTRIBUTING and every page."""
    return [root / "README.md", root / "CONTRIBUTING.md", *sorted(of_the_site(root))]


def of_the_site(root: Path) -> list[Path]:
    """Return every page but those that a build writes."""
    return [
        path
        for path in (root / "docs").rglob("*.md")
        if not {"node_modules", "api"} & set(path.relative_to(root / "docs").parts[:-1])
    ]


def without_code(text: str) -> str:
    """Return a page without what stands in fences."""
    return _FENCE.sub("", text)


def fences(text: str, language: str) -> list[str]:
    """Return what stands in the fences of a language, or of a directive such as "{toctree}"."""
    return [match["body"] for match in _FENCE.finditer(text) if match["language"].strip() == language]


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures of a page."""
    plain = re.sub(r"`[^`\n]*`", "", without_code(text))
    return re.findall(r"\]\(([^()\s]+)\)", plain)


def anchors(text: str) -> set[str]:
    """Return what a link to a page may have after "#": the slugs of its headings, and its own targets."""
    headings = re.findall(r"^#{1,3} (.+)$", without_code(text), re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))


def roles(text: str, name: str) -> list[str]:
    """Return the contents of a role, such as those of "py:func"."""
    return [re.sub(r"\s+", " ", each) for each in re.findall(rf"\{{{name}\}}`([^`]+)`", without_code(text))]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command that a page has the reader type into a shell."""
    for body in fences(text, "sh"):
        for line in body.replace("\\\n", " ").splitlines():
            typed = _COMMENT.sub("", line).strip()
            for part in typed.split(" && ") if typed and not typed.startswith("#") else []:
                yield shlex.split(part)
