"""Where files lie that all machines see: a folder on a shared disk, or a store such as S3.

Both hand out local files, so that photographs and videos are enhanced by the code for one machine.
"""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Collection, Container, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath

from sgz.errors import ImageError, UserError
from sgz.files import find_files
from sgz.outputs import is_case_blind, make_writable

# An object appears there when its upload is complete, so it needs no temporary name.
OBJECT_STORES = frozenset(
    ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "obs", "r2", "b2")
)


def open_place(place: Path | str) -> "Folder | Store":
    """A place from a path or a URI."""
    if isinstance(place, str) and "://" in place:
        scheme, _, rest = place.partition("://")
        return Folder(Path(rest)) if scheme == "file" else Store(place)
    return Folder(Path(place))


class Folder:
    """A folder that every machine has under this path."""

    threads = 2  # files that one worker has at once: one may wait for the disk

    def __init__(self, root: Path):
        self.root = root.absolute()

    def __str__(self) -> str:
        return str(self.root)

    def lies_in(self, other: "Folder | Store") -> bool:
        """Whether this is the other, or is below it."""
        return isinstance(other, Folder) and self.root.resolve().is_relative_to(
            other.root.resolve()
        )

    def find(
        self,
        suffixes: Collection[str],
        skip: "Folder | Store",
        on_error: Callable[[object, OSError], object] = lambda *_: None,
    ) -> Iterator[Path]:
        """The names, relative to this place, of its files with one of the suffixes."""
        skipped = skip.root if isinstance(skip, Folder) else None
        for path in find_files(self.root, suffixes, skipped, on_error):
            yield path.relative_to(self.root)

    def names(self) -> Container[Path]:
        """What tells whether there is a file of a name."""
        return _NamesOnDisk(self.root)

    def has(self, name: Path) -> bool:
        """Whether there is a file of this name now."""
        return os.path.isfile(self.root / name)

    @contextmanager
    def fetched(self, name: Path) -> Iterator[Path]:
        """The file to read."""
        yield self.root / name

    @contextmanager
    def storing(self, name: Path) -> Iterator[Path]:
        """Where to write the file: whole, as sgz.files.whole_file does."""
        yield self.root / name

    def check_readable(self) -> None:
        """UserError where this machine has no such folder."""
        if not self.root.is_dir():
            raise UserError(f"there is no folder {self.root}")

    def check_writable(self) -> None:
        """UserError where this machine cannot write into it."""
        make_writable(self.root)

    def is_case_blind(self) -> bool:
        """Whether names that differ only by case are one file here."""
        return is_case_blind(self.root)


class _NamesOnDisk:
    """The names of the files under a folder, each looked up when it is asked for."""

    def __init__(self, root: Path):
        self.root = root

    def __contains__(self, name: Path) -> bool:
        return os.path.isfile(self.root / name)


