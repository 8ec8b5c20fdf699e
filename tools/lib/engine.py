"""The engine: runs tasks that are ready on the workers of a Dask cluster, and shows what runs and what waits.

A worker is a process with one thread that does one thing at a time; only one stage at a time uses a GPU of this
machine. Dask sends work to workers on this machine, on a batch system, over SSH or at any scheduler's address, and
moves it when a worker dies. DVC decides which stages are out of date, and which are cached.
"""

import argparse
import logging
import os
import queue
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentbench import machine
from latentbench.core import artifacts, progress
from latentbench.core.errors import LatentbenchError

if TYPE_CHECKING:
    from distributed import Client, Future

    from tools.lib.board import Board

_UNTIL_WORKERS_S = 600.0  # that a cluster without a queue may take to start its first worker
_UNTIL_TOLD_S = 60.0
_LOOK_S = 0.5
_MEMORY = "4GB"  # default of a job; a stage of Fashion-MNIST takes about 2
_MOST_JOBS = 16  # default of a batch system or over SSH
# The numerical libraries read these when they start: wherever a stage runs, it sees the values of the command.
_OF_THE_STAGES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_TRIM_THRESHOLD_")
_BATCH_SYSTEMS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "oar": "OARCluster",
    "htcondor": "HTCondorCluster",
    "moab": "MoabCluster",
}
# Dask serves its status pages at this address, not to the network.
_FREE_PORT = "127.0.0.1:0"  # any, so that several schedulers can run on one machine
_NO_PAGES = {"dashboard": False, "dashboard_address": _FREE_PORT}
_NO_PAGE_OF_A_WORKER = ["--no-dashboard", "--dashboard-address", _FREE_PORT]
# How seldom a worker wakes up while its stage runs. With Dask's defaults, two workers and their scheduler take a ninth
# of a core from the stages.
_RESTFUL = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
    "distributed.client.scheduler-info-interval": "60s",
}
_SETTINGS: dict[str, Any] = {
    **_RESTFUL,
    "distributed.nanny.pre-spawn-environ": {},  # would set how many threads the stages use
    "distributed.scheduler.work-stealing": False,  # a worker only gets what it can start at once
    "distributed.scheduler.worker-ttl": None,  # DVC may be busy for minutes with large files
    "distributed.comm.timeouts.connect": "60s",  # a machine can be busy when its workers start
    "distributed.dashboard.link": "",
}


class EngineError(LatentbenchError):
    """The engine cannot start, or something that it ran has failed; the message says what to do."""


@dataclass(frozen=True)
class Options:
    """Where work runs.

    Attributes:
        engine: local, slurm or another batch system, ssh, an address, or a Dask configuration file.
        jobs: how many workers; None for as many as are useful.
        hosts: machines of the engine ssh.
        dry_run: whether only to list what would run.
        exchange: whether workers share no folder with this machine, and exchange everything through the git remote and
            DVC's remote.
    """

    engine: str = "local"
    jobs: int | None = None
    hosts: tuple[str, ...] = ()
    dry_run: bool = False
    exchange: bool = False


@dataclass
class Task:
    """Something for a worker to do.

    Attributes:
        key: unique among tasks.
        name: shown to the user.
        call: an importable function, with keyword arguments `log` and `environment` beside its own.
        arguments: of `call`.
        after: the keys of the tasks that must be done first.
        rank: of the tasks that are ready, the one with the lowest rank goes first.
        trains: whether it needs a GPU, if the engine has any.
        log: file for what it prints.
        seconds: that it took when it was last measured.
        near: tasks with the same `near` go to the same worker if that worker is free.
        started: when it began, by the clock of `time.monotonic`.
        gpu: the GPU given to it.
        worker: the worker it was given to.
    """

    key: str
    name: str
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    log: Path
    after: frozenset[str] = frozenset()
    rank: tuple[float, ...] = ()
    trains: bool = False
    seconds: float | None = None
    near: str = ""
    started: float = 0.0
    gpu: str | None = None
    worker: str = ""


@dataclass
class Done:
    """A finished task, with what it returned, or with the error that ended it."""

    task: Task
    result: Any = None
    error: str | None = None


