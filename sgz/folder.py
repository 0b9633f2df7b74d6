"""Many photographs: found, read, enhanced and written several at a time, their tree mirrored."""

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sgz.animation import MOVING_SUFFIXES, write_animation
from sgz.command import explain, printable
from sgz.errors import ImageError, UserError
from sgz.files import find_files, no_images, sweep, whole_file
from sgz.image.animation import read_animation
from sgz.image.memory import memory_for
from sgz.image.photo import (
    IMAGE_SUFFIXES,
    MAX_PIXELS,
    Photo,
    encode_photo,
    output_name,
    read_photo,
)
from sgz.machine import count_cores, free_memory
from sgz.outputs import OutputNames, is_case_blind, make_writable
from sgz.threads import Budget

MEMORY_SHARE = 0.5  # of what is free when a run begins, for all photographs at work together


@dataclass
class Report:
    """What became of a folder's photographs.

    written, skipped: images enhanced now, or there already. pixels: in what was written.
    animations: images of several frames, of which the first was taken. failures: what was not
    enhanced, and why. seconds: that it took.
    """

    written: int = 0
    skipped: int = 0
    pixels: int = 0
    animations: int = 0
    failures: list[tuple[Path, Exception]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 where all that was found is done, else 1."""
        return 0 if not self.failures and (self.written or self.skipped) else 1

    def lines(self, target: Path) -> Iterator[str]:
        """What was done, in words."""
        images = "image" if self.written == 1 else "images"
        rate, size = self.written / self.seconds, self.pixels / self.seconds / 1e6
        yield (
            f"enhanced {self.written} {images} in {self.seconds:.1f} s ({rate:.1f} images/s, "
            f"{size:.1f} megapixels/s) into {printable(str(target))}"
        )
        if self.skipped:
            yield f"{self.skipped} were already there"
        if self.animations:
            yield f"of {self.animations} with several frames or pages, the first was taken"

    def failure_lines(self, remedies: Mapping[str, str]) -> Iterator[str]:
        """What was not done, and why."""
        for path, error in self.failures:
            known = isinstance(error, UserError)
            reason = explain(error, remedies) if known else f"{type(error).__name__}: {error}"
            yield printable(f"not enhanced: {path}: {reason}")


class FolderEnhancer:
    """Enhances the photographs under a folder, or one file, into another folder.

    Args:
        enhance: image -> image, such as an Enhancer.
        source: a folder, searched recursively, or a file.
        target: the folder for the results; created.
        format: type of the outputs ("png", "jpg", …); as the inputs if None.
        skip_existing: leave out images whose output is there.
        max_pixels: of a photograph; larger ones are refused.
        prepare: what is done to each photograph first.
        workers: images at a time; as many as there are cores, and one, if None.
        done: called with the input and the output of each image that is written.

    Raises:
        UserError: nothing can be enhanced at all.
    """

    def __init__(
        self,
        enhance: Callable[[np.ndarray], np.ndarray],
        source: Path,
        target: Path,
        format: str | None = None,
        skip_existing: bool = False,
        max_pixels: int = MAX_PIXELS,
        prepare: Callable[[Photo], Photo] | None = None,
        workers: int | None = None,
        done: Callable[[Path, Path], object] = lambda *_: None,
    ):
        if not source.exists():
            raise no_images(source)
        self.enhance, self.source, self.target = enhance, source, target
        self.folder = source if source.is_dir() else source.parent
        if target.exists() and target.samefile(self.folder):
            raise UserError(f"{target} would be overwritten", "target")
        make_writable(target)
        self.format, self.skip_existing, self.max_pixels = format, skip_existing, max_pixels
        self.prepare, self.done = prepare, done
        self.workers = workers or count_cores() + 1  # one may wait for the disk
        self.free = free_memory()
        self.memory = Budget(round(MEMORY_SHARE * self.free))
        self.names = OutputNames(
            self.folder,
            partial(output_name, format=format),
            lambda name: source.is_dir() and os.path.isfile(self.folder / name),
            is_case_blind(target),
        )
        self.swept: set[Path] = set()
        self.report = Report()

    def run(self, chosen: Collection[Path] | None = None) -> Report:
        """Enhance everything, or without a progress bar what is chosen of it.

        Raises:
            KeyboardInterrupt: what was at work is finished; `report` tells what is done.
        """
        start = time.perf_counter()
        tasks = self._tasks(self._search() if chosen is None else chosen)
        with (
            tqdm(unit="image", disable=None if chosen is None else True) as bar,
            ThreadPoolExecutor(self.workers) as pool,
        ):
            if chosen is None:
                threading.Thread(target=self._count, args=(bar,), daemon=True).start()
            running: dict[Future, tuple[Path, Path]] = {}
            try:
                for task in islice(tasks, 2 * self.workers):
                    running[pool.submit(self._enhance, *task)] = task
                while running:
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        self._collect(*running.pop(future), future)
                        bar.update()
                        for task in islice(tasks, 1):
                            running[pool.submit(self._enhance, *task)] = task
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)  # what is at work is finished
                for future, task in running.items():
                    if not future.cancelled():
                        self._collect(*task, future)
                raise
        self.report.seconds = time.perf_counter() - start
        return self.report

    def _search(self) -> Iterator[Path]:
        """Every image, as it is found."""
        return find_files(self.source, IMAGE_SUFFIXES, self.target, self._note_folder)

    def _tasks(self, paths: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
        """(input, output) of every image that is to be enhanced."""
        for path in paths:
            try:
                name = self.names.claim(path.relative_to(self.folder))
            except UserError as error:
                self._fail(path, error)
                continue
            target = self.target / name
            if target.parent not in self.swept:
                self.swept.add(target.parent)
                sweep(target.parent)
            try:
                if self.skip_existing and target.exists():
                    self.report.skipped += 1
                    continue
                if self._is_input(target):
                    self._fail(path, UserError(f"{target} is among the inputs", "target"))
                    continue
            except OSError as error:  # such as a name that is too long with its new suffix
                self._fail(path, UserError(f"{target} cannot be written ({error.strerror})"))
                continue
            yield path, target

    def _is_input(self, target: Path) -> bool:
        """Whether writing it would replace what may be an input: folders can lie in one another."""
        if not target.exists():
            return False
        parent, source, out = (p.resolve() for p in (target.parent, self.source, self.target))
        not_searched = out.is_relative_to(source) and parent.is_relative_to(out)
        return parent.is_relative_to(source) and not not_searched

    def _fail(self, path: Path, error: Exception) -> None:
        self.report.failures.append((path, error))

    def _note_folder(self, folder: Path, error: OSError) -> None:
        """Name a folder that cannot be searched."""
        self._fail(folder, UserError(f"cannot be searched ({error.strerror})"))

    def _count(self, bar: tqdm) -> None:
        """Find out how many images there are while the first are being enhanced."""
        found = find_files(self.source, IMAGE_SUFFIXES, self.target, lambda *_: None)
        bar.total = sum(1 for _ in found)

    def _enhance(self, path: Path, target: Path) -> Photo:
        needed = check_memory(path, self.free, self.max_pixels)
        with self.memory.taking(needed):  # large ones so go one at a time
            return enhance_file(self.enhance, path, target, self.max_pixels, self.prepare)

    def _collect(self, path: Path, target: Path, future: Future) -> None:
        """Take account of one image."""
        try:
            photo = future.result()
        except Exception as error:  # whatever one image does, the others are enhanced
            self._fail(path, error)
            return
        self.report.written += 1
        self.report.pixels += photo.pixels.shape[0] * photo.pixels.shape[1]
        self.report.animations += photo.frames > 1
        self.done(path, target)


def check_memory(path: Path, free: int, max_pixels: int = MAX_PIXELS) -> int:
    """Bytes of memory that a photograph takes.

    Raises:
        ImageError: more than are free, so that the system would end the run.
    """
    needed = memory_for(path, max_pixels)
    if needed > free:
        raise ImageError(
            f"it takes about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free; "
            "close what else is running, or shrink it"
        )
    return needed


def enhance_file(
    enhance: Callable[[np.ndarray], np.ndarray],
    path: Path,
    target: Path,
    max_pixels: int = MAX_PIXELS,
    prepare: Callable[[Photo], Photo] | None = None,
) -> Photo:
    """One photograph, from file to file; the arguments are FolderEnhancer's.

    Raises:
        ImageError: it cannot be read, or the result not be written.
    """
    photo = read_photo(path, max_pixels)
    moves = photo.frames > 1 and target.suffix.lower() in MOVING_SUFFIXES
    if moves and (animation := read_animation(path, max_pixels)):
        with replacing(target) as temporary, temporary.open("wb") as file:
            write_animation(enhance, animation, file, target.suffix, prepare)
        return replace(photo, frames=1)
    if prepare:
        photo = prepare(photo)
    photo = photo.with_pixels(enhance(photo.pixels))  # lets go of the dark pixels
    content = encode_photo(photo, target.suffix)
    with replacing(target) as temporary:
        temporary.write_bytes(content)
    return photo


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """whole_file, its OSError an ImageError."""
    try:
        with whole_file(target) as temporary:
            yield temporary
    except OSError as error:
        raise ImageError(f"{target} cannot be written ({error.strerror})") from error
