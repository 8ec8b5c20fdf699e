"""What every section of params.yaml shares: how it is read, strictness, errors that name the key, a stage's view."""

import re
import reprlib
from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, PrivateAttr, ValidationError

from latentbench.core.errors import LatentbenchError

_MOST_SHOWN = 300  # characters of a value in a message
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 4
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 20
_SHORT.maxstring = _SHORT.maxother = _MOST_SHOWN


_POWER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z")


class ParamsError(LatentbenchError):
    """params.yaml holds something that is not allowed; the message names each key, its value and what is allowed."""


class UndeclaredParamError(Exception):
    """A stage read a param that it does not declare in dvc.yaml: changing it would leave a stale result."""


class _Loader(yaml.SafeLoader):
    """Reads 1e-05 as a number, and refuses a key that appears twice in a section, where YAML would use the last.

    DVC reads and writes YAML 1.2: `dvc exp run -S` writes 1e-05 for both 0.00001 and 1.0e-5, which YAML 1.1 reads as
    text.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[str, yaml.Mark] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in first:
                    raise yaml.constructor.ConstructorError(
                        f"{key.value} appears here", first[key.value], "and again here", key.start_mark
                    )
                first[key.value] = key.start_mark
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _POWER, list("-+.0123456789"))


def read(path: Path) -> Any:
    """Return the content of a params file.

    Raises:
        OSError: it cannot be read.
        ValueError, RecursionError, yaml.YAMLError: it is not text or not YAML, or has a key twice.
    """
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str | bytes) -> Any:
    """Return the content of a params file with this text, as `read` does."""
    return _Loader(text).get_single_data()


S = TypeVar("S", bound="Section")


class Section(BaseModel):
    """A part of params.yaml. Unknown keys, wrong types and impossible values are refused; nothing is coerced.

    Sections that a `View` hands out also refuse access to a key that the stage did not declare.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    _prefix: str = PrivateAttr(default="")
    _view: "View | None" = PrivateAttr(default=None)

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if name.startswith("_") or name not in type(self).model_fields:
            return value
        private = super().__getattribute__("__pydantic_private__")
        view = private and private["_view"]
        if view:
            view.note_read(private["_prefix"] + name, value)
        return value

    def values(self) -> dict[str, Any]:
        """Return every param of the section by name; all of them count as read."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def _attach(self, view: "View", prefix: str) -> Self:
        for name in type(self).model_fields:
            value = super().__getattribute__(name)
            if isinstance(value, Section):
                value._attach(view, f"{prefix}{name}.")
        self._prefix, self._view = prefix, view
        return self


class View:
    """The params that one stage may read.

    Args:
        params: the content of params.yaml.
        declared: keys that dvc.yaml lists for the stage, dotted; a key covers all that lies below it.
    """

    def __init__(self, params: Mapping[str, Any], declared: Collection[str]) -> None:
        self._params = params
        self._declared = frozenset(declared)
        self.read: set[str] = set()

    def section(self, model: type[S], key: str = "") -> S:
        """Return the section at a dotted `key` (the top level for an empty one) as `model`.

        Raises:
            ParamsError: what is there does not fit the model.
        """
        content: Any = self._params
        for part in key.split(".") if key else []:
            content = content.get(part) if isinstance(content, Mapping) else None
        if not key:  # the top level: this model's own scalars, the sections beside them left out
            content = {name: content[name] for name in model.model_fields if name in content}
        return validate(model, content, key)._attach(self, f"{key}." if key else "")

    def content(self) -> dict[str, Any]:
        """Return the content of each declared key; none of it counts as read."""
        found = {}
        for key in sorted(self._declared):
            content: Any = self._params
            for part in key.split("."):
                content = content.get(part) if isinstance(content, Mapping) else None
            found[key] = content
        return found

    def note_read(self, key: str, value: object) -> None:
        """Record that a key was read; for sections, only the keys read from them are recorded.

        Raises:
            UndeclaredParamError: the stage does not declare it.
        """
        if isinstance(value, Section):
            return
        if not any(key == name or key.startswith(f"{name}.") for name in self._declared):
            raise UndeclaredParamError(
                f"param {key!r} is read but not declared; this stage declares in dvc.yaml: "
                + ", ".join(sorted(self._declared))
            )
        self.read.add(key)


def validate(model: type[S], content: object, key: str = "") -> S:
    """Return `content` as `model`.

    Raises:
        ParamsError: it does not fit; the message has a line for each key, prefixed by `key`.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ParamsError("\n".join(_describe(item, model, key) for item in error.errors())) from None


def _describe(item: Any, model: type[Section], key: str) -> str:
    path = [str(part) for part in item["loc"]]
    name = ".".join([key, *path] if key else path) or "params.yaml"
    if item["type"] == "extra_forbidden":
        return f"{name}: there is no such param (its value is {_shown(item['input'])}); {_known_keys(model, path)}"
    if item["type"] == "missing":
        return f"{name}: this param is missing"
    if item["type"] == "value_error":
        return f"{name}: {item['ctx']['error']}" if name != "params.yaml" else str(item["ctx"]["error"])
    hint = ""
    if isinstance(item["input"], str) and item["type"] in ("float_type", "int_type"):
        hint = " (text, not a number)"
    return f"{name}: {item['msg'][0].lower()}{item['msg'][1:]}, not {_shown(item['input'])}{hint}"


def _shown(value: object) -> str:
    """Return a value as text short enough for a message: with aliases, a few lines of YAML can expand to any length."""
    text = _SHORT.repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _known_keys(model: type[Section], path: list[str]) -> str:
    for part in path[:-1]:
        field = model.model_fields.get(part)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, Section)):
            break
        model = inner
    return "allowed here: " + ", ".join(model.model_fields)