@dataclass
class Cluster:
    """Workers that take work.

    Attributes:
        client: of Dask.
        gpus: CUDA's names of the GPUs that the engine assigns; empty if it assigns none.
        said: which workers, in words.
    """

    client: "Client"
    gpus: list[str]
    said: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command the options for where experiments run."""
    group = parser.add_argument_group("where experiments run")
    group.add_argument(
        "--engine",
        default="local",
        help="local (default), slurm, pbs, sge, lsf, oar, htcondor, ssh, the address of a Dask scheduler "
        "(tcp://host:port, tls://host:port), or a YAML file with Dask's own configuration",
    )
    group.add_argument("--jobs", type=int, metavar="N", help="how many workers (default: as many as are useful)")
    group.add_argument("--hosts", nargs="+", default=[], help="machines for the engine ssh, one worker on each")
    group.add_argument("--dry-run", action="store_true", help="list what would run and what is cached; run nothing")
    group.add_argument(
        "--exchange",
        action="store_true",
        help="workers share no folder with this machine: they clone the git remote `origin` and use DVC's remote",
    )


def read_options(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Options:
    """Return the options that say where experiments run."""
    if arguments.jobs is not None and arguments.jobs < 1:
        parser.error(f"--jobs: at least 1 worker, not {arguments.jobs}")
    if (arguments.engine == "ssh") != bool(arguments.hosts):
        parser.error("--hosts: the engine ssh needs it, and no other engine takes it")
    return Options(arguments.engine, arguments.jobs, tuple(arguments.hosts), arguments.dry_run, arguments.exchange)


def local_jobs(threads: int | None) -> int:
    """Return how many stages this machine can run side by side: cores divided by threads per stage, at least 1."""
    cores = machine.n_cores()
    return max(1, cores // (threads or cores))


def gpus() -> list[str]:
    """Return CUDA's names of the GPUs of this machine that this process may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else []


@contextmanager
def opened(options: Options, threads: int | None, n_tasks: int, room: Path) -> Iterator[Cluster]:
    """Yield a cluster; it is closed when the block ends, whatever still runs on it.

    Args:
        options: which cluster.
        threads: of a stage, from params.yaml.
        n_tasks: how many tasks could run side by side.
        room: folder that all workers see, for what they share.

    Raises:
        EngineError: the cluster cannot start, or no worker does.
    """
    import dask
    import distributed

    logging.getLogger("distributed").setLevel(
        logging.ERROR
    )  # it warns of harmless things, such as a busy worker that ends
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_SETTINGS))
        kind, file = _kind(options.engine)
        if file is not None:
            import dask_jobqueue  # noqa: F401  # sets the defaults that the file changes

            whole = dask.config.merge(dask.config.config, file)
            stack.enter_context(dask.config.set({name: whole[name] for name in file}))
        here = gpus() if kind == "local" else []
        try:
            cluster, said = _cluster(stack, kind, options, threads, n_tasks, room)
            client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
            progress.note(f"workers: {said}")
            _wait_for_one(client, may_queue=kind in _BATCH_SYSTEMS)
            client.run(exec, "import tools.lib.worker")
        except ImportError as error:
            raise EngineError(
                f"{options.engine}: its workers cannot import the code of this project ({error}): start them in the "
                "project's folder, with 'python -m distributed.cli.dask_worker'"
            ) from error
        except (OSError, RuntimeError, TimeoutError) as error:
            raise EngineError(f"{options.engine}: no workers have started: {error}") from error
        n_threads = set(client.nthreads().values())
        if n_threads != {1}:
            raise EngineError(
                f"{options.engine}: its workers have {', '.join(map(str, sorted(n_threads)))} threads; start them with "
                "--nthreads 1, since a stage needs a process to itself"
            )
        # Dask gives workers some seconds to end; ending them after that is not an error.
        stack.callback(logging.getLogger("tornado.application").setLevel, logging.CRITICAL)
        yield Cluster(client, here, said)


def _cluster(
    stack: ExitStack, kind: str, options: Options, threads: int | None, n_tasks: int, room: Path
) -> tuple[Any, str]:
    """Return a cluster, or the address of one, and its workers in words; it is closed with the stack."""
    if "://" in kind:
        return kind, f"those of {kind}"
    if kind == "local":
        n = options.jobs or local_jobs(threads)
        return stack.enter_context(_local(n, room)), f"{n} on this machine"
    if kind == "ssh":
        return stack.enter_context(_ssh(options.hosts, room)), f"one on each of {', '.join(options.hosts)}"
    n = options.jobs or min(n_tasks, _MOST_JOBS)
    return stack.enter_context(_batch(kind, n, threads, room)), f"{n} by {kind}"


