"""The pages of reference, written from the code as they are built.

A page has a line `<!-- generated: NAME -->` where what this module writes belongs: params, stages, columns, figures or
commands. The library's API is a page for each module, in docs/reference/api, which git ignores.
"""

import contextlib
import io
import json
import os
import re
import runpy
import sys
from ast import get_docstring, parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import networkx
import yaml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from latentbench.core import artifacts
from latentbench.evaluation import columns
from latentbench.params import file as params_file
from latentbench.params.base import Section
from latentbench.params.training import Training
from tools.lib import glossary, params_notes, pipeline

ROOT = Path(__file__).resolve().parents[2]
_STEP_X, _STEP_Y = 176, 44  # from box to box of the picture of the stages
_BOX_X, _BOX_Y = 136, 30
_NOTHING = "nothing"
_MARK = re.compile(r"<!-- generated: (\w+) -->")
_FAMILIES = {
    "ae": "Autoencoders",
    "vae": "VAEs",
    "pca": "PCA",
    "isomap": "Isomap",
    "reductions": "Other reductions",
    "diffusion": "Diffusion models",
}


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
    # A recipe that nothing lists is there to be switched on.
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
        yield "No list in `rows` names it: it is there to be switched on.\n"
    elif common:
        yield f"A change of any of these reruns {common}.\n"
    for path, field in shown.items():
        names = [f"{name}.{path}".strip(".") for name in alike]
        anchor = names[0].replace(".", "-").replace("_", "-")
        yield f"(param-{anchor})=\n`{path if len(names) > 1 else names[0]}`\n: {_sentence(names[0], path)}\n"
        yield f"  - Type: {_type(field, schema)}."
        yield f"  - Default: {_default({name: _at(content, path) for name, content in alike.items()})}."
        yield "" if common else f"  - Reruns: {reruns[path]}.\n"
    if len(shown) < len(found):
        yield "The params of `training` are [below](#training).\n"


