"""A visitor's list of photographs: taken in, opened one by one, shown, saved alone or in one."""

import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path

from demo.server.photos import (
    THUMBNAIL,
    encode_preview,
    enhance_whole,
    export_photo,
    load_photo,
    open_photo,
    opened_beside,
    render,
    show_tiles,
    shrink,
)
from demo.server.sessions import (
    GONE,
    MAX_PHOTOS,
    Item,
    Session,
    Sessions,
    address,
    remove,
    safe_name,
)
from sgz.errors import UserError
from sgz.files import whole_file, write_whole
from sgz.image.photo import read_photo


class Gallery:
    """What the Photo tab can do; errors are UserError or ImageError.

    Args:
        enhancer: an Enhancer.
        max_pixels: of a photograph. max_bytes: of a file.
    """

    def __init__(self, enhancer, sessions: Sessions, max_pixels: int, max_bytes: int):
        self.enhancer, self.sessions = enhancer, sessions
        self.max_pixels, self.max_bytes = max_pixels, max_bytes

    def start_batch(self, session: Session, batch: int) -> None:
        """With a new choice, what failed before is forgotten.

        Args:
            batch: a number that grows from one choice to the next; known ones change nothing.
        """
        if batch == session.batch:
            return
        session.batch = batch
        for item in session.listed("failed"):
            self.remove(session, item)

    def show_first(self, session: Session, item: Item) -> None:
        """Show the first of a new choice, and a good one rather than one that failed."""
        shown = session.items.get(session.current or "")
        if shown is None or shown.state == "failed" or shown.order[0] < item.order[0]:
            session.current = item.key

    def receive(
        self, session: Session, name: str, upload: str | None, size: int, place: int = 0
    ) -> Item:
        """Put a file into the list, to be opened; or why it cannot be, as it did not arrive.

        Args:
            upload: the name that the server gave it; None if the browser could not send it.
            size: bytes, as the browser says.
            place: in its batch, whose files may come in any order.
        """
        item = self.new_item(session, name, place)
        item.bytes = size
        try:
            if upload is None:
                raise UserError(self.why_not_sent(size))
            if len(session.listed("waiting", "opening", "ready")) >= MAX_PHOTOS:
                raise UserError(
                    f"{MAX_PHOTOS} photos are taken at a time: download these, remove them, then "
                    "choose the others"
                )
            item.source = self.sessions.take_upload(upload, session, "photo")
            item.bytes = item.source.stat().st_size
            session.pending += 1
        except UserError as error:
            item.state, item.reason = "failed", str(error)
        session.items[item.key] = item
        if item.state == "failed":
            self.show_first(session, item)
        return item

    def why_not_sent(self, size: int) -> str:
        """What to say of a file that the browser did not send."""
        if size > self.max_bytes:
            return f"it has {size / 1e6:.1f} MB; at most {self.max_bytes / 1e6:g} MB are taken"
        return "it did not arrive; please choose it again"

    def take_sample(self, session: Session, path: Path) -> Item:
        """Put a file of ours into the list."""
        item = self.new_item(session, path.name, 0)
        item.source.write_bytes(path.read_bytes())
        item.bytes = item.source.stat().st_size
        session.items[item.key] = item
        session.pending += 1
        return item

    def new_item(self, session: Session, name: str, place: int) -> Item:
        source = session.new_name("photo")
        return Item(source.name, safe_name(name), source, (session.batch, place))

    def open_next(self, session: Session) -> Item | None:
        """Open the photograph that has waited longest; None if none waits."""
        with session.lock:  # of two that come at once, each takes its own
            waiting = session.listed("waiting")
            if not waiting:
                return None
            item = waiting[0]
            item.state = "opening"
        try:
            photo = open_photo(self.enhancer, item.source, item.name, self.max_pixels)
            photo.save()
            small = shrink(render(self.enhancer, photo, session.settings), THUMBNAIL)
            suffix, content = encode_preview(small, None, photo.icc)
            path = session.served / f"thumbnail-{item.key}{suffix}"
            write_whole(path, content)
            item.thumbnail, item.state = address(path), "ready"
        except Exception as error:
            item.state, item.reason = "failed", reason_of(error, session)
            item.source.unlink(missing_ok=True)
        finally:
            session.pending -= 1
        self.show_first(session, item)
        return item

    def select(self, session: Session, key: str) -> None:
        """Show another one."""
        if key in session.items:
            session.current = key

    def clear(self, session: Session) -> None:
        """Remove all that is not at work."""
        for item in session.listed("waiting", "ready", "failed"):
            session.pending -= item.state == "waiting"
            self.remove(session, item)
        session.current = None
        for kind in ("before", "after", "whole", "tiles"):
            session.clear(kind)

    def remove(self, session: Session, item: Item) -> None:
        """Forget one photograph and delete its files."""
        session.items.pop(item.key, None)
        remove(item.source)
        remove(opened_beside(item.source))
        for path in session.served.glob(f"thumbnail-{item.key}.*"):
            remove(path)

    def current(self, session: Session) -> Item | None:
        """The photograph that is shown, if it could be opened."""
        item = session.items.get(session.current or "")
        return item if item and item.state == "ready" else None

    def view(self, session: Session, tiles: bool = False) -> dict | None:
        """The viewer's value for the photograph that is shown; None if there is none.

        Args:
            tiles: with its pieces for the view at 100 %.
        """
        item = self.current(session)
        if item is None:
            return None
        photo = load_photo(item.source)
        if session.before[0] != item.key:
            suffix, content = encode_preview(photo.dark, photo.alpha, photo.icc)
            shown = session.show("before", f"before{suffix}", content)
            session.before = (item.key, shown)
        pixels = render(self.enhancer, photo, session.settings)
        suffix, content = encode_preview(pixels, photo.alpha, photo.icc)
        height, width = photo.dark.shape[:2]
        return {
            "before": session.before[1],
            "after": session.show("after", f"after{suffix}", content),
            "name": item.name,
            "facts": facts_in_words(photo.size, item.bytes),
            "measured": photo.measured,
            "width": width,
            "height": height,
            "full_width": photo.size[0],
            "full_height": photo.size[1],
            "shows_map": session.settings.shows_map,
            "tiles": self.tiles(session, photo) if tiles else [],
        }

    def tiles(self, session: Session, photo) -> list[dict]:
        """The pieces of the view at 100 %; none of the factor map, which is no larger."""
        if session.settings.shows_map:
            return []
        bright = enhance_whole(self.enhancer, photo, session.settings, self.max_pixels)
        return show_tiles(session, read_photo(photo.source, self.max_pixels), bright)

    def export(self, session: Session) -> dict:
        """The shown photograph, whole: {"url", "name"} of the file."""
        item = self.current(session)
        if item is None:
            raise UserError(GONE)
        photo = load_photo(item.source)
        name, content = export_photo(self.enhancer, photo, session.settings, self.max_pixels)
        return {"url": session.show("whole", name, content), "name": name}

    def export_all(self, session: Session) -> Iterator[tuple[int, int, dict | None]]:
        """All photographs in one .zip: (done, of, file), the file with the last.

        Those that cannot be written are marked as failed.
        """
        items = session.listed("ready")
        if not items:
            raise UserError(GONE)
        path = session.new_place("whole", "photos-bright.zip")
        names: set[str] = set()
        with (
            whole_file(path) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
        ):
            for number, item in enumerate(items):
                yield number, len(items), None
                if session.closed:  # its owner left
                    return
                try:
                    name, content = export_photo(
                        self.enhancer, load_photo(item.source), session.settings, self.max_pixels
                    )
                except Exception as error:
                    item.state, item.reason = "failed", reason_of(error, session)
                    continue
                archive.writestr(unused_name(name, names), content)
        yield len(items), len(items), {"url": address(path), "name": path.name}

    def strip(self, session: Session) -> dict:
        """The list's value on the page."""
        items = [
            {"key": item.key, "name": item.name, "state": item.state, "thumbnail": item.thumbnail}
            for item in session.listed()
        ]
        return {"items": items, "current": session.current}

    def failures(self, session: Session) -> list[str]:
        """A sentence for each file that was not brightened."""
        return [
            f"“{item.name}” was not brightened: {item.reason}." for item in session.listed("failed")
        ]


def reason_of(error: Exception, session: Session) -> str:
    """What the page says of a failure; what nobody but us can mend goes to the log."""
    if isinstance(error, UserError):
        return str(error).rstrip(".")
    if session.closed or isinstance(error, FileNotFoundError):  # swept, or left meanwhile
        return GONE
    traceback.print_exception(error)
    return "something went wrong on the server"


def unused_name(name: str, names: set[str]) -> str:
    """The name, or with a number where an archive has it already; added to `names`."""
    path, chosen, number = Path(name), name, 2
    while chosen.lower() in names:  # Windows takes two that differ in case for one
        chosen, number = f"{path.stem}-{number}{path.suffix}", number + 1
    names.add(chosen.lower())
    return chosen


def facts_in_words(size: tuple[int, int], length: int) -> str:
    """A picture's width and height, and a file's bytes, as people read them."""
    words = f"{length / 1e6:.1f} MB" if length >= 1e6 else f"{max(length / 1e3, 1):.0f} kB"
    return f"{size[0]} \N{MULTIPLICATION SIGN} {size[1]} · {words}"
