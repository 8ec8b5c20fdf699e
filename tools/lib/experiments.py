"""DVC experiments for the tools: check, find and read them.

An experiment belongs to the commit that it started from, and DVC stores it as a git reference under that commit's hash.
It runs in a copy of the project, so that the workspace does not change. A stage that ran before, under another name or
from another commit with the same code, comes from DVC's cache.
"""

import functools
import io
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from latentbench.core import artifacts
from latentbench.core.errors import LatentbenchError
from latentbench.params import base
from tools.lib import cache

# Files that an experiment takes from the commit.
_OF_THE_COMMIT = ("params.yaml", "reference.yaml", "dvc.yaml", "dvc.lock", "latentbench", "stages", "metrics/evaluate")


class ExperimentError(LatentbenchError):
    """An experiment cannot be run or read; the message says what to do."""


def check_committed() -> None:
    """Refuse a workspace whose pipeline has changed since the last commit, under which DVC would store experiments.

    Raises:
        ExperimentError: a file of the pipeline has changed since.
    """
    changed = changed_files()
    if changed:
        names = ", ".join(changed[:5]) + (", ..." if len(changed) > 5 else "")
        raise ExperimentError(f"changed since the last commit: {names}; commit the changes first, or undo them")


def changed_files() -> list[str]:
    """Return the files of the pipeline that have changed since the last commit."""
    return [line[3:] for line in _git("status", "--porcelain", "--", *_OF_THE_COMMIT).splitlines()]


def check_reproduced() -> None:
    """Refuse a commit whose results do not belong to its code and params.

    Raises:
        ExperimentError: a stage is out of date.
    """
    stale = yaml.safe_load(_run("dvc", "status", "--json", capture=True)) or {}
    if stale:
        names = ", ".join(sorted(stale)[:5])
        raise ExperimentError(f"out of date: {names}; run 'make repro', then commit dvc.lock and metrics/")


def settings(changes: Mapping[str, object]) -> list[str]:
    """Return params by dotted key as `dvc exp run --set-param` takes them, without those that equal the commit's."""
    committed = committed_params()
    return [f"{key}={_yaml(value)}" for key, value in changes.items() if value_at(committed, key) != value]


def made(name: str, changes: Mapping[str, object]) -> str:
    """Return the revision of an experiment that has been run.

    Raises:
        ExperimentError: there is none of this name, or it has other params.
    """
    revision = found().get(name)
    if revision is None:
        raise ExperimentError(
            f"{name}: DVC ended without an error but left no experiment; 'dvc exp list' shows what there is"
        )
    params = base.parse(_show(revision, "params.yaml"))
    wrong = [key for key, value in changes.items() if value_at(params, key) != value]
    if wrong:
        raise ExperimentError(
            f"{name}: an experiment of this name has other {', '.join(wrong)}; run 'dvc exp remove {name}' first"
        )
    return revision


def receive(name: str, *, exchange: bool) -> None:
    """Fetch an experiment into this repository, if its worker could not put it there itself.

    Raises:
        ExperimentError: the git remote does not have it.
    """
    if exchange:
        _run("dvc", "exp", "pull", "--no-cache", "origin", name)


def identity() -> tuple[str, str]:
    """Return the name and the email address that git uses for commits.

    Raises:
        ExperimentError: git does not know who you are.
    """
    name, _, rest = _git("var", "GIT_COMMITTER_IDENT").partition(" <")
    return name, rest.partition(">")[0]


def origin() -> str:
    """Return the address of the git remote `origin`.

    Raises:
        ExperimentError: there is none.
    """
    return _git("remote", "get-url", "origin").strip()


def found() -> dict[str, str]:
    """Return the revision of each experiment of the last commit, by name."""
    head = revision_of("HEAD")
    listed = _git("for-each-ref", "--format=%(refname:lstrip=4) %(objectname)", f"refs/exps/{head[:2]}/{head[2:]}/")
    return dict(line.rsplit(" ", 1) for line in listed.splitlines())


def revision_of(name: str) -> str:
    """Return the full hash of a commit."""
    return _git("rev-parse", name).strip()


def resolve(name: str) -> str:
    """Return the revision of an experiment or commit.

    An experiment of the last commit comes first, then what git knows by this name, then experiments of other commits.

    Raises:
        ExperimentError: there is none, or there are several experiments of this name.
    """
    of_this_commit = found().get(name)
    if of_this_commit:
        return of_this_commit
    try:
        return _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
    except ExperimentError:
        elsewhere = _git("for-each-ref", "--format=%(objectname)", f"refs/exps/*/*/{name}").split()
    if len(elsewhere) != 1:
        count = f"{len(elsewhere)} experiments" if elsewhere else "no experiment or commit"
        raise ExperimentError(f"{name}: {count} found with this name; 'dvc exp list --all-commits' shows what there is")
    return elsewhere[0]


def committed_params() -> dict[str, Any]:
    """Return params.yaml of the last commit."""
    return params_of("HEAD")


def params_of(revision: str) -> dict[str, Any]:
    """Return params.yaml of a revision."""
    content: dict[str, Any] = base.parse(_show(revision, "params.yaml"))
    return content


def value_at(params: Mapping[str, Any], key: str) -> Any:
    """Return the param at a dotted key.

    Raises:
        ExperimentError: there is none.
    """
    content: Any = params
    for part in key.split("."):
        if not isinstance(content, Mapping) or part not in content:
            raise ExperimentError(f"{key}: there is no such param in params.yaml")
        content = content[part]
    return content


