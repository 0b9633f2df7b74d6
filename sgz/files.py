"""Folders and files on disk: found, written whole, cached."""

import hashlib
import os
import re
import secrets
import time
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sgz.errors import UserError

PIPE = "-"  # the name of standard input and of standard output
VIDEO_SUFFIXES = frozenset(
    (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mpg", ".mpeg", ".3gp", ".wmv")
)


def find_files(
    root: Path,
    suffixes: Collection[str],
    skip: Path | None = None,
    on_error: Callable[[Path, OSError], object] | None = None,
) -> Iterator[Path]:
    """Yield the files under `root` whose lower-case suffix is one of `suffixes`, as they are found.

    Goes folder by folder, in the order the disk lists a folder; follows links to folders, each
    folder once; leaves out hidden names and the folder `skip`. If `root` is a file, yields it,
    whatever its name. A folder that cannot be read goes to `on_error` and the search goes on;
    without it the OSError is raised.
    """
    if root.is_file():
        yield root
        return
    seen: set[tuple[int, int]] = set()
    if skip is not None and skip.is_dir():
        seen.add(identity(skip))
    folders = [root]
    while folders:
        folder = folders.pop()
        below = []
        try:
            if identity(folder) in seen:
                continue
            seen.add(identity(folder))
            with os.scandir(folder) as listing:
                for entry in listing:
                    if entry.name.startswith("."):
                        continue
                    if is_folder(entry):
                        below.append(Path(entry.path))
                    elif os.path.splitext(entry.name)[1].lower() in suffixes:
                        yield Path(entry.path)
        except OSError as error:
            if on_error is None:
                raise
            on_error(folder, error)
        folders.extend(sorted(below, reverse=True))


def is_pipe(path: object) -> bool:
    """Whether it names standard input or output."""
    return str(path) == PIPE


def is_folder(entry: os.DirEntry) -> bool:
    """Whether it is a folder or a link to one; a link that leads nowhere or in a ring is not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def identity(folder: Path) -> tuple[int, int]:
    """What tells one folder from another, whatever path leads to it."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def no_images(root: Path | str) -> UserError:
    """The error for a folder that is missing or holds no image, or a store (a URI) without one."""
    found = isinstance(root, str) or root.exists()
    what = "no images under" if found else "no such file or folder:"
    return UserError(f'{what} {root} (looked for .jpg, .png, .tif, .webp, …); see README, "Data"')


TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
OLD = 3600.0  # seconds after which nobody is writing a temporary file any more


def sweep(folder: Path) -> None:
    """Delete whole_file's temporary files that killed runs left in a folder, when old."""
    with suppress(OSError):
        for path in folder.iterdir():
            if TEMPORARY.fullmatch(path.name) and time.time() - path.stat().st_mtime > OLD:
                path.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path, durable: bool = False) -> Iterator[Path]:
    """A temporary file beside `path` that takes its name at the end: all of it or nothing.

    with whole_file(target) as temporary:
        temporary.write_bytes(content)

    Args:
        durable: flush it to the disk first, so that a power cut leaves the old file or this one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # short, and no other writer's
    try:
        yield temporary
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes | memoryview, durable: bool = False) -> None:
    """Write a file, all of it or nothing; `durable` as of whole_file."""
    with whole_file(path, durable) as temporary:
        temporary.write_bytes(content)


FOLDER_BIT = 0x10  # of a member's attributes, as DOS has them


def check_archive(path: Path) -> None:
    """Compare a zip file, as torch.save writes, with its own checksums; others are passed over.

    Raises:
        ValueError, zipfile.BadZipFile: it is damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return
    with zipfile.ZipFile(path) as archive:
        if any(member.external_attr & FOLDER_BIT for member in archive.infolist()):
            raise ValueError("a tensor is marked as a folder")  # for which torch reads nothing
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")


def cache_folder() -> Path:
    """~/.cache/sgz, this user's alone, which may be emptied at any time.

    Raises:
        OSError: this user has no home, or one that cannot be written.
    """
    try:
        folder = Path.home() / ".cache" / "sgz"
    except RuntimeError as error:
        raise OSError("this user has no home folder") from error
    private_folder(folder)
    if folder.stat().st_mode & 0o077:  # as versions before left it
        folder.chmod(0o700)
    return folder


def private_folder(path: Path) -> None:
    """Make a folder, if it is not there, that other users cannot look into."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def cached(digest: str, make: Callable[[], bytes]) -> bytes:
    """What `make` returns, from the cache folder if a run before this one has left it there.

    Args:
        digest: tells what it is made of, all of it.
    """
    path = None
    with suppress(OSError):  # no home, or not there yet
        path = cache_folder() / f"{digest[:32]}.bin"
        stored = path.read_bytes()
        if hashlib.sha256(stored[32:]).digest() == stored[:32]:
            return stored[32:]
    made = make()
    if path is not None:
        with suppress(OSError):  # then it is made anew the next time
            write_whole(path, hashlib.sha256(made).digest() + made)
    return made