class Store:
    """A prefix in a store that pyarrow or fsspec knows; opened once in each process.

    Args:
        uri: as "s3://bucket/photos?endpoint_override=localhost:9000&scheme=http".
    """

    threads = 6  # a request takes tens of milliseconds, in which nothing is computed

    def __init__(self, uri: str):
        self.uri = uri
        self.scheme = uri.partition("://")[0]

    def __str__(self) -> str:
        return self.uri.partition("?")[0].rstrip("/")

    def __reduce__(self):
        return Store, (self.uri,)

    @cached_property
    def _opened(self) -> tuple:
        """(pyarrow's file system, the path in it)."""
        from pyarrow import ArrowInvalid, fs  # late: an extra

        try:
            try:
                filesystem, root = fs.FileSystem.from_uri(self.uri)
            except ArrowInvalid:
                import fsspec

                inner, root = fsspec.core.url_to_fs(self.uri)
                filesystem = fs.PyFileSystem(fs.FSSpecHandler(inner))
        except (OSError, ValueError, ImportError) as error:
            raise UserError(f"{self} cannot be opened ({_reason(error)})") from error
        return filesystem, root.rstrip("/")

    def _path(self, name: Path) -> str:
        return f"{self._opened[1]}/{name.as_posix()}"

    def lies_in(self, other: "Folder | Store") -> bool:
        """Whether this is the other, or is below it."""
        return isinstance(other, Store) and f"{self}/".startswith(f"{other}/")

    def _list(self) -> Iterator[str]:
        """The names of all files, as the store has them."""
        from pyarrow import fs

        filesystem, root = self._opened
        selector = fs.FileSelector(root, recursive=True, allow_not_found=True)
        try:
            found = filesystem.get_file_info(selector)
        except OSError as error:
            raise UserError(f"{self} cannot be listed ({_reason(error)})") from error
        for info in found:
            if info.type == fs.FileType.File:
                yield info.path[len(root) :].removeprefix("/")

    def find(
        self,
        suffixes: Collection[str],
        skip: "Folder | Store",
        on_error: Callable[[object, OSError], object] = lambda *_: None,
    ) -> Iterator[Path]:
        """As Folder's."""
        below = f"{str(skip)[len(str(self)) :].strip('/')}/" if skip.lies_in(self) else None
        for name in self._list():
            if below and name.startswith(below):
                continue
            parts = name.split("/")
            if PurePosixPath(name).suffix.lower() not in suffixes:
                continue
            if "" in parts or "." in parts or ".." in parts:
                on_error(f"{self}/{name}", OSError(0, "its name is no path; rename it"))
            elif not any(part.startswith(".") for part in parts):
                yield Path(name)

    def names(self) -> Container[Path]:
        """As Folder's: listed once, as asking for each would take hours."""
        return frozenset(map(Path, self._list()))

    def has(self, name: Path) -> bool:
        """As Folder's."""
        from pyarrow import fs

        return self._opened[0].get_file_info(self._path(name)).type == fs.FileType.File

    @contextmanager
    def fetched(self, name: Path) -> Iterator[Path]:
        """A copy of the file to read."""
        with tempfile.TemporaryDirectory(prefix="sgz-") as folder:
            copy = Path(folder, f"in{name.suffix}")
            try:
                with (
                    self._opened[0].open_input_stream(self._path(name)) as stream,
                    copy.open("wb") as file,
                ):
                    shutil.copyfileobj(stream, file, 1 << 20)
            except OSError as error:
                raise ImageError(f"cannot be read ({_reason(error)})") from error
            yield copy

    @contextmanager
    def storing(self, name: Path) -> Iterator[Path]:
        """Where to write the file; it is put into the store at the end, all of it or nothing."""
        with tempfile.TemporaryDirectory(prefix="sgz-") as folder:
            copy = Path(folder, f"out{name.suffix}")
            yield copy
            try:
                self._put(copy, name)
            except OSError as error:
                raise ImageError(f"{self}/{name} cannot be written ({_reason(error)})") from error

    def _put(self, file: Path, name: Path) -> None:
        filesystem, path = self._opened[0], self._path(name)
        if self.scheme in OBJECT_STORES:
            self._write(file, path)
            return
        folder = path.rpartition("/")[0]
        temporary = f"{folder}/.{secrets.token_hex(8)}.tmp"
        filesystem.create_dir(folder, recursive=True)
        try:
            self._write(file, temporary)
            filesystem.move(temporary, path)
        except OSError:
            if filesystem.get_file_info(temporary).is_file:
                filesystem.delete_file(temporary)
            raise

    def _write(self, file: Path, path: str) -> None:
        with file.open("rb") as source, self._opened[0].open_output_stream(path) as stream:
            shutil.copyfileobj(source, stream, 1 << 23)

    def check_readable(self) -> None:
        """UserError where this machine cannot list it."""
        from pyarrow import fs

        filesystem, root = self._opened
        try:
            found = filesystem.get_file_info(root)
        except OSError as error:
            raise UserError(f"{self} cannot be read ({_reason(error)})") from error
        if found.type == fs.FileType.NotFound:
            raise UserError(f"there is nothing under {self}")
        if found.type == fs.FileType.File:
            raise UserError(f"{self} is one file, and a cluster takes a folder", "engine")

    def check_writable(self) -> None:
        """UserError where this machine cannot write into it."""
        name = Path(f".probe.{secrets.token_hex(8)}")
        try:
            with tempfile.TemporaryDirectory(prefix="sgz-") as folder:
                probe = Path(folder, "probe")
                probe.touch()
                self._put(probe, name)
            self._opened[0].delete_file(self._path(name))
        except OSError as error:
            raise UserError(f"cannot write into {self} ({_reason(error)})", "target") from error

    def is_case_blind(self) -> bool:
        """As Folder's; object stores are not."""
        if self.scheme in OBJECT_STORES:
            return False
        name = f".probe.{secrets.token_hex(8)}x"
        with tempfile.TemporaryDirectory(prefix="sgz-") as folder:
            probe = Path(folder, "probe")
            probe.touch()
            self._put(probe, Path(name))
        try:
            return self.has(Path(name.upper()))
        finally:
            self._opened[0].delete_file(self._path(Path(name)))


def _reason(error: Exception) -> str:
    """A store's error in a few words: the AWS library writes paragraphs."""
    if found := re.search(r"AWS Error (\w+) during (\w+) operation", str(error)):
        return f"{found[1]} during {found[2]}"
    return getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
