"""What the project's files import, read from their source."""

import ast
from pathlib import Path


def imported_modules(path: Path) -> set[str]:
    """Return the dotted names that a file imports, each name of a `from` import included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def project_modules(root: Path, start: str) -> set[str]:
    """Return the project's files that a module imports, however indirectly, itself included.

    Files named `__init__` are left out: they are empty, which a test holds.
    """
    found: set[str] = set()
    todo = [start]
    while todo:
        path = Path(*todo.pop().split(".")).with_suffix(".py")
        if path.as_posix() not in found and (root / path).is_file():
            found.add(path.as_posix())
            for name in imported_modules(root / path):
                if "." in name:
                    todo += [name, name.rpartition(".")[0]]  # of `from a.b import c`: c may be a module or a name
    return found