def _wait_for_one(client: "Client", *, may_queue: bool) -> None:
    """Wait for the first worker: in a queue as long as it takes, else for some minutes.

    Raises:
        TimeoutError: none has started.
    """
    waited = 0.0
    while True:
        try:
            client.wait_for_workers(1, timeout=_UNTIL_TOLD_S)
        except TimeoutError:
            waited += _UNTIL_TOLD_S
            if not may_queue and waited >= _UNTIL_WORKERS_S:
                raise
            progress.note(f"no worker has started in {waited:.0f} seconds; press Ctrl-C to give up")
        else:
            return


def _kind(engine: str) -> tuple[str, dict[str, Any] | None]:
    """Return the kind of engine, and the content of the file that describes it, if any."""
    import yaml

    if engine in ("local", "ssh", *_BATCH_SYSTEMS) or "://" in engine:
        return engine, None
    if not Path(engine).is_file():
        known = ", ".join(["local", "ssh", *_BATCH_SYSTEMS])
        raise EngineError(f"--engine: {engine} is not a file, an address or one of {known}")
    content = yaml.safe_load(artifacts.read_bytes(Path(engine)))
    if not isinstance(content, dict):
        raise EngineError(f"{engine}: this is not a Dask configuration")
    named = [name for name in content.get("jobqueue", {}) if name in _BATCH_SYSTEMS]
    address = content.get("scheduler-address")
    if len(named) + (address is not None) != 1:
        raise EngineError(
            f"{engine}: it must have either one batch system under jobqueue ({', '.join(_BATCH_SYSTEMS)}) or a "
            f"scheduler-address, but it has {', '.join(named) or 'neither'}"
        )
    return (address or named[0]), content


@contextmanager
def _local(n: int, room: Path) -> Iterator[Any]:
    """Yield workers on this machine, on its loopback; encrypted, since other users can reach that too."""
    from distributed import LocalCluster, Security

    with LocalCluster(
        n_workers=n,
        threads_per_worker=1,
        host="127.0.0.1",
        protocol="tls://",
        security=Security.temporary(),
        scheduler_kwargs=_NO_PAGES,
        memory_limit=0,  # a stage is a separate process, which Dask does not know
        local_directory=str(room),
        silence_logs=logging.CRITICAL,  # the caller reports what fails in a worker
    ) as cluster:
        yield cluster


@contextmanager
def _batch(kind: str, n: int, threads: int | None, room: Path) -> Iterator[Any]:
    """Yield workers that a batch system starts, each a job of its own with the cores that a stage uses."""
    import dask
    import dask_jobqueue
    from distributed import Security

    given = dask.config.get(f"jobqueue.{kind}")
    own: dict[str, Any] = {"cores": 1, "processes": 1}  # one thing at a time
    if kind == "slurm" and given.get("job-cpu") is None:
        own["job_cpu"] = threads or 1
    if given.get("memory") is None:
        own["memory"] = _MEMORY
    if given.get("log-directory") is None:
        own["log_directory"] = str(room / "jobs")
    variables = {name.upper().replace(".", "__").replace("-", "_"): value for name, value in _RESTFUL.items()}
    restful = [f"export DASK_{name}={value}" for name, value in variables.items()]
    with getattr(dask_jobqueue, _BATCH_SYSTEMS[kind])(
        **own,
        protocol="tls://",
        security=Security.temporary(),
        shared_temp_directory=str(room),
        job_script_prologue=[*restful, *(given.get("job-script-prologue") or [])],
        worker_extra_args=[*_NO_PAGE_OF_A_WORKER, *(given.get("worker-extra-args") or [])],
        scheduler_options={**_NO_PAGES, **(given.get("scheduler-options") or {})},
    ) as cluster:
        cluster.scale(jobs=n)
        try:
            yield cluster
        finally:
            for each in vars(cluster).values():  # keys and certificates: it would remove them after `room`, too late
                if hasattr(each, "delete"):
                    each.close()


