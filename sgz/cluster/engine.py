"""A run on a cluster: connect to it, look over its machines, spread the tasks by Ray Data.

Ray schedules, retries and scales; here is only what it is told. It is imported inside functions, as
it is an extra, takes a second, and changes the process that imports it.
"""

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial

from sgz.cluster.plan import Task
from sgz.cluster.workers import Job, PhotoWorker, check_machine, enhance_clips
from sgz.errors import UserError

FILES_AT_ONCE = 32  # photographs in one task; a lost worker's are begun anew
TASKS_A_CORE = 8  # at least, so that no core waits long for the last one
RETRIES = 4  # of a task whose machine was lost; a file that kills its worker must come to an end
CLIP_CORES = 4  # for one video, where the machines have as many
CONNECT_SECONDS = 5


@contextmanager
def connected(address: str) -> Iterator[None]:
    """A connection to the Ray cluster at "auto", "HOST:PORT", or to one begun here ("local").

    Raises:
        UserError: Ray is not installed, or there is no such cluster.
    """
    try:
        import pyarrow  # noqa: F401  Ray Data needs it and does not bring it by itself
        import ray
        import ray.data
    except ImportError as error:
        raise UserError("a cluster needs Ray; pip install 'sgz[cluster]'", "engine") from error
    if address not in ("auto", "local"):
        _knock(address)
    own = {"include_dashboard": False} if address == "local" else {}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with _quiet():
        try:
            ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **own)
        except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"no Ray cluster at {address} ({reason})", "address") from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray's own lines, of each machine lost and task begun again, to Ray's log folder.

    They come on standard output, and from compiled code on the descriptor behind sys.stderr.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with os.fdopen(nowhere, "w") as silence, os.fdopen(os.dup(kept), "w", 1) as errors:
            ours = errors if sys.stderr is sys.__stderr__ else sys.stderr
            with redirect_stdout(silence), redirect_stderr(ours):
                yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _knock(address: str) -> None:
    """UserError where nobody listens: Ray itself would try for a minute."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f"no Ray cluster at {address} ({error})", "address") from error


@dataclass(frozen=True)
class Machines:
    """What the cluster has now; it may grow and shrink."""

    count: int
    cores: int
    most_cores: int
    gpus: int


def look_over(job: Job) -> Machines:
    """Ask every machine of the cluster whether it can do the job.

    Raises:
        UserError: one has no sgz or another version, or cannot reach source or target; or none
            has a core.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def installed() -> str:  # inside a function it travels as code, to where there is no sgz too
        try:
            import sgz

            return sgz.__version__
        except ImportError:
            return ""

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    if not nodes:
        raise UserError("the Ray cluster has no cores; start it with some (ray start --num-cpus)")
    places = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]

    def ask(function, *arguments) -> list:
        task = ray.remote(num_cpus=0, max_retries=1)(function)
        waiting = [task.options(scheduling_strategy=p).remote(*arguments) for p in places]
        try:
            return list(zip(nodes, ray.get(waiting), strict=True))
        except RayError as error:
            raise _given_up(error) from error

    for node, version in ask(installed):
        if version != job.version:
            name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            found = f"has sgz {version}" if version else "has no sgz"
            raise UserError(f"{name} {found}; install {job.version} there, as it is here")
    for node, trouble in ask(check_machine, job):
        if trouble:
            raise UserError(f"on {node['NodeManagerHostname']}: {trouble}")
    cores = [int(node["Resources"]["CPU"]) for node in nodes]
    gpus = sum(int(node["Resources"].get("GPU", 0)) for node in nodes)
    return Machines(len(nodes), sum(cores), max(cores), gpus)


def enhance_photos(job: Job, tasks: list[Task], machines: Machines) -> Iterator[dict]:
    """Each photograph's Outcome as a dict, as they come; one whose worker died has none.

    A pool of workers, one a core (or one a GPU), grows with the cluster and outlives its machines.
    """
    from ray.data import ActorPoolStrategy

    wanted = len(tasks) // (TASKS_A_CORE * machines.cores)
    return _run(
        tasks,
        min(max(wanted, 1), FILES_AT_ONCE),
        fn=PhotoWorker,
        fn_constructor_args=(job,),
        compute=ActorPoolStrategy(min_size=1),
        num_cpus=1,
        num_gpus=_gpus(job),
        max_task_retries=RETRIES,
    )


def enhance_videos(job: Job, tasks: list[Task], machines: Machines) -> Iterator[dict]:
    """Each video's Outcome as a dict, as they come; a task for each."""
    return _run(
        tasks,
        1,
        fn=partial(enhance_clips, job=job),
        num_cpus=min(CLIP_CORES, machines.most_cores),
        num_gpus=_gpus(job),
        max_retries=RETRIES,
    )


def _gpus(job: Job) -> int:
    """That one worker takes for itself."""
    return int(str(job.arguments.get("device", "cpu")).startswith("cuda"))


def _run(tasks: list[Task], files: int, **options) -> Iterator[dict]:
    """Map tables of tasks to tables of outcomes, `files` rows a task of Ray."""
    import pyarrow
    import ray.data
    from ray.exceptions import RayError

    if not tasks:
        return
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.max_errored_blocks = -1  # whatever one file does to its worker, the others are done
    tables = [
        pyarrow.Table.from_pylist([task.row() for task in tasks[i : i + files]])
        for i in range(0, len(tasks), files)
    ]
    with warnings.catch_warnings():  # it will rename what bounds the retries
        warnings.simplefilter("ignore")
        outcomes = ray.data.from_arrow(tables).map_batches(
            batch_size=None, batch_format="pyarrow", **options
        )
    try:
        batches = outcomes.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        for batch in batches:
            yield from batch.to_pylist()
    except RayError as error:
        raise _given_up(error) from error


def _given_up(error: Exception) -> UserError:
    """What is said where Ray itself fails; its last words are the cause."""
    reason = " ".join(str(error).split())[-300:]
    return UserError(f"the Ray cluster gave up ({reason}); --skip_existing goes on")
