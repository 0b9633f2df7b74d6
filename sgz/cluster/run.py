"""What `--engine ray` does in sgz and test.py: plan, spread, count, report."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tqdm import tqdm

from sgz.cluster import engine
from sgz.cluster.places import Folder, open_place
from sgz.cluster.plan import Task, plan_tasks
from sgz.cluster.workers import Job
from sgz.enhancer import Enhancer
from sgz.errors import UserError
from sgz.files import VIDEO_SUFFIXES, no_images
from sgz.folder import Report
from sgz.image.photo import IMAGE_SUFFIXES, MAX_PIXELS, Photo, output_name


@dataclass
class ClusterReport(Report):
    """A folder's Report, and its videos'.

    clips, frames: videos enhanced, and frames in them. damaged: videos that could be read in part.
    machines: that did a file.
    """

    clips: int = 0
    frames: int = 0
    damaged: list[tuple[str, str]] = field(default_factory=list)
    machines: set[str] = field(default_factory=set)

    @property
    def exit_code(self) -> int:
        done = self.written or self.skipped or self.clips
        return 0 if done and not (self.failures or self.damaged) else 1

    def lines(self, target: object) -> Iterator[str]:
        yield from super().lines(target)
        if self.clips:
            yield f"enhanced {self.clips} videos of {self.frames} frames"
        yield f"done by {len(self.machines)} machines"

    def failure_lines(self, remedies: Mapping[str, str]) -> Iterator[str]:
        yield from super().failure_lines(remedies)
        for path, reason in self.damaged:
            yield f"damaged: {path}: {reason}"


class ClusterEnhancer:
    """Enhances the photographs under a place, then its videos, into another place.

    Args:
        source, target: folders that all machines see, or URIs of stores.
        weights: a checkpoint here; None for the one in the package.
        arguments: the Enhancer's others; device "auto" is a processor, "cuda" a GPU a worker.
        address: of the Ray cluster: "auto", "HOST:PORT", or "local" for one begun here.
        record: a file for a line of JSON on each file, written as they are done.
        format, skip_existing, max_pixels, prepare: as FolderEnhancer's.
        may_overwrite: go on where there are photographs in the target.
        videos: take them too.

    Raises:
        UserError: nothing can be enhanced at all.
    """

    def __init__(
        self,
        source: Path | str,
        target: Path | str,
        weights: Path | None,
        arguments: Mapping[str, object],
        address: str = "auto",
        record: Path | None = None,
        format: str | None = None,
        skip_existing: bool = False,
        max_pixels: int = MAX_PIXELS,
        prepare: Callable[[Photo], Photo] | None = None,
        may_overwrite: bool = True,
        videos: bool = True,
    ):
        origin, place = open_place(source), open_place(target)
        if isinstance(origin, Folder) and not origin.root.is_dir():
            if origin.root.exists():
                raise UserError(f"{source} is one file, and a cluster takes a folder", "engine")
            raise no_images(Path(source))
        arguments = dict(arguments)
        if arguments.get("device", "auto") == "auto":
            arguments["device"] = "cpu"
        Enhancer(weights, **arguments | {"device": "cpu"})  # says what is wrong with a checkpoint
        content = None if weights is None else Path(weights).read_bytes()
        self.job = Job(origin, place, content, arguments, max_pixels, prepare)
        self.address, self.record = address, record
        self.format, self.skip_existing = format, skip_existing
        self.may_overwrite, self.videos = may_overwrite, videos
        self.report = ClusterReport()

    def run(self) -> ClusterReport:
        """Enhance everything.

        Raises:
            UserError: no such cluster, a machine that cannot do the job, or a place that cannot be
                read or written.
            KeyboardInterrupt: what was at work may be done or not, but no file is in part; `report`
                tells what is done.
        """
        start = time.perf_counter()
        with engine.connected(self.address):
            self.job.source.check_readable()
            self.job.target.check_writable()
            self._check_overwriting()
            machines = engine.look_over(self.job)
            photos = list(self._plan(IMAGE_SUFFIXES, partial(output_name, format=self.format)))
            clips = list(self._plan(VIDEO_SUFFIXES, _clip_name)) if self.videos else []
            with (
                _recording(self.record) as write,
                tqdm(total=len(photos) + len(clips), unit="file", disable=None) as bar,
            ):
                for path, error in self.report.failures:
                    write({"source": str(path), "status": "failed", "reason": str(error)})
                for enhance, tasks in (
                    (engine.enhance_photos, photos),
                    (engine.enhance_videos, clips),
                ):
                    self._collect(enhance(self.job, tasks, machines), tasks, write, bar)
        self.report.seconds = time.perf_counter() - start
        return self.report

    def _check_overwriting(self) -> None:
        source, target = self.job.source, self.job.target
        taken = () if self.may_overwrite else target.find(IMAGE_SUFFIXES | VIDEO_SUFFIXES, source)
        if next(iter(taken), None) is not None:
            raise UserError(f"{target} is not empty", "overwrite")

    def _plan(self, suffixes: frozenset[str], name_of: Callable[[Path], Path]) -> Iterator[Task]:
        source, target = self.job.source, self.job.target
        return plan_tasks(source, target, suffixes, name_of, self.skip_existing, self.report)

    def _collect(self, outcomes: Iterator[dict], tasks: list[Task], write, bar: tqdm) -> None:
        """Count the outcomes as they come; what has none in the end was lost with its worker."""
        left = {os.fsencode(task.source) for task in tasks}
        for outcome in outcomes:
            if outcome["source"] in left:
                left.remove(outcome["source"])
                outcome["source"] = os.fsdecode(outcome["source"])
                self._count(outcome)
                write(outcome)
                bar.update()
        for name in sorted(left):
            reason = "its worker died each time; see whether it fits into memory, or take it alone"
            lost = {"source": os.fsdecode(name), "status": "failed", "reason": reason}
            self._count(lost)
            write(lost)

    def _count(self, outcome: dict) -> None:
        report, path = self.report, f"{self.job.source}/{outcome['source']}"
        if outcome["status"] == "failed":
            error = UserError(outcome["reason"], outcome.get("argument", ""))
            report.failures.append((path, error))
            return
        report.machines.add(outcome["machine"])
        if Path(outcome["source"]).suffix.lower() not in VIDEO_SUFFIXES:
            report.written += 1
            report.pixels += outcome["pixels"]
            report.animations += outcome["frames"] > 1
            return
        report.clips += 1
        report.frames += outcome["frames"]
        if outcome["status"] == "damaged":
            report.damaged.append((path, outcome["reason"]))


def _clip_name(name: Path) -> Path:
    """A video's output, as sgz names it in a folder."""
    return name.with_suffix(".mp4")


@contextmanager
def _recording(path: Path | None) -> Iterator[Callable[[dict], object]]:
    """What writes an outcome as a line of JSON; each is on the disk before the next.

    Raises:
        UserError: there can be no such file.
    """
    if path is None:
        yield lambda outcome: None
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w", buffering=1)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror})", "record") from error
    with file:
        yield lambda outcome: file.write(json.dumps(outcome) + "\n")