def put(params: dict[str, Any], key: str, value: Any) -> None:
    """Set a param by its dotted key; copy the sections on the way.

    Raises:
        ExperimentError: there is no such param.
    """
    value_at(params, key)
    *path, last = key.split(".")
    section = params
    for part in path:
        section[part] = dict(section[part])
        section = section[part]
    section[last] = value


def read_value(key: str, text: str) -> Any:
    """Return a value of a param from text, with the type of the committed one.

    Raises:
        ExperimentError: it has another type, or there is no such param.
    """
    committed, value = value_at(committed_params(), key), base.parse(text)
    if isinstance(value, str):  # YAML reads 1e-3 as text
        try:
            value = float(value)
        except ValueError:
            value = text
    if isinstance(committed, float) and are_numbers([value]):
        return float(value)
    if committed is not None and type(value) is not type(committed):
        raise ExperimentError(f"{key}={text}: the committed value is {committed!r}; this one has another type")
    return value


def are_numbers(values: Sequence[object]) -> bool:
    """Return whether all are numbers; true and false are not."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested params by dotted key."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        key = f"{prefix}{name}"
        flat |= flatten(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return flat


def table(revision: str, name: str) -> pd.DataFrame:
    """Return a comparison that the stage evaluate wrote in a revision, such as "generators", with rows as index."""
    return pd.read_csv(io.StringIO(_show(revision, f"metrics/evaluate/{name}.csv"))).set_index("row")


def metrics(revision: str, row: str) -> dict[str, Any]:
    """Return the numbers that the stage of a row wrote in a revision.

    Raises:
        ExperimentError: there are none.
    """
    content: dict[str, Any] = yaml.safe_load(_show(revision, f"metrics/{row}/metrics.json"))
    return content


def check_one_judge(judges: "pd.Series[str]") -> None:
    """Refuse to compare generated images in the features of different classifiers, identified by their hashes.

    Raises:
        ExperimentError: the classifiers differ.
    """
    if judges.nunique() > 1:
        raise ExperimentError(
            f"the runs have different classifiers ({', '.join(sorted(judges.unique()))}), so their Fréchet distances "
            "cannot be compared; run all of them from one commit"
        )


def fetch(revision: str, path: str, destination: Path) -> None:
    """Copy a file or folder of outputs from a revision to `destination`, which must not exist yet.

    They come straight from DVC's cache. If something is missing there, DVC itself looks for it, also in a remote.

    Raises:
        ExperimentError: it cannot be found, or the cache has something else in its place.
    """
    kept = _cache(Path.cwd())
    outs = {out: known for out, known in outputs(revision).items() if Path(out).is_relative_to(path)}
    by_out = [list(cache.files(Path(out), known, kept)) for out, known in outs.items()]
    files = [each for found in by_out for each in found]
    if not by_out or not all(by_out) or not all(cache.place(known, kept).is_file() for _, known in files):
        _run("dvc", "get", "--quiet", ".", path, "--rev", revision, "--out", str(destination))
        return
    for file, known in files:
        source, target = cache.place(known, kept), destination / file.relative_to(path)
        if cache.md5(source) != known:
            raise ExperimentError(f"{source} has changed since it was stored; 'make verify' lists every such file")
        artifacts.write_bytes(target, artifacts.read_bytes(source))


@functools.cache
def _cache(_project: Path) -> Path:
    """Return where DVC stores a project's outputs by their hash; the project is the current folder."""
    return cache_folder() / "files" / "md5"


def cache_folder() -> Path:
    """Return the folder of DVC's cache."""
    return Path.cwd() / _run("dvc", "cache", "dir", capture=True).strip()


def outputs(revision: str) -> dict[str, str]:
    """Return the hash of each output of a revision's stages, from its dvc.lock."""
    return _outputs(Path.cwd(), revision_of(revision))


@functools.cache  # dvc.lock has thousands of lines, and a comparison needs it twice
def _outputs(_project: Path, revision: str) -> dict[str, str]:
    stages = cache.outputs_by_stage(_show(revision, "dvc.lock"))
    return {path: known for outs in stages.values() for path, known in outs.items()}


def stage_that_writes(path: str) -> str:
    """Return DVC's name of the stage that writes an output in the last commit.

    Raises:
        ExperimentError: no stage does.
    """
    for name, outs in cache.outputs_by_stage(_show("HEAD", "dvc.lock")).items():
        if path in outs:
            return name
    raise ExperimentError(f"no stage in dvc.lock of the last commit writes {path}")


def _show(revision: str, path: str) -> str:
    return _git("show", f"{revision}:{path}")


def _git(*arguments: str) -> str:
    return _run("git", *arguments, capture=True)


def _run(*command: str, capture: bool = False) -> str:
    """Run a command to its end and return what it printed, if that is captured.

    Raises:
        ExperimentError: it fails.
    """
    # Where DVC looks for the python of the stages.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    pipe = subprocess.PIPE if capture else None
    with subprocess.Popen(command, env={**os.environ, "PATH": path}, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            out, err = process.communicate()
        except KeyboardInterrupt:
            process.wait()  # the terminal has interrupted it too: let it remove its copy of the project
            raise
    if process.returncode:
        said = f": {err.strip()}" if err else ""
        raise ExperimentError(f"'{' '.join(command[:3])}' failed with {process.returncode}{said}")
    return out or ""


def _yaml(value: object) -> str:
    """Return a scalar or list as YAML on one line, as --set-param takes it."""
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")