@contextmanager
def _ssh(hosts: Sequence[str], room: Path) -> Iterator[Any]:
    """Yield a worker on each machine, started over SSH; all must see this folder under the same path."""
    import dask
    from distributed import Scheduler, Security, SpecCluster
    from distributed.deploy import ssh

    security = Security.temporary()
    secrets = security.get_tls_config_for_role("worker")
    files = {}
    for name in ("cert", "key"):  # in a folder that only this user can read, never in a command line
        files[name] = str(room / f"worker.{name}")
        artifacts.write_text(Path(files[name]), secrets[name])
        Path(files[name]).chmod(0o600)
    tls = {"ca-file": files["cert"], "worker": files}
    python = f"env -C {shlex.quote(str(Path.cwd()))} {shlex.quote(sys.executable)}"
    options = {"connect_options": {}, "kwargs": {"nthreads": 1, "memory_limit": 0}, "remote_python": python}
    is_here = set(hosts) <= {"localhost", "127.0.0.1"}
    scheduler = {"protocol": "tls://", "host": "127.0.0.1" if is_here else None, "port": 0, **_NO_PAGES}
    with (
        dask.config.set({"distributed.comm.tls": tls}),
        SpecCluster(
            workers={
                number: {"cls": ssh.Worker, "options": {**options, "address": host}}
                for number, host in enumerate(hosts)
            },
            scheduler={"cls": Scheduler, "options": {**scheduler, "security": security}},
            security=security,
        ) as cluster,
    ):
        yield cluster


class Loop:
    """Gives tasks to workers as they become ready, and collects them when they end.

    Args:
        cluster: that runs them.
        board: that shows them.
    """

    def __init__(self, cluster: Cluster, board: "Board") -> None:
        self.board = board
        self._cluster = cluster
        self._waiting: dict[str, Task] = {}
        self._running: dict[Future[Any], Task] = {}
        self._done: set[str] = set()
        self._home: dict[str, str] = {}
        self._over: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()

    @property
    def waiting(self) -> list[Task]:
        """The tasks that have not begun."""
        return list(self._waiting.values())

    @property
    def running(self) -> list[Task]:
        """The tasks that have begun."""
        return list(self._running.values())

    def add(self, task: Task) -> None:
        """Take a task; it runs when all tasks in its `after` are done."""
        self._waiting[task.key] = task

    def knows(self, key: str) -> bool:
        """Return whether a task with this key waits, runs or is done."""
        return key in self._waiting or key in self._done or any(task.key == key for task in self.running)

    def drop(self, unwanted: Callable[[Task], bool]) -> None:
        """Forget tasks that have not begun."""
        self._waiting = {key: task for key, task in self._waiting.items() if not unwanted(task)}

    def next(self) -> Done:
        """Wait until a task ends, and return it.

        Raises:
            EngineError: none runs, and none can start.
        """
        while True:
            self._give()
            if not self._running:
                stuck = ", ".join(task.name for task in self.waiting)
                raise EngineError(f"no stage is running, and these are waiting for missing inputs: {stuck or 'none'}")
            self.board.show(self.running, self.waiting)
            with suppress(queue.Empty):
                return self._take(self._over.get(timeout=_LOOK_S))

    def _give(self) -> None:
        """Give tasks that are ready to idle workers."""
        ready = sorted((task for task in self.waiting if task.after <= self._done), key=lambda task: task.rank)
        if not ready:
            return
        # Dask has moved the task of a dead worker to another one, which is busy too.
        busy = {address for address, tasks in self._cluster.client.processing().items() if tasks}
        busy |= {task.worker for task in self._running.values()}
        idle = sorted(set(self._cluster.client.nthreads()) - busy)
        free = [gpu for gpu in self._cluster.gpus if gpu not in {task.gpu for task in self._running.values()}]
        for task in ready:
            if not idle:
                return
            if task.trains and self._cluster.gpus:
                if not free:
                    continue
                task.gpu = free.pop(0)
            home = self._home.get(task.near, "")
            task.worker = home if home in idle else idle[0]
            idle.remove(task.worker)
            self._home[task.near] = task.worker
            self._begin(self._waiting.pop(task.key))

    def _begin(self, task: Task) -> None:
        environment = {name: os.environ.get(name) for name in _OF_THE_STAGES}
        if task.gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = task.gpu
        task.started = time.monotonic()
        future = self._cluster.client.submit(
            task.call,
            *task.arguments,
            log=str(task.log),
            environment=environment,
            pure=False,
            key=f"{task.key}-{time.monotonic_ns()}",
            workers=[task.worker],
            allow_other_workers=True,
        )
        self._running[future] = task
        future.add_done_callback(self._over.put)
        self.board.started(task)

    def _take(self, future: "Future[Any]") -> Done:
        task = self._running.pop(future)
        if future.status == "finished":
            self._done.add(task.key)
            done = Done(task, future.result())
        else:
            done = Done(task, error=_said(future.exception()))
        self.board.ended(done)
        return done


def _said(error: BaseException | None) -> str:
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        return f"its worker died repeatedly ({error.last_worker.address}); it may be short of memory"
    return str(error) or repr(error)
