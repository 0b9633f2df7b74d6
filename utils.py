"""Folders and files on disk, work done ahead in a thread, and a script's way out."""

import hashlib
import io
import os
import queue
import secrets
import sys
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path


class UserError(Exception):
    """What a user can cause and mend; the message is one sentence with the remedy."""


def run_script(main: Callable[[], int | None], *user_errors: type[Exception] | str) -> None:
    """Run a script's main and leave with its exit code.

    UserError, OSError and `user_errors` end in their sentence and exit code 1, Ctrl-C in 130. A
    "module.Class" among them is for a module that takes long to import and may never be.
    """
    script = Path(sys.argv[0]).name
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold any character
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main() or 0
    except (UserError, OSError, *loaded(user_errors)) as error:
        print(f"{script}: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print(f"\n{script}: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)


def loaded(kinds: tuple[type[Exception] | str, ...]) -> Iterator[type[Exception]]:
    """Those that can have been raised: the class of a "module.Class" once its module is there."""
    for kind in kinds:
        if isinstance(kind, type):
            yield kind
        else:
            module, name = kind.rsplit(".", 1)
            if module in sys.modules:
                yield getattr(sys.modules[module], name)


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


def no_images(root: Path) -> UserError:
    """The error for a folder that is missing or holds no image."""
    what = "no images under" if root.exists() else "no such file or folder:"
    return UserError(f'{what} {root} (looked for .jpg, .png, .tif, .webp, …); see README, "Data"')


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it: all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # short, and no other writer's
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remember(digest: str, make: Callable[[], bytes]) -> bytes:
    """What `make` returns, from ~/.cache/sgz if a run before this one has left it there.

    Args:
        digest: tells what it is made of, all of it. The folder may be emptied at any time.
    """
    try:
        path = Path.home() / ".cache" / "sgz" / f"{digest[:32]}.bin"
    except RuntimeError:  # a user without a home
        return make()
    with suppress(OSError):  # not there yet
        kept = path.read_bytes()
        if hashlib.sha256(kept[32:]).digest() == kept[:32]:
            return kept[32:]
    made = make()
    with suppress(OSError):  # then it is made anew the next time
        content = hashlib.sha256(made).digest() + made
        write_whole(path, lambda temporary: temporary.write_bytes(content))
    return made


def ahead(items: Iterable, depth: int) -> Generator:
    """Run an iterable in a thread of its own, up to `depth` items ahead; its errors come through.

    Closing the generator stops the thread, and closes the iterable if it is a generator.
    """
    waiting: queue.Queue = queue.Queue(depth)
    stop = threading.Event()

    def offer(entry) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                waiting.put(entry, timeout=0.1)
                return

    def work() -> None:
        try:
            for item in items:
                offer((item, None))
                if stop.is_set():
                    break
            offer((None, StopIteration()))
        except BaseException as error:
            offer((None, error))
        finally:
            if stop.is_set() and hasattr(items, "close"):
                items.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stop.set()
        thread.join()


def save_tensors(content: object, path: Path) -> None:
    """torch.save, whole or not at all; OSError when it cannot be written."""
    import torch

    buffer = io.BytesIO()  # writing itself, torch would answer a full disk with a RuntimeError
    torch.save(content, buffer)
    write_whole(path, lambda temporary: temporary.write_bytes(buffer.getbuffer()))


def load_tensors(path: Path):
    """torch.load of a file of tensors and plain values, without running any code in it.

    Raises:
        UserError: the file is no such file.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on damaged files torch raises nearly anything
        raise UserError(f"{path} is no file of tensors that torch can read safely") from error


def keep_aside(path: Path) -> Path | None:
    """Rename a file to the first free `name.kept-N.suffix`; None if there is no such file."""
    if not path.exists():
        return None
    for number in range(1, 10_000):
        kept = path.with_name(f"{path.stem}.kept-{number}{path.suffix}")
        if not kept.exists():
            path.rename(kept)
            return kept
    raise UserError(f"{path} has been kept aside too often; clear {path.parent}")


def digest_of(state: dict) -> str:
    """What tells one state dict of tensors from another: names and values, hashed."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
