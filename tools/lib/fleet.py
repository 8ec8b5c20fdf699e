"""DVC experiments on the engine: each runs in a clone, shared stages run once, and results come to this repository."""

import fcntl
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from latentbench.core import progress
from latentbench.core.errors import LatentbenchError
from tools.lib import engine, experiments, times, worker
from tools.lib.board import Board, clock
from tools.lib.engine import Done, Loop, Options, Task
from tools.lib.experiments import ExperimentError
from tools.lib.worker import Experiment, Project, Step

_ROOM = Path(".dvc/tmp/engine")
_LOGS = _ROOM / "logs"
_PLAN, _FINISH = "plan", "results"
_N_SHOWN = 8  # experiments with a line of their own
_N_TOLD = 3  # failures that an error lists


class DryRunError(LatentbenchError):
    """A dry run has listed what would run. This is not a failure."""


@dataclass
class _State:
    """The state of an experiment.

    Attributes:
        experiment: the experiment.
        changes: its params by dotted key, including those that equal the commit's.
        number: how many were submitted before it.
        steps: its stages, once DVC has planned them.
        left: the keys of the stages that still have to run.
        error: what ended it.
        is_finished: whether it is in this repository.
    """

    experiment: Experiment
    changes: Mapping[str, object]
    number: int
    steps: list[Step] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    error: str | None = None
    is_finished: bool = False

    @property
    def name(self) -> str:
        """Its name in DVC."""
        return self.experiment.name


