"""What a worker of the engine does: it runs stages through DVC in its own process, so that DVC starts only once.

A stage of the workspace runs in the workspace. The stages of experiments run in the worker's own clone, so that no two
workers write the same files, and a worker that dies leaves nothing for another to clear away. Clones exchange results
through DVC's cache; unfinished trainings are kept outside of it.

Everything here uses the folder, the environment and the output of the whole process: a worker does one thing at a time.
"""

import functools
import hashlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentbench.core.errors import LatentbenchError
from tools.lib import output

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

_N_LINES = 6  # of a log that an error shows
_CHECKPOINTS = Path(".dvc/tmp/latentbench")  # where stages that train keep their state, below DVC_ROOT
_LINKS = ["reflink", "hardlink", "copy"]  # from the cache into clones: copies of all data would take much space
_busy = threading.Lock()


class WorkerError(LatentbenchError):
    """A worker's task has failed; the message ends with the last lines of its log."""


@dataclass(frozen=True)
class Experiment:
    """An experiment to run.

    Attributes:
        name: in DVC.
        settings: params that differ from the commit's, as `dvc exp run --set-param` takes them.
        targets: stages to run, with what they need; all stages if empty.
    """

    name: str
    settings: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Project:
    """Where experiments come from and go to.

    Attributes:
        source: the repository to clone: a folder that all workers see, or an address.
        commit: that the experiments start from.
        run: a unique name for this run of the engine.
        identity: name and email address for commits.
        cache: DVC's cache, a folder that all workers see; None if they exchange results through DVC's remote.
    """

    source: str
    commit: str
    run: str
    identity: tuple[str, str]
    cache: str | None


@dataclass(frozen=True)
class Step:
    """A stage of an experiment.

    Attributes:
        stage: its name in DVC, such as "vae@vae_dense".
        key: the same for stages that do the same, in any experiment.
        after: the keys of the stages that it reads from.
        is_cached: whether DVC's cache has its outputs.
        trains: whether it computes on the device that params name.
    """

    stage: str
    key: str
    after: tuple[str, ...]
    is_cached: bool
    trains: bool


def reproduce(folder: str, stage: str, log: str, environment: Mapping[str, str | None]) -> None:
    """Do the same as `dvc repro --single-item` in a folder.

    Args:
        folder: of the project.
        stage: its name in DVC.
        log: file for what is printed.
        environment: variables for the stage; None unsets one.

    Raises:
        WorkerError: it fails.
    """
    with _at(Path(folder), Path(log), environment), _repo() as repo:
        repo.reproduce([stage], single_item=True)


def plan(project: Project, experiment: Experiment, log: str, environment: Mapping[str, str | None]) -> list[Step]:
    """Return the stages that an experiment needs, in an order in which they can run; nothing is run.

    Raises:
        WorkerError: DVC cannot plan them, for example because a param is wrong.
    """
    with _at(_clone(project), Path(log), environment):
        _become(project, experiment)
        with _repo() as repo:
            return _steps(repo, experiment.targets, pulled=project.cache is None)


def run_step(
    project: Project, experiment: Experiment, stage: str, log: str, environment: Mapping[str, str | None]
) -> None:
    """Run a stage of an experiment; what it reads comes from DVC's cache.

    Raises:
        WorkerError: it fails.
    """
    with _at(_clone(project), Path(log), environment):
        _become(project, experiment)
        with _repo() as repo:
            repo.reproduce([stage], pull=project.cache is None)
            if project.cache is None:
                repo.push([stage], run_cache=True)


def finish(project: Project, experiment: Experiment, log: str, environment: Mapping[str, str | None]) -> None:
    """Let DVC create the experiment, now that all its stages are cached, and push it to the project.

    Raises:
        WorkerError: it fails.
    """
    with _at(_clone(project), Path(log), environment):
        _reset(project)
        with _repo() as repo:
            # DVC leaves the experiment in the clone's workspace, which therefore counts as holding none.
            repo.experiments.run(
                list(experiment.targets) or None,
                params=list(experiment.settings),
                name=experiment.name,
                pull=project.cache is None,
            )
            pushed = repo.experiments.push("origin", [experiment.name], push_cache=project.cache is None)
        if experiment.name not in [*pushed.get("success", []), *pushed.get("up_to_date", [])]:
            raise WorkerError(f"{project.source} did not accept the experiment {experiment.name}: {pushed}")


@contextmanager
def _at(folder: Path, log: Path, environment: Mapping[str, str | None]) -> Iterator[None]:
    """Work in a folder with an environment; everything that this process and its children print goes to a file.

    Raises:
        WorkerError: the work fails.
    """
    from dvc.exceptions import DvcException  # slow to import
    from dvc.scm import SCMError

    with _busy:
        before, variables = Path.cwd(), dict(os.environ)
        log = log if log.is_absolute() else _own_folder() / log
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with output.into(log):
                os.chdir(folder)
                _set(environment)
                yield
        except (DvcException, SCMError, OSError) as error:
            raise WorkerError("\n".join([*_causes(error), *_end_of(log)])) from None
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(variables)