def _trainings(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield what each param of a recipe does, and then every recipe."""
    yield "(training)=\n## `training`\n"
    yield "Every network has a recipe, a section `training` within its own. A change of it reruns what a change of any "
    yield "other param of that network does.\n"
    schema = Training.model_json_schema()
    for path, field in _fields(schema, schema):
        sentence = _sentence(f"classifier.training.{path}", path)
        yield f"`training.{path}`\n: {sentence}\n\n  - Type: {_type(field, schema)}.\n"
    yield "### Recipes\n"
    for key, value in _recipes(content):
        yield f"`{key}`\n: {', '.join(f'`{name}: {_as_yaml(each)}`' for name, each in value.items())}\n"


def _recipes(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in content.items():
        if name == "training":
            yield f"{prefix}{name}", value
        elif isinstance(value, dict):
            yield from _recipes(value, f"{prefix}{name}.")


def _sentence(key: str, path: str) -> str:
    found = params_notes.of_param(ROOT / "params.yaml", key, path)
    if found is None:
        raise ExtensionError(f"nothing says what the param {key} does: a comment beside it in params.yaml, please")
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
    """Return what values a param may have, in words."""
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
        limits.append(f"that fits the pattern `{inner['pattern']}`")
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
        yield f"(stage-{name.replace('_', '-')})=\n## `{name}`\n"
        sentence = definition["desc"]
        yield f"{sentence[0].upper()}{sentence[1:]}. Its command is `{definition['cmd']}`.\n"
        if "matrix" in definition:
            yield f"It runs once for each row: {_code(runs)}.\n"
        yield f"Reads\n: {_code(data) or 'nothing but code and params'}\n"
        yield f"Params\n: {_code(definition.get('params', [])) or 'none'}\n"
        yield f"Writes\n: {_code(pipeline.outs(definition))}\n"
        yield f"Code\n: {_code(code)}\n"


@cache
def _needs() -> networkx.DiGraph:
    """Return the graph of the stages; edges run from what is needed to what needs it."""
    graph = networkx.DiGraph()
    graph.add_nodes_from(_yaml("dvc.yaml")["stages"])
    edges = ((before.split("@")[0], after.split("@")[0]) for before, after in _declared().graph.edges)
    graph.add_edges_from((before, after) for before, after in edges if before != after)
    return graph


@cache
def _in_order() -> list[str]:
    """Return the stages so that each follows those that it needs, else as they stand in dvc.yaml."""
    place = {name: number for number, name in enumerate(_yaml("dvc.yaml")["stages"])}
    return list(networkx.lexicographical_topological_sort(_needs(), key=place.__getitem__))


def _graph() -> Iterator[str]:
    """Yield a picture of the stages, each in the column after the last that it needs; direct needs have lines."""
    graph = networkx.transitive_reduction(_needs())
    column: dict[str, int] = {}
    for name in _in_order():
        column[name] = max((column[each] + 1 for each in graph.predecessors(name)), default=0)
    for name in _in_order()[::-1]:  # as far right as what follows allows, where nothing is needed
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
    yield f'<svg class="stages" viewBox="0 0 {width} {height}" role="img" aria-label="The stages and what each needs">'
    for before, after in graph.edges:
        (x, y), (to_x, to_y) = at[before], at[after]
        x, y, to_y = x + _BOX_X, y + _BOX_Y / 2, to_y + _BOX_Y / 2
        bend = min(_STEP_X - _BOX_X, to_x - x) * 0.6
        yield f'<path d="M{x:g},{y:g} C{x + bend:g},{y:g} {to_x - bend:g},{to_y:g} {to_x:g},{to_y:g}"/>'
    for name, (x, y) in at.items():
        yield f'<a href="#stage-{name.replace("_", "-")}">'
        yield f'<rect x="{x:g}" y="{y:g}" width="{_BOX_X}" height="{_BOX_Y}" rx="5"/>'
        yield f'<text x="{x + _BOX_X / 2:g}" y="{y + _BOX_Y / 2 + 4:g}">{name}</text></a>'
    yield "</svg>\n"


def _code(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


# Columns and figures


def _columns() -> Iterator[str]:
    told = set()
    for title, listed in (
        ("Representations", columns.REPRESENTATIONS),
        ("Generators", columns.GENERATORS),
        ("Likelihoods", columns.LIKELIHOODS),
        ("Trainings", columns.TRAINING),
    ):
        yield f"## {title}\n"
        for column in listed:
            if column.name not in told:
                yield f"(column-{column.name.replace('_', '-')})="
            told.add(column.name)
            interval = " It has a 95% interval: `_lo` and `_hi`." if column.interval else ""
            yield f"`{column.name}`\n: {_plain(column.meaning)}{interval}\n"
    yield "## Other tables\n"
    yield "A `*` stands for the name of a row.\n"
    for table, meanings in glossary.columns_by_table().items():
        if (table.startswith("evaluate/") and table.split("/")[1] in columns.COMPARISONS) or table == "training":
            continue
        yield f"### `{table}`\n"
        for name, sentence in meanings.items():
            yield f"`{name}`\n: {_plain(sentence)}\n"


def _figures() -> Iterator[str]:
    for path, sentence in glossary.figures_by_path().items():
        yield f"`metrics/{path}`\n: {_plain(sentence.replace('{row}', 'the row').replace('{name}', 'that name'))}\n"


def _plain(sentence: str) -> str:
    """Return a sentence so that nothing in it is taken for Markdown."""
    return re.sub(r"([*_<])", r"\\\1", sentence) if "`" not in sentence else sentence


# Commands


def _commands() -> Iterator[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    yield "## `make`\n"
    for name, sentence in re.findall(r"^([a-z-]+):.*## (.*)$", text, re.MULTILINE):
        yield f"(make-{name})=\n`make {name}`\n: {_plain(sentence[0].upper() + sentence[1:])}.\n"
    yield "## The modules behind them\n"
    yield "Each is a Python module that says the same by `--help`.\n"
    for module in _programs():
        yield f"### `python -m {module}`\n"
        yield f"```text\n{_help(module)}\n```\n"


def _programs() -> list[str]:
    """Return the modules that are run as programs and take options."""
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
        raise ExtensionError(f"'python -m {module} --help' does not say how it is used")
    return text.replace(f"{module.rpartition('.')[2]}.py", f"python -m {module}")


# The library


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


_WRITERS: dict[str, Callable[[], Iterator[str]]] = {
    "params": _params,
    "graph": _graph,
    "stages": _stages,
    "columns": _columns,
    "figures": _figures,
    "commands": _commands,
    "api": _api,
}


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
    """Put what is generated in the place of its mark."""
    content[0] = _MARK.sub(lambda match: "\n".join(_WRITERS[match[1]]()), content[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Add it to Sphinx."""
    app.connect("builder-inited", _write_api)
    app.connect("source-read", _fill)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _escape, priority=900)  # after napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
