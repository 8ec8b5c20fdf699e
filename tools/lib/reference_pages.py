"""The reference pages, made from the code: params, stages, columns, figures, commands, a picture of the stages."""

import contextlib
import io
import json
import os
import re
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import networkx
import yaml

from latentbench.core.errors import LatentbenchError
from latentbench.evaluation import columns
from latentbench.params import file as params_file
from latentbench.params.base import Section
from latentbench.params.training import Training
from tools.lib import glossary, params_notes, pipeline

ROOT = Path(__file__).resolve().parents[2]
_STEP_X, _STEP_Y = 176, 44  # from box to box in the picture of the stages
_BOX_X, _BOX_Y = 136, 30
_NOTHING = "nothing"
_STYLE = """
text { fill: #1f2328; font: 12.5px system-ui, sans-serif; text-anchor: middle }
rect { fill: #f6f8fa; stroke: #0969da }
path { fill: none; stroke: #656d76; stroke-width: 1.2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } rect { fill: #161b22; stroke: #4493f8 } path { stroke: #8d96a0 }
}
"""
_FAMILIES = {
    "ae": "Autoencoders",
    "vae": "VAEs",
    "pca": "PCA",
    "isomap": "Isomap",
    "reductions": "Other reductions",
    "diffusion": "Diffusion models",
}


class ReferencePageError(LatentbenchError):
    """A reference page cannot be written; the message says what is missing."""


