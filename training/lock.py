"""One run in one snapshots folder at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from sgz.errors import UserError
from sgz.files import sweep

LOCK = ".train.lock"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, which is made; a killed process leaves it open.

    Raises:
        UserError: another run is in there.
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise UserError(f"another run is writing into {folder}", "folder") from error
    sweep(folder)
    try:
        yield
    finally:
        lock.release()
