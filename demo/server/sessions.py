"""What the demo keeps of its visitors while their pages are open: one folder each, then nothing.

Three folders lie side by side. `served` is the only one the web server reads from; `kept` holds
originals; `uploads` what has arrived and is not yet asked for. A session's folder has the same name
in `served` and `kept`, which nobody else can guess and no other session gets: so one that is being
deleted is never that of a visitor who came back.
"""

import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from demo.server.settings import Settings
from sgz.errors import UserError
from sgz.files import write_whole

PREFIX = "sgz-demo-"  # of the temporary folder
IDLE = 30 * 60  # seconds after which what an unused page left is removed
UPLOAD_IDLE = 10 * 60  # seconds after which an upload that no page asked about is removed
MIN_FREE = 500_000_000  # bytes that uploads leave free on the disk
MAX_PHOTOS = 50  # of one visitor
GONE = "this page has rested too long and its picture was deleted; please choose it again"


@dataclass
class Item:
    """One photograph in a visitor's list.

    order: among the others: the batch it was chosen in, its place there. state: "waiting",
    "opening", "ready" or "failed", then `reason` says why.
    """

    key: str
    name: str
    source: Path
    order: tuple[int, int] = (0, 0)
    bytes: int = 0
    state: str = "waiting"
    reason: str = ""
    thumbnail: str = ""


@dataclass
class Session:
    """One visitor: folders, `served` to the browser and `kept` from it, list and settings.

    visitor: the number that the page gave. current: the key of the item that is shown. before: for
    which one its dark side is served, and where. clip: the video and its name. notes: what is to be
    said of it. stop: its owner wants it no more. pending: jobs that were asked for and not done.
    batch: what was chosen last.
    """

    visitor: str
    served: Path
    kept: Path
    items: dict[str, Item] = field(default_factory=dict)
    current: str | None = None
    before: tuple[str, str] = ("", "")
    clip: tuple[Path, str] | None = None
    notes: list[str] = field(default_factory=list)
    stop: bool = False
    settings: Settings = field(default_factory=Settings)
    pending: int = 0
    batch: int = 0
    used: float = field(default_factory=time.monotonic)
    closed: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def listed(self, *states: str) -> list[Item]:
        """The items in one of these states, or all, as they were chosen."""
        items = [item for item in self.items.values() if not states or item.state in states]
        return sorted(items, key=lambda item: item.order)

    def new_name(self, kind: str) -> Path:
        """A name in `kept` that was never used; later ones sort behind it."""
        return self.kept / f"{kind}-{time.time_ns()}"

    def drop_before(self, path: Path) -> None:
        """Delete what new_name() gave for the same kind before this one."""
        for old in self.kept.glob(f"{path.name.split('-')[0]}-*"):
            if old.name < path.name:
                old.unlink(missing_ok=True)

    def new_place(self, kind: str, name: str) -> Path:
        """A path in `served` for a new file of a kind; of each only the last three stay."""
        self.clear(kind, 2)  # the browser may still be at these
        return self.served / f"{kind}-{time.time_ns()}" / name

    def clear(self, kind: str, left: int = 0) -> None:
        """Delete what is served of a kind but for the last ones."""
        for old in sorted(self.served.glob(f"{kind}-*"), reverse=True)[left:]:
            remove(old)

    def show(self, kind: str, name: str, content: bytes) -> str:
        """Write what the browser may fetch and save under that name: its address."""
        path = self.new_place(kind, name)
        write_whole(path, content)
        return address(path)


class Sessions:
    """Visitors, each with folders below one temporary folder.

    Args:
        root: an empty folder of our own, removed by the caller at the end.
    """

    def __init__(self, root: Path):
        self.served, self.kept, self.uploads = root / "served", root / "kept", root / "uploads"
        for folder in (self.served, self.kept, self.uploads):
            folder.mkdir()
        self._visitors: dict[str, Session] = {}
        self._lock = threading.Lock()

    def open(self, visitor: str | None) -> Session:
        """The session of a visitor, by the number that the page gives each visit.

        Raises:
            UserError: there is no number, as no page asked.
        """
        if not visitor:
            raise UserError("this can be asked by the page alone")
        with self._lock:
            session = self._visitors.get(visitor)
            if session is None:
                name = secrets.token_hex(16)
                session = Session(visitor, self.served / name, self.kept / name)
                session.served.mkdir()
                session.kept.mkdir()
                self._visitors[visitor] = session
            session.used = time.monotonic()
        return session

    def close(self, session: Session) -> None:
        """Delete everything of a session's; the visitor's next one is left alone."""
        session.closed = True
        with self._lock:
            if self._visitors.get(session.visitor) is session:
                del self._visitors[session.visitor]
        remove(session.kept)
        remove(session.served)

    def take_upload(self, key: str, session: Session, kind: str) -> Path:
        """Give what arrived under a name of its own to the visitor who knows that name.

        Args:
            kind: how the file is called there, with a number.

        Raises:
            UserError: nothing arrived under that name.
        """
        target = session.new_name(kind)
        try:
            if not re.fullmatch("[0-9a-f]{32}", key):
                raise FileNotFoundError
            (self.uploads / key).rename(target)
        except OSError as error:
            raise UserError("the upload did not arrive whole; please send it again") from error
        return target

    def pending_of_others(self, session: Session) -> int:
        """How many jobs of other visitors wait or are at work."""
        with self._lock:
            return sum(other.pending for other in self._visitors.values() if other is not session)

    def has_room(self) -> bool:
        """Whether the disk has room for another upload."""
        return shutil.disk_usage(self.kept).free > MIN_FREE

    def sweep(self) -> None:
        """Remove what nobody has used for a while, and stray uploads."""
        with self._lock:
            now = time.monotonic()
            idle = [s for s in self._visitors.values() if now - s.used > IDLE and not s.pending]
        for session in idle:
            self.close(session)
        for upload in self.uploads.iterdir():
            with suppress(OSError):  # removed meanwhile
                if time.time() - upload.stat().st_mtime > UPLOAD_IDLE:
                    upload.unlink()


@contextmanager
def temporary_root() -> Iterator[Path]:
    """A temporary folder of our own; what killed servers of this user have left is removed first.

    A server holds a lock in its folder as long as it lives; the system frees it however it ends.
    """
    from filelock import FileLock, Timeout

    user = os.getuid() if hasattr(os, "getuid") else 0
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):  # somebody else's, or at work
            if left.is_symlink() or left.stat().st_uid != user:
                continue
            with FileLock(left / "lock", timeout=0):
                pass
            remove(left)
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve()
        with FileLock(root / "lock", timeout=0):
            yield root


def address(path: Path) -> str:
    """Where the web server shows a file of a session's served folder."""
    return f"gradio_api/file={quote(str(path))}"


def safe_name(name: str) -> str:
    """A file name without folders, control characters or what Windows forbids."""
    last = re.split(r"[/\\]", name)[-1]
    kept = re.sub(r'[\x00-\x1f\x7f<>:"|?*]', "", last).strip(". ")
    stem, suffix = os.path.splitext(kept)
    return (stem[:100] or "photo") + suffix[:10]


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
