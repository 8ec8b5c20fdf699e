"""The library's API: a page for each module, written at each build into docs/reference/api, which git ignores.

The page `reference/api.md` has a line `<!-- built: modules -->` where the list of them belongs.
"""

import re
from ast import get_docstring, parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from latentbench.core import artifacts

ROOT = Path(__file__).resolve().parents[2]
_MARK = "<!-- built: modules -->"


def _modules() -> dict[str, str]:
    """Return the first sentence of each module of the library by its name."""
    found = {}
    for path in sorted((ROOT / "latentbench").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name != "__init__.py":
            said = get_docstring(parse(text))
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = (said or "").partition("\n")[0]
    return found


def _write_api(app: Sphinx) -> None:
    """Write the page of each module, and remove those of modules that are gone."""
    folder = Path(app.srcdir) / "reference/api"
    modules = _modules()
    for path in folder.glob("*.md"):
        if path.stem not in modules:
            path.unlink()
    for module in modules:
        text = f"# {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n```\n"
        path = folder / f"{module}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            artifacts.write_text(path, text)


def _api() -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    sentences = _modules()
    for module in sentences:
        groups.setdefault(module.rpartition(".")[0], []).append(module)
    for group, modules in groups.items():
        yield f"### `{group}`\n"
        yield "| module | what it is |\n|---|---|"
        for module in modules:
            sentence = sentences[module].replace("|", "\\|")
            yield f"| [{module.removeprefix('latentbench.')}](api/{module}.md) | {sentence} |"
        yield ""
    yield "```{toctree}\n:hidden:\n:glob:\n\napi/*\n```\n"


def _skip(*event: Any) -> bool | None:
    """Leave out what scikit-learn adds to every estimator; the name is the third argument of the event."""
    return True if re.fullmatch(r"set_\w+_request", event[2]) else None


def _escape(*event: Any) -> None:
    """Keep `(n, *shape)` and |x| in docstrings, the last argument, from being taken for markup."""
    lines: list[str] = event[-1]
    for place, line in enumerate(lines):
        parts = line.split("`")  # between backquotes they are safe
        parts[::2] = [re.sub(r"(?<!\\)([*|])", r"\\\1", part) for part in parts[::2]]
        lines[place] = re.sub(r"^(:ivar \w+)_:", r"\1\_:", "`".join(parts))


def _fill(_app: Sphinx, _name: str, content: list[str]) -> None:
    """Put the list of modules in the place of its mark."""
    content[0] = content[0].replace(_MARK, "\n".join(_api()))


def setup(app: Sphinx) -> dict[str, Any]:
    """Add it to Sphinx."""
    app.connect("builder-inited", _write_api)
    app.connect("source-read", _fill)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _escape, priority=900)  # after napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