@cache
def _yaml(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return content


@cache
def _declared() -> pipeline.Declared:
    return pipeline.Declared(ROOT)


# Params


def _params() -> Iterator[str]:
    content = _yaml("params.yaml")
    rows = {row: family for family, listed in content["rows"].items() for row in listed}
    # A recipe that is not listed can be switched on.
    rows |= {name: family for name, family in pipeline.families(content).items() if name not in rows}
    lists = {family: [row for row in rows if rows[row] == family] for family in content["rows"]}
    model = params_file.model_of({**content, "rows": lists})
    top = {name: value for name, value in content.items() if not isinstance(value, dict)}
    yield from _section("The top level", {"": top}, model)
    done = set[str]()
    for name in content:
        if name in top or name in done:
            continue
        alike = [name]
        if name in rows:
            alike = [row for row in rows if rows[row] == rows[name] and _model_at(model, row) is _model_at(model, name)]
        done |= set(alike)
        title = f"`{name}`"
        if name in rows:
            title = f"{_FAMILIES[rows[name]]}: {', '.join(f'`{row}`' for row in alike)}"
        yield from _section(title, {each: content[each] for each in alike}, _model_at(model, name))
    yield from _trainings(content)


def _model_at(model: type[Section], name: str) -> type[Section]:
    found = model.model_fields[name].annotation
    assert isinstance(found, type)
    return found


def _section(title: str, alike: Mapping[str, Any], model: type[Section]) -> Iterator[str]:
    """Yield a part of the page: the params of sections of one kind, such as all VAEs.

    Args:
        title: its heading.
        alike: the content of each section by its name; "" for the top level.
        model: of all of them.
    """
    key = next(iter(alike))
    yield f"## {title}\n"
    note = params_notes.of_section(ROOT / "params.yaml", key)
    if note:
        yield f"{note}\n"
    schema = model.model_json_schema()
    found = {path: field for path, field in _fields(schema, schema) if key or path in alike[key]}
    shown = {path: field for path, field in found.items() if ".training." not in f".{path}"}
    reruns = {path: _reruns(f"{name}.{path}".strip(".") for name in alike) for path in found}
    common = next(iter(reruns.values())) if len(set(reruns.values())) == 1 else None
    if common == _NOTHING:
        yield "Off by default: add its name to a list in `rows` to switch it on.\n"
    elif common:
        yield f"Changing any of these reruns {common}.\n"
    for path, field in shown.items():
        names = [f"{name}.{path}".strip(".") for name in alike]
        yield f"- **`{path if len(names) > 1 else names[0]}`**: {_sentence(names[0], path)}"
        default = _default({name: _at(content, path) for name, content in alike.items()})
        yield f"  Type: {_type(field, schema)}. Default: {default}."
        if not common:
            yield f"  Reruns: {reruns[path]}."
    yield ""
    if len(shown) < len(found):
        yield "The params of `training` are [below](#training).\n"


def _trainings(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each param of a recipe does, and then every recipe."""
    yield "## `training`\n"
    yield "Every network has a recipe: a section `training` within its own. Changing it reruns the same stages as "
    yield "changing any other param of that network.\n"
    schema = Training.model_json_schema()
    for path, field in _fields(schema, schema):
        sentence = _sentence(f"classifier.training.{path}", path)
        yield f"- **`training.{path}`**: {sentence} Type: {_type(field, schema)}."
    yield "\n### Recipes\n"
    for key, value in _recipes(content):
        yield f"- `{key}`: {', '.join(f'`{name}: {_as_yaml(each)}`' for name, each in value.items())}"
    yield ""


def _recipes(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in content.items():
        if name == "training":
            yield f"{prefix}{name}", value
        elif isinstance(value, dict):
            yield from _recipes(value, f"{prefix}{name}.")


def _sentence(key: str, path: str) -> str:
    found = params_notes.of_param(ROOT / "params.yaml", key, path)
    if found is None:
        raise ReferencePageError(f"nothing explains the param {key}: add a comment beside it in params.yaml")
    return found


def _reruns(keys: Iterable[str]) -> str:
    stages = {run.split("@")[0] for key in keys for run in _declared().after_param(key)}
    return ", ".join(f"`{name}`" for name in _in_order() if name in stages) or _NOTHING


def _fields(
    schema: Mapping[str, Any], top: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        inner = _resolved(field, top)
        options = [_resolved(option, top) for option in inner.get("anyOf", [inner])]
        section = next((option for option in options if option.get("properties")), None)
        if section and len(options) > 1:
            yield f"{prefix}{name}", field
        if section:
            yield from _fields(section, top, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _resolved(field: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in field:
        resolved: dict[str, Any] = top["$defs"][field["$ref"].rpartition("/")[2]]
        return resolved
    return dict(field)


def _at(content: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(content, Mapping) or part not in content:
            return None
        content = content[part]
    return content


def _type(field: Mapping[str, Any], top: Mapping[str, Any]) -> str:
    """Return which values a param may have, in words."""
    inner = _resolved(field, top)
    if "anyOf" in inner:
        return " or ".join(_type(option, top) for option in inner["anyOf"])
    if "enum" in inner or "const" in inner:
        return "one of " + ", ".join(f"`{value}`" for value in inner.get("enum", [inner.get("const")]))
    kind = inner.get("type")
    if kind == "null":
        return "`null`"
    if kind == "array":
        least, most = inner.get("minItems"), inner.get("maxItems")
        size = ""
        if least is not None and least == most:
            size = f" of exactly {least}"
        elif least is not None or most is not None:
            size = f" of {least or 0} to {most}" if most else f" of {least} or more"
        return f"list{size}, each: {_type(inner['items'], top)}"
    if kind == "object":
        return "section"
    words = {"integer": "integer", "number": "number", "boolean": "`true` or `false`", "string": "text"}[str(kind)]
    limits = [
        f"{text} {inner[name]:,}"
        for name, text in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
            ("multipleOf", "a multiple of"),
        )
        if name in inner
    ]
    if "pattern" in inner:
        limits.append(f"that matches the pattern `{inner['pattern']}`")
    return f"{words} {' and '.join(limits)}".strip()


def _default(defaults: Mapping[str, Any]) -> str:
    texts = {name: _as_yaml(value) for name, value in defaults.items()}
    if len(set(texts.values())) == 1:
        return f"`{next(iter(texts.values()))}`"
    return ", ".join(f"`{text}` ({name})" for name, text in texts.items())


def _as_yaml(value: object) -> str:
    return "null" if value is None else json.dumps(value) if isinstance(value, bool | list | dict) else str(value)


# Stages


def _stages() -> Iterator[str]:
    stages = _yaml("dvc.yaml")["stages"]
    declared = _declared()
    for name in _in_order():
        definition = stages[name]
        runs = [run for run in declared.runs if run.split("@")[0] == name]
        data = [dep for dep in definition["deps"] if not dep.startswith(("latentbench", "stages"))]
        code = [dep for dep in definition["deps"] if dep.startswith(("latentbench", "stages"))]
        yield f"## `{name}`\n"
        sentence = definition["desc"]
        yield f"{sentence[0].upper()}{sentence[1:]}. Its command is `{definition['cmd']}`.\n"
        if "matrix" in definition:
            yield f"It runs once for each row: {_code(runs)}.\n"
        yield f"- Reads: {_code(data) or 'only code and params'}"
        yield f"- Params: {_code(definition.get('params', [])) or 'none'}"
        yield f"- Writes: {_code(pipeline.outs(definition))}"
        yield f"- Code: {_code(code)}\n"


@cache
def _needs() -> networkx.DiGraph:
    """Return the graph of the stages; edges run from each stage to those that need it."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(_yaml("dvc.yaml")["stages"])
    edges = ((before.split("@")[0], after.split("@")[0]) for before, after in _declared().graph.edges)
    graph.add_edges_from((before, after) for before, after in edges if before != after)
    return graph


@cache
def _in_order() -> list[str]:
    """Return the stages so that each follows those that it needs, otherwise in the order of dvc.yaml."""
    place = {name: number for number, name in enumerate(_yaml("dvc.yaml")["stages"])}
    return list(networkx.lexicographical_topological_sort(_needs(), key=place.__getitem__))


def picture_of_stages() -> str:
    """Return a picture (SVG) of the stages, each in the column after the last that it needs, with lines between."""
    return "\n".join(_picture())


def _picture() -> Iterator[str]:
    graph = networkx.transitive_reduction(_needs())
    column: dict[str, int] = {}
    for name in _in_order():
        column[name] = max((column[each] + 1 for each in graph.predecessors(name)), default=0)
    for name in _in_order()[::-1]:  # a stage that needs none goes as far right as the next ones allow
        if not graph.in_degree(name):
            column[name] = min((column[each] - 1 for each in graph.successors(name)), default=0)
    columns = [[name for name in _in_order() if column[name] == number] for number in range(max(column.values()) + 1)]
    tallest = max(map(len, columns))
    at = {
        name: (number * _STEP_X, (place + (tallest - len(names)) / 2) * _STEP_Y)
        for number, names in enumerate(columns)
        for place, name in enumerate(names)
    }
    width, height = (len(columns) - 1) * _STEP_X + _BOX_X, tallest * _STEP_Y
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" viewBox="-1 -1 {width + 2:g} {height + 2:g}">'
    yield f"<title>The stages, and what each needs</title><style>{_STYLE}</style>"
    for before, after in sorted(graph.edges):
        (x, y), (to_x, to_y) = at[before], at[after]
        x, y, to_y = x + _BOX_X, y + _BOX_Y / 2, to_y + _BOX_Y / 2
        bend = min(_STEP_X - _BOX_X, to_x - x) * 0.6
        yield f'<path d="M{x:g},{y:g} C{x + bend:g},{y:g} {to_x - bend:g},{to_y:g} {to_x:g},{to_y:g}"/>'
    for name, (x, y) in at.items():
        yield f'<rect x="{x:g}" y="{y:g}" width="{_BOX_X}" height="{_BOX_Y}" rx="5"/>'
        yield f'<text x="{x + _BOX_X / 2:g}" y="{y + _BOX_Y / 2 + 4:g}">{name}</text>'
    yield "</svg>"


def _code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# Columns and figures


def _columns() -> Iterator[str]:
    for title, listed in (
        ("Representations", columns.REPRESENTATIONS),
        ("Generators", columns.GENERATORS),
        ("Likelihoods", columns.LIKELIHOODS),
        ("Trainings", columns.TRAINING),
    ):
        yield f"## {title}\n"
        for column in listed:
            interval = " It has a 95% interval: `_lo` and `_hi`." if column.interval else ""
            yield f"### `{column.name}`\n\n{_plain(column.meaning)}{interval}\n"
    yield "## Other tables\n"
    yield "A `*` stands for the name of a row.\n"
    for table, meanings in glossary.columns_by_table().items():
        if (table.startswith("evaluate/") and table.split("/")[1] in columns.COMPARISONS) or table == "training":
            continue
        yield f"### `{table}`\n"
        for name, sentence in meanings.items():
            yield f"- `{name}`: {_plain(sentence)}"
        yield ""


def _figures() -> Iterator[str]:
    for path, sentence in glossary.figures_by_path().items():
        yield f"- `metrics/{path}`: {_plain(sentence.replace('{row}', 'the row').replace('{name}', 'that name'))}"
    yield ""


def _plain(sentence: str) -> str:
    """Return a sentence with its Markdown characters escaped."""
    return re.sub(r"([*_<])", r"\\\1", sentence) if "`" not in sentence else sentence


# Commands


def _commands() -> Iterator[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    yield "## `make`\n"
    for name, sentence in re.findall(r"^([a-z-]+):.*## (.*)$", text, re.MULTILINE):
        yield f"- **`make {name}`**: {_plain(sentence)}"
    yield "\n## The modules behind them\n"
    yield "Each is a Python module; `--help` prints the same text.\n"
    for module in _programs():
        yield f"### `python -m {module}`\n"
        yield f"```text\n{_help(module)}\n```\n"


def _programs() -> list[str]:
    """Return the modules that run as programs and take options."""
    paths = [*sorted((ROOT / "latentbench").rglob("*.py")), *sorted((ROOT / "tools").glob("*.py"))]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in paths
        if {"__main__", "argparse"} <= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    ]


def _help(module: str) -> str:
    said = io.StringIO()
    with (
        mock.patch.object(sys, "argv", [module, "--help"]),
        mock.patch.dict(os.environ, {"COLUMNS": "100"}),
        contextlib.redirect_stdout(said),
        contextlib.suppress(SystemExit),
    ):
        kept = sys.modules.pop(module, None)
        try:
            runpy.run_module(module, run_name="__main__")
        finally:
            if kept is not None:
                sys.modules[module] = kept
    text = said.getvalue().strip()
    if not text.startswith("usage:"):
        raise ReferencePageError(f"'python -m {module} --help' does not print its usage")
    return text.replace(f"{module.rpartition('.')[2]}.py", f"python -m {module}")


_WRITERS: dict[str, Callable[[], Iterator[str]]] = {
    "params": _params,
    "stages": _stages,
    "columns": _columns,
    "figures": _figures,
    "commands": _commands,
}


def written(name: str) -> str:
    """Return the generated text of this name: params, stages, columns, figures or commands.

    Raises:
        ReferencePageError: nothing has this name, or the code lacks an explanation.
    """
    if name not in _WRITERS:
        raise ReferencePageError(f"nothing writes {name!r}; there are {', '.join(_WRITERS)}")
    return "\n".join(_WRITERS[name]()).strip()
