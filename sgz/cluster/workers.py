"""What a worker does: it builds one Enhancer and does files with it, one row of a table each."""

import os
import socket
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sgz import __version__
from sgz.cluster.places import Folder, Store
from sgz.cluster.plan import Task
from sgz.command import ENVIRONMENT
from sgz.errors import UserError
from sgz.folder import enhance_file
from sgz.image.photo import MAX_PIXELS, Photo


@dataclass(frozen=True)
class Job:
    """All that a worker is told; it goes to every machine.

    Args:
        source, target: places that every machine sees.
        weights: a checkpoint's bytes; None for the one in the package.
        arguments: the Enhancer's others.
        max_pixels, prepare: as FolderEnhancer's.
        version: of sgz, the same on all machines.
    """

    source: Folder | Store
    target: Folder | Store
    weights: bytes | None
    arguments: dict[str, object]
    max_pixels: int = MAX_PIXELS
    prepare: Callable[[Photo], Photo] | None = None
    version: str = field(default=__version__)

    def enhancer(self):
        """The Enhancer it asks for.

        Raises:
            UserError: this machine has another version of sgz, or the checkpoint cannot be used.
        """
        if self.version != __version__:
            raise UserError(
                f"{socket.gethostname()} has sgz {__version__}, the run is of {self.version}"
            )
        for name, value in ENVIRONMENT.items():  # a worker is a process of ours, as a script is
            os.environ.setdefault(name, value)
        from sgz.enhancer import Enhancer  # late: after the environment

        if self.weights is None:
            return Enhancer(None, threads=1, **self.arguments)
        with tempfile.TemporaryDirectory(prefix="sgz-") as folder:
            checkpoint = Path(folder, "checkpoint.pth")
            checkpoint.write_bytes(self.weights)
            return Enhancer(checkpoint, threads=1, **self.arguments)


@dataclass
class Outcome:
    """What became of one file: "written", "damaged" (a video, in part) or "failed", and why.

    seconds: that it took on its machine. frames: of a video, or an animation's. worker: its
    process there.
    """

    source: bytes
    status: str = "written"
    reason: str = ""
    argument: str = ""
    pixels: int = 0
    frames: int = 0
    seconds: float = 0.0
    machine: str = ""
    worker: int = 0


class PhotoWorker:
    """Enhances photographs, several at once: a row in for each, an Outcome out."""

    def __init__(self, job: Job):
        self.job, self.enhancer = job, job.enhancer()
        self.pool = ThreadPoolExecutor(max(job.source.threads, job.target.threads))

    def __call__(self, table):
        return _as_table(self.pool.map(self._outcome, table.to_pylist()))

    def _outcome(self, row: dict) -> Outcome:
        return _outcome_of(row, self.job, self._enhance)

    def _enhance(self, task: Task, outcome: Outcome) -> None:
        job = self.job
        with job.source.fetched(task.source) as path, job.target.storing(task.target) as target:
            photo = enhance_file(self.enhancer, path, target, job.max_pixels, job.prepare)
        outcome.pixels = photo.pixels.shape[0] * photo.pixels.shape[1]
        outcome.frames = photo.frames


def enhance_clips(table, job: Job):
    """Enhances videos, one after another: a row in for each, an Outcome out."""
    from sgz.video.stream import enhance_video  # late: photographs do without

    enhancer = job.enhancer()

    def enhance(task: Task, outcome: Outcome) -> None:
        notes: list[str] = []
        damages: list[str] = []
        with job.source.fetched(task.source) as path, job.target.storing(task.target) as target:
            outcome.frames = enhance_video(
                enhancer, path, target, note=notes.append, damage=damages.append
            )
        outcome.status = "damaged" if damages else "written"
        outcome.reason = "; ".join(damages + notes)

    return _as_table(_outcome_of(row, job, enhance) for row in table.to_pylist())


def check_machine(job: Job) -> str:
    """What keeps this machine from doing the job, as a sentence; "" if nothing does."""
    try:
        job.source.check_readable()
        job.target.check_writable()
        job.enhancer()
    except (UserError, OSError) as error:
        return str(error)
    return ""


def _outcome_of(row: dict, job: Job, enhance: Callable[[Task, Outcome], None]) -> Outcome:
    """Do one file; whatever it does, the others are done."""
    start = time.perf_counter()
    task = Task.of_row(row)
    outcome = Outcome(row["source"], machine=socket.gethostname(), worker=os.getpid())
    try:
        if not (task.new and job.target.has(task.target)):
            enhance(task, outcome)
    except Exception as error:
        known = isinstance(error, UserError)
        outcome.status = "failed"
        outcome.reason = str(error) if known else f"{type(error).__name__}: {error}"
        outcome.reason = outcome.reason.encode(errors="backslashreplace").decode()
        outcome.argument = error.argument if known else ""
    outcome.seconds = time.perf_counter() - start
    return outcome


def _as_table(outcomes):
    import pyarrow  # late: an extra

    return pyarrow.Table.from_pylist([asdict(outcome) for outcome in outcomes])
