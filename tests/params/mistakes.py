"""Every kind of mistake in every param, made from the JSON schema of the params."""

import math
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from latentbench.params import file
from tools.lib.pipeline import families

_SCHEMAS: list[dict[str, Any]] = []  # of the params that are looked at

# What stands for each type in a message, and values that are of none of the others that it could be taken for.
TYPES: dict[str, tuple[str, list[Any]]] = {
    "integer": ("integer", ["many", 1.5, True, [1], {"of": 1}, math.nan, math.inf]),
    "number": ("number", ["much", True, [0.5], {"of": 1}, math.nan, math.inf]),
    "boolean": ("boolean", ["yes", 1, 0.0, [True]]),
    "string": ("string", [5, 0.5, False, ["text"], b"bytes"]),
    "array": ("list", [5, "text", True, {"0": 5}]),
}


def every_mistake(params: dict[str, Any]) -> list["Mistake"]:
    """Return all mistakes that can be made in the params, but for those within sections that are null."""
    schema = file.model_of(params).model_json_schema()
    _SCHEMAS[:] = [schema]
    return list(_mistakes(schema, "", params))


class Mistake(NamedTuple):
    """A value that a param must not have, and what the message about it must hold beside key and value."""

    key: str
    value: Any
    allowed: list[str]


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = _SCHEMAS[0]["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def _mistakes(schema: dict[str, Any], key: str, content: Any) -> Iterator[Mistake]:
    """Yield every kind of wrong value for all that lies at and below a key."""
    schema = _resolved(schema)
    if "anyOf" in schema:
        (schema,) = (_resolved(option) for option in schema["anyOf"] if option.get("type") != "null")
    elif schema.get("type") != "object":
        yield Mistake(key, None, [])
    if schema.get("type") == "object":
        there = {name: inner for name, inner in schema["properties"].items() if name in (content or ())}
        for name, inner in there.items():  # what has a default may be left out
            yield from _mistakes(inner, f"{key}.{name}" if key else name, content[name])
        if key:
            for value in (5, "text", [], True):
                yield Mistake(key, value, ["dictionary"])
        return
    if "enum" in schema:
        for value in ("none of these", 0.5, [schema["enum"][0]], 3):
            yield Mistake(key, value, [repr(each) for each in schema["enum"]])
        return
    word, wrong = TYPES[schema["type"]]
    for value in wrong:
        yield Mistake(key, value, [word])
    yield from _out_of_range(schema, key)
    if schema["type"] == "array":
        items = _resolved(schema["items"])
        if items.get("type") != "object":
            # Of one wrong item, whose place is part of the key.
            for inner in _mistakes(items, f"{key}.0", None):
                yield Mistake(key, [inner.value, *content[1:]] if content else [inner.value] * 2, inner.allowed)


def _out_of_range(schema: dict[str, Any], key: str) -> Iterator[Mistake]:
    whole = schema["type"] == "integer"
    step = schema.get("multipleOf", 1) if whole else 1e-9  # so that no other rule is broken
    number = int if whole else float
    for name, change in (("minimum", -step), ("exclusiveMinimum", 0), ("maximum", step), ("exclusiveMaximum", 0)):
        if name in schema:
            yield Mistake(key, number(schema[name] + change), [str(schema[name])])
    if "multipleOf" in schema:
        yield Mistake(key, 100 * schema["multipleOf"] + 1, [str(schema["multipleOf"])])
    if "pattern" in schema:
        yield Mistake(key, "a/b\\c", [schema["pattern"]])
        yield Mistake(key, "", [schema["pattern"]])
    if "minItems" in schema:
        yield Mistake(key, [], [str(schema["minItems"])])
    if "maxItems" in schema:
        yield Mistake(key, [5] * (schema["maxItems"] + 1), [str(schema["maxItems"])])


def with_value(params: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return the params with another value at a key."""
    content = deepcopy(params)
    *path, last = key.split(".")
    section = content
    for part in path:
        section = section[part]
    section[last] = value
    return content


def with_every_row(params: dict[str, Any]) -> dict[str, Any]:
    """Return the params with each row listed that is off by default: sections of others are not looked at."""
    for family in ("reductions", "ae", "vae"):
        params = with_value(params, f"rows.{family}", [row for row, own in families(params).items() if own == family])
    return params
