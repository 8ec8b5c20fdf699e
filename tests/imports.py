"""What the project's files import, read from their source."""

import ast
from collections.abc import Collection
from pathlib import Path

METHODS = "latentbench.methods"


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


def packages_at_start(root: Path, start: str) -> set[str]:
    """Return the packages, the project's own apart, that importing a module imports: those of imports at the top level.

    Args:
        root: of the project.
        start: dotted name of the module.
    """
    found: set[str] = set()
    seen: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        path = (root / Path(*name.split("."))).with_suffix(".py")
        if name in seen:
            continue
        seen.add(name)
        if not path.is_file():
            if not (root / name.split(".")[0]).is_dir():
                found.add(name.split(".")[0])
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import):
                todo += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                todo += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def plugins_loaded(path: Path) -> set[str]:
    """Return the packages of which a file loads modules by name: `plugins.load("latentbench.networks.vaes", ...)`."""
    return {
        node.args[0].value
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func) == "plugins.load"
        and isinstance(node.args[0], ast.Constant)
    }


def project_modules(root: Path, start: str, methods: Collection[str] | None = None) -> set[str]:
    """Return the project's files that a module imports, however indirectly, itself included.

    Of a package that is loaded from by name these are all of its modules. Files named `__init__` are left out: they are
    empty, which a test holds.

    Args:
        root: of the project.
        start: dotted name of the module.
        methods: those that are loaded from latentbench.methods; None for all.
    """
    found: set[str] = set()
    todo = [start]
    while todo:
        path = Path(*todo.pop().split(".")).with_suffix(".py")
        if path.as_posix() not in found and (root / path).is_file():
            found.add(path.as_posix())
            for package in plugins_loaded(root / path):
                folder = root.joinpath(*package.split("."))
                chosen = methods if package == METHODS and methods is not None else None
                todo += [
                    f"{package}.{each.stem}"
                    for each in folder.glob("*.py")
                    if each.stem != "__init__" and (chosen is None or each.stem in chosen)
                ]
            for name in imported_modules(root / path):
                if "." in name:
                    todo += [name, name.rpartition(".")[0]]  # of `from a.b import c`: c may be a module or a name
    return found