def _set(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    # DVC starts the stages with the first `python` on PATH.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def _causes(error: BaseException) -> list[str]:
    """Return the message of an error, followed by those of its causes."""
    said = [str(error)]
    while error.__cause__ is not None:
        error = error.__cause__
        said.append(str(error))
    return [": ".join(filter(None, said))]


def _end_of(log: Path) -> list[str]:
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    return [f"    {line.rstrip()}" for line in lines if line.strip()][-_N_LINES:]


def _repo() -> "Repo":
    """Return DVC's view of the current folder; it waits for other DVC processes as long as needed."""
    from dvc.repo import Repo

    _let_dvc_talk()
    return Repo(_wait_for_lock=True)


@functools.cache  # every further setup would repeat each message once more
def _let_dvc_talk() -> None:
    import dvc.logger

    dvc.logger.setup(level=logging.INFO)


def _clone(project: Project) -> Path:
    """Return this worker's clone of the project, creating it if needed."""
    name = f"{socket.gethostname()}-{os.getpid()}"
    top = Path(project.source) / ".dvc/tmp/engine/runs" / project.run if project.cache is not None else _own_folder()
    folder = top / "clones" / name
    if not (folder / ".ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _git(None, "clone", "--quiet", "--no-checkout", project.source, str(folder))
        try:
            _git(folder, "checkout", "--quiet", "--detach", project.commit)
        except WorkerError as error:
            raise WorkerError(f"{project.source} does not have the commit {project.commit}: push it first") from error
        for key, value in zip(("user.name", "user.email"), project.identity, strict=True):
            _git(folder, "config", key, value)
        _configure(project, folder)
        (folder / ".git/info/exclude").write_text("/.ready\n/.holds\n", encoding="utf-8")
        (folder / ".ready").touch()
    return folder


def _own_folder() -> Path:
    """Return the folder in which this worker may write if it shares none with the others."""
    from distributed import get_worker

    return Path(get_worker().local_directory).resolve()


def _configure(project: Project, folder: Path) -> None:
    """Connect a clone to the cache and the unfinished trainings that all clones share, if they share a folder."""
    from dvc.repo import Repo

    if project.cache is not None:
        own = Path(project.source) / ".dvc/config.local"
        if own.exists():
            shutil.copyfile(own, folder / ".dvc/config.local")
        kept = Path(project.source) / _CHECKPOINTS
        kept.mkdir(parents=True, exist_ok=True)
        (folder / _CHECKPOINTS).parent.mkdir(parents=True, exist_ok=True)
        (folder / _CHECKPOINTS).symlink_to(kept, target_is_directory=True)
    with Repo(str(folder)) as repo, repo.config.edit("local") as content:
        # What DVC stores about a clone is removed with it.
        content["core"] = {**content.get("core", {}), "site_cache_dir": str(folder / ".dvc/tmp/site")}
        if project.cache is not None:
            content["cache"] = {"type": _LINKS, **content.get("cache", {}), "dir": project.cache}


def _holds() -> Path:
    """Return the file that says which experiment the clone holds."""
    return Path(".holds")


def _become(project: Project, experiment: Experiment) -> None:
    """Give the clone, the current folder, the params of an experiment, and remove anything from others."""
    wanted = json.dumps(sorted(experiment.settings))
    if not _holds().exists() or _holds().read_text(encoding="utf-8") != wanted:
        _reset(project)
        if experiment.settings:
            from dvc.utils.hydra import apply_overrides

            apply_overrides("params.yaml", list(experiment.settings))
        _holds().write_text(wanted, encoding="utf-8")


def _reset(project: Project) -> None:
    """Reset the clone to the commit: an experiment must not see what rows of other experiments left."""
    _holds().unlink(missing_ok=True)
    here = Path.cwd()
    _git(here, "reset", "--quiet", "--hard", project.commit)
    _git(here, "clean", "--quiet", "-ffd")
    shutil.rmtree("data", ignore_errors=True)
    references = _git(here, "for-each-ref", "--format=delete %(refname)", "refs/exps")
    _git(here, "update-ref", "--stdin", stdin=references)


def _steps(repo: "Repo", targets: Sequence[str], *, pulled: bool) -> list[Step]:
    """Return the stages that some targets need; outputs that are cached are put in place."""
    import networkx
    from dvc.repo.reproduce import get_active_graph, plan_repro
    from dvc.stage.cache import RunCacheNotFoundError

    graph = get_active_graph(repo.index.graph)
    wanted = [stage for target in targets for stage in repo.stage.collect(target)]
    chosen = networkx.subgraph(graph, [s for w in wanted for s in (w, *networkx.descendants(graph, w))])
    steps: dict[str, Step] = {}
    if pulled:
        repo.stage_cache.pull(None)
    with repo.lock:
        for stage in plan_repro(chosen if targets else graph):
            upstream = [steps[other.addressing] for other in graph.successors(stage)]
            is_cached = all(step.is_cached for step in upstream)
            if is_cached and stage.changed():
                try:
                    repo.stage_cache.restore(stage, pull=pulled)
                except RunCacheNotFoundError:
                    is_cached = False
            after = tuple(step.key for step in upstream)
            params = params_of(stage)
            steps[stage.addressing] = Step(
                stage.addressing, _key(stage, params, after), after, is_cached, "device" in params
            )
    return list(steps.values())


def params_of(stage: "Stage") -> dict[str, Any]:
    """Return the params that a stage reads, by dotted key."""
    from dvc.dependency.param import ParamsDependency

    found: dict[str, Any] = {}
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            found |= dep.read_params()
    return found


def _key(stage: "Stage", params: Mapping[str, Any], after: Sequence[str]) -> str:
    """Return a key for what a stage of a commit does: its code and data come from the commit or from other stages."""
    facts = [stage.addressing, stage.cmd, json.dumps(params, sort_keys=True, default=str), *sorted(after)]
    return hashlib.sha256("\0".join(map(str, facts)).encode()).hexdigest()[:16]


def _git(folder: Path | None, *arguments: str, stdin: str | None = None) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkerError(f"'git {arguments[0]}' failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
