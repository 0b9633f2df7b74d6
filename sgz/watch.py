"""A folder that is watched: photographs are enhanced as they arrive, each when it is whole.

The folder is listed again and again, which any disk and network share can do. A file counts as
whole once its size and time stayed the same from one listing to the next.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from sgz.errors import UserError
from sgz.files import find_files
from sgz.folder import FolderEnhancer
from sgz.image.photo import IMAGE_SUFFIXES

Mark = tuple[int, int]  # a file's size and the time of its last change


class Watcher:
    """Enhances what arrives under a folder, and anew what changes there.

    Args:
        folder: its engine; what has its output already when the watch begins is left out.
        failed: called with each image that was not enhanced, and why; it is tried again when it
            changes.
        every: seconds from one listing to the next.
    """

    def __init__(
        self,
        folder: FolderEnhancer,
        failed: Callable[[Path, Exception], object],
        every: float = 1.0,
    ):
        self.folder, self.failed, self.every = folder, failed, every
        self.before: dict[Path, Mark] = {}  # as of the listing before
        self.handled: dict[Path, Mark] = {}  # what an image was when it was last enhanced, or tried
        self.unreadable: set[Path] = set()  # folders that were named

    def run(self) -> None:
        """Watch until interrupted.

        Raises:
            KeyboardInterrupt: what was at work is finished; the engine's report tells what is done.
            UserError: the folder is gone.
        """
        while True:
            started = time.monotonic()
            self.look()
            took = time.monotonic() - started
            time.sleep(max(self.every, took))  # at most half of the time is spent on listing

    def look(self) -> None:
        """List the folder once, and enhance what has become whole."""
        if not self.folder.source.is_dir():
            raise UserError(f"{self.folder.source} is gone")
        now = dict(self._list())
        whole = [
            path
            for path, mark in now.items()
            if self.before.get(path) == mark != self.handled.get(path)
        ]
        self.before = now
        self.handled = {path: mark for path, mark in self.handled.items() if path in now}
        share = 2 * self.folder.workers
        for first in range(0, len(whole), share):
            chosen = whole[first : first + share]
            again = [path for path in chosen if path in self.handled]
            self._enhance([path for path in chosen if path not in self.handled], skip=True)
            self._enhance(again, skip=False)
            self.handled |= {path: now[path] for path in chosen}

    def _list(self) -> Iterator[tuple[Path, Mark]]:
        """The images there are."""
        source, target = self.folder.source, self.folder.target
        for path in find_files(source, IMAGE_SUFFIXES, target, self._note_folder):
            with suppress(OSError):  # gone again
                status = path.stat()
                yield path, (status.st_size, status.st_mtime_ns)

    def _note_folder(self, path: Path, error: OSError) -> None:
        if path not in self.unreadable:
            self.unreadable.add(path)
            self.failed(path, UserError(f"cannot be searched ({error.strerror})"))

    def _enhance(self, paths: list[Path], skip: bool) -> None:
        self.folder.skip_existing = skip
        if paths:
            report = self.folder.run(paths)
            for path, error in report.failures:
                self.failed(path, error)
            report.failures.clear()