class Fleet:
    """Experiments of the last commit, which run where the options say. The cluster starts when there is work.

    Args:
        options: where they run.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._stack = ExitStack()
        self._states: dict[str, _State] = {}
        self._plans: list[_State] = []
        self._by_task: dict[str, set[str]] = {}  # the names of the experiments that want a task, by its key
        self._loop: Loop | None = None
        self._seconds: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def n_workers(self) -> int:
        """How many workers there will be, as far as is known beforehand."""
        if self._options.jobs is not None:
            return self._options.jobs
        if self._options.engine == "local":
            return engine.local_jobs(experiments.committed_params()["threads"])
        return max(1, len(self._options.hosts))

    def run(self, wanted: Iterable[tuple[str, Mapping[str, object], Sequence[str]]]) -> list[str]:
        """Run experiments, each a name, its params by dotted key, and its targets; return their revisions.

        Raises:
            ExperimentError: one fails. The others have ended.
            DryRunError: this was a dry run, and it has listed what would run.
        """
        names = []
        for name, changes, targets in wanted:
            self.submit(name, changes, targets)
            names.append(name)
        return self.revisions(names)

    def submit(self, name: str, changes: Mapping[str, object], targets: Sequence[str] = ()) -> None:
        """Start an experiment unless there is one of this name; do not wait for it.

        Args:
            name: of the experiment.
            changes: params by dotted key.
            targets: stages to run, with what they need; all stages if empty.
        """
        if name in self._states:
            return
        settings = experiments.settings(changes)
        state = _State(Experiment(name, tuple(settings), tuple(targets)), changes, len(self._states))
        self._states[name] = state
        if name in experiments.found():
            progress.note(f"{name}: has already run")
            state.is_finished = True
        else:
            progress.note(f"{name}: {' '.join(settings) or 'as committed'}")
            self._plans.append(state)
            if self._loop is not None:
                self._plan()

    def revisions(self, names: Sequence[str]) -> list[str]:
        """Return the revisions of experiments that were submitted, once all of them have ended.

        Raises:
            ExperimentError, DryRunError: as for `run`.
        """
        states = [self._states[name] for name in names]
        while not all(self._is_over(state) for state in states):
            if self._loop is None:
                self._start()
            assert self._loop is not None
            self._take(self._loop.next())
        if self._options.dry_run and not all(state.is_finished for state in states):
            self._tell(states)
        failed = [state for state in states if state.error is not None]
        if failed:
            listed = [f"{state.name}: {state.error}" for state in failed[:_N_TOLD]]
            more = [f"and {len(failed) - _N_TOLD} more"] * (len(failed) > _N_TOLD)
            raise ExperimentError(
                "\n".join([f"{len(failed)} of {len(states)} experiments failed", *listed, *more])
                + f"\ntheir logs are in {_LOGS}; fix the cause and run the same command again: finished stages are kept"
            )
        return [experiments.made(state.name, state.changes) for state in states]

    def _is_over(self, state: _State) -> bool:
        return state.is_finished or state.error is not None or (self._options.dry_run and bool(state.steps))

    def _start(self) -> None:
        """Start the cluster, and let it plan what has been submitted."""
        run = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}"
        room = self._stack.enter_context(_own_room(run))
        self._seconds = times.of(Path.cwd())
        self._project = _project(run, exchange=self._options.exchange)
        threads = experiments.committed_params()["threads"]
        cluster = self._stack.enter_context(engine.opened(self._options, threads, len(self._plans), room.resolve()))
        self._loop = Loop(cluster, self._stack.enter_context(Board(self._lines)))
        self._plan()

    def _plan(self) -> None:
        """Let DVC plan which stages the newly submitted experiments need."""
        for state in self._plans:
            self._add(_PLAN, [state], worker.plan, (), rank=(-1, state.number))
        self._plans = []

    def _add(
        self,
        what: str,
        states: Sequence[_State],
        call: Callable[..., Any],
        arguments: tuple[Any, ...],
        *,
        key: str = "",
        after: Iterable[str] = (),
        rank: tuple[float, ...],
        trains: bool = False,
    ) -> None:
        first = states[0]
        name = f"{first.name}: {what}"
        self._by_task[key or name] = {state.name for state in states}
        assert self._loop is not None
        log = _LOGS / first.name / f"{what}.log"
        self._loop.add(
            Task(
                key or name,
                name,
                call,
                (self._project, first.experiment, *arguments),
                log if self._options.exchange else log.resolve(),
                frozenset(after),
                rank,
                trains=trains,
                seconds=self._seconds.get(what),
                near=first.name,
            )
        )

    def _take(self, done: Done) -> None:
        """Handle the end of a task."""
        key = done.task.key
        states = [self._states[name] for name in self._by_task.pop(key)]
        if done.error is not None:
            self._fail(states, f"{done.task.name.rpartition(': ')[2]} failed: {done.error}")
        elif key == f"{states[0].name}: {_PLAN}":
            states[0].steps = done.result
            if not self._options.dry_run:
                self._add_steps(states[0])
        elif key == f"{states[0].name}: {_FINISH}":
            experiments.receive(states[0].name, exchange=self._options.exchange)
            states[0].is_finished = True
        assert self._loop is not None
        for state in states:
            state.left.discard(key)
            if not self._loop.board.is_live:
                progress.note(self._line(state))

    def _add_steps(self, state: _State) -> None:
        """Queue the stages of an experiment that are not cached and do not already run for another experiment."""
        todo = {step.key: step for step in state.steps if not step.is_cached}
        assert self._loop is not None
        done = {key for key in todo if self._loop.knows(key) and key not in self._by_task}
        state.left = set(todo) - done
        behind = {
            key: sum(self._seconds.get(other.stage, 1.0) for other in _behind(step, state.steps))
            for key, step in todo.items()
        }
        for key, step in todo.items():
            if key in self._by_task:
                self._by_task[key].add(state.name)
            elif key not in done:
                self._add(
                    step.stage,
                    [state],
                    worker.run_step,
                    (step.stage,),
                    key=key,
                    after=set(step.after) & set(todo),
                    rank=(state.number, -behind[key]),
                    trains=step.trains,
                )
        self._add(_FINISH, [state], worker.finish, (), after=todo, rank=(state.number, -float("inf")))

    def _fail(self, states: Sequence[_State], error: str) -> None:
        """Mark experiments as failed; stages that no other experiment needs do not start."""
        assert self._loop is not None
        for state in states:
            state.error = error
            for wanting in self._by_task.values():
                wanting.discard(state.name)
        unwanted = {key for key, wanting in self._by_task.items() if not wanting}
        running = {task.key for task in self._loop.running}
        self._loop.drop(lambda task: task.key in unwanted)
        self._by_task = {key: wanting for key, wanting in self._by_task.items() if wanting or key in running}

    def _lines(self) -> list[str]:
        """Return a line for each experiment that is under way."""
        under_way = [state for state in self._states.values() if not (state.is_finished or state.error)]
        more = [f"and {len(under_way) - _N_SHOWN} more experiments"] * (len(under_way) > _N_SHOWN)
        return [*map(self._line, under_way[:_N_SHOWN]), *more]

    def _line(self, state: _State) -> str:
        if state.error is not None:
            return f"{state.name}: failed"
        if state.is_finished:
            return f"{state.name}: done"
        if not state.steps:
            return f"{state.name}: not planned yet"
        n_cached = sum(step.is_cached for step in state.steps)
        n_run = len(state.steps) - n_cached
        if self._options.dry_run:
            return f"{state.name}: {n_run} stages would run, {n_cached} are cached"
        text = f"{state.name}: {n_run - len(state.left)} of {n_run} stages done, {n_cached} cached"
        assert self._loop is not None
        left = [
            self._loop.board.left(task) for task in (*self._loop.running, *self._loop.waiting) if task.key in state.left
        ]
        known = [seconds for seconds in left if seconds is not None]
        return f"{text}, about {clock(sum(known))} of work left" if known and len(known) == len(left) else text

    def _tell(self, states: Sequence[_State]) -> None:
        """List what would run, and what is cached.

        Raises:
            DryRunError: always, at the end.
        """
        listed: dict[str, str] = {}
        for state in states:
            if state.is_finished or state.error is not None:
                continue
            for heading, steps in (
                ("from the cache", [step.stage for step in state.steps if step.is_cached]),
                ("would run", [s.stage for s in state.steps if not s.is_cached and s.key not in listed]),
                ("would run for", [f"{listed[s.key]}: {s.stage}" for s in state.steps if s.key in listed]),
            ):
                if steps:
                    progress.note(f"{state.name}: {heading}: {', '.join(steps)}")
            listed |= {step.key: state.name for step in state.steps if not step.is_cached and step.key not in listed}
        failed = [f"{state.name}: {state.error}" for state in states if state.error is not None]
        if failed:
            raise ExperimentError("\n".join(failed))
        raise DryRunError(f"{len(listed)} stages would run; nothing has been run")


def _behind(step: Step, steps: Sequence[Step]) -> list[Step]:
    """Return a step and those that depend on it, directly or not."""
    keys, found = {step.key}, [step]
    for other in steps:  # each comes after those that it reads from
        if keys & set(other.after):
            keys.add(other.key)
            found.append(other)
    return found


def _project(run: str, *, exchange: bool) -> Project:
    """Return where the workers find this project.

    Raises:
        ExperimentError: the git remote that `exchange` needs is missing, or git does not know who you are.
    """
    identity = experiments.identity()
    commit = experiments.revision_of("HEAD")
    if exchange:
        return Project(experiments.origin(), commit, run, identity, None)
    return Project(str(Path.cwd()), commit, run, identity, str(experiments.cache_folder()))


@contextmanager
def _own_room(run: str) -> Iterator[Path]:
    """Yield a folder for the clones of this run, readable by this user alone; it is removed at the end.

    So are the folders that killed runs have left.
    """
    room = _ROOM / "runs" / run
    room.mkdir(parents=True, mode=0o700)
    with (room / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for other in room.parent.iterdir():
            if other != room and _is_left(other):
                shutil.rmtree(other, ignore_errors=True)
        try:
            yield room
        finally:
            shutil.rmtree(room, ignore_errors=True)


def _is_left(room: Path) -> bool:
    """Return whether no process uses a folder of clones any more."""
    try:
        with (room / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:  # it is being created, or removed
        return False
    return True
