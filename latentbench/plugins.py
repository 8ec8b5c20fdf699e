"""Choices that are added by adding a file: each module of a package, except `base`, can be chosen by its name."""

import importlib
import inspect
import pkgutil
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from latentbench.core.errors import InputError


def names(package: str) -> list[str]:
    """Return the choices in a package, such as "latentbench.networks.vaes", in alphabetical order.

    None of them is imported.
    """
    folder = Path(__file__).parent.joinpath(*package.split(".")[1:])
    return sorted(module.name for module in pkgutil.iter_modules([str(folder)]) if module.name != "base")


def load(package: str, name: str) -> ModuleType:
    """Import a choice and return it.

    Raises:
        InputError: there is none of that name.
    """
    if name not in names(package):
        where = package.replace(".", "/")
        raise InputError(f"there is no {name!r} in {where}; choose one of {', '.join(names(package))}, or add a file")
    return importlib.import_module(f"{package}.{name}")


def check_options(what: str, made_by: type, given: Collection[str], options: Mapping[str, Any]) -> None:
    """Refuse options that a class does not take.

    Args:
        what: what the message calls it.
        made_by: the class.
        given: arguments that it gets anyway.
        options: by name.

    Raises:
        InputError: there are some; the message lists those that it takes.
    """
    taken = [each for each in inspect.signature(made_by).parameters if each not in given]
    unknown = sorted(set(options) - set(taken))
    if unknown:
        raise InputError(f"{what} has no option {', '.join(unknown)}; it has {', '.join(taken) or 'none'}")
