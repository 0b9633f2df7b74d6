"""What the demo keeps of its visitors while their pages are open: one folder each, then nothing.

Two folders lie side by side. `served` is the only one the web server reads from; `kept` holds the
originals. A visitor's folder in either has the same name, which nobody else can guess.
"""

import hashlib
import io
import json
import os
import re
import secrets
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sgz.errors import UserError
from sgz.files import write_whole
from sgz.image.photo import Photo, encode_photo, output_name, read_photo
from sgz.pixels import to_8_bit

PREVIEW = 1600  # pixels on the longer side of what the page shows
IDLE = 30 * 60  # seconds after which an unused visitor's folder is removed
UPLOAD_IDLE = 10 * 60  # seconds after which an upload that no page asked about is removed
MIN_FREE = 500_000_000  # bytes that uploads leave free on the disk
GONE = "this page has rested too long and its picture was deleted; please choose it again"


class Sessions:
    """Folders of visitors below one temporary folder.

    Args:
        root: an empty folder of our own, removed by the caller at the end.
    """

    def __init__(self, root: Path):
        self.served, self.kept = root / "served", root / "kept"
        self.secret = secrets.token_bytes(16)
        self.served.mkdir()
        self.kept.mkdir()

    def open(self, visitor: str) -> "Session":
        """The session of a visitor, by whatever the web server calls them."""
        key = hashlib.blake2b(visitor.encode(), key=self.secret, digest_size=16).hexdigest()
        session = Session(self.served / key, self.kept / key)
        for folder in (session.served, session.kept):
            folder.mkdir(exist_ok=True)
            os.utime(folder)  # used just now
        return session

    def take_upload(self, uploaded: str, session: "Session", kind: str) -> Path:
        """Move what the web server received to where it serves nothing from.

        Args:
            kind: how the file is called there, with a number.

        Raises:
            UserError: the path is none that the web server gave out, or the file is gone.
        """
        path = Path(uploaded)
        # The web server names the folder of an upload by the hash of its content.
        received = path.parent.parent == self.served and re.fullmatch(
            "[0-9a-f]{64}", path.parent.name
        )
        target = session.new_name(kind)
        try:
            if not received or path.is_symlink() or not path.is_file():
                raise FileNotFoundError
            path.rename(target)
            path.parent.rmdir()  # the hash
        except OSError as error:
            raise UserError("the upload did not arrive whole; please send it again") from error
        return target

    def has_room(self) -> bool:
        """Whether the disk has room for another upload."""
        return shutil.disk_usage(self.kept).free > MIN_FREE

    def sweep(self) -> None:
        """Remove the folders that nobody has used for a while, and stray uploads."""
        now = time.time()
        for folder in (*self.served.iterdir(), *self.kept.iterdir()):
            own = len(folder.name) == 32
            try:
                if now - folder.stat().st_mtime > (IDLE if own else UPLOAD_IDLE):
                    remove(folder)
            except OSError:
                continue  # removed meanwhile


@dataclass(frozen=True)
class Session:
    """One visitor's folders: `served` to the browser, and `kept` from it."""

    served: Path
    kept: Path

    @property
    def alive(self) -> bool:
        """Whether it has not been removed."""
        return self.kept.is_dir()

    def close(self) -> None:
        """Delete everything."""
        remove(self.kept)
        remove(self.served)

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

    def clear(self, kind: str, left: int) -> None:
        """Delete what is served of a kind but for the last ones."""
        for old in sorted(self.served.glob(f"{kind}-*"), reverse=True)[left:]:
            remove(old)

    def show(self, kind: str, name: str, content: bytes) -> Path:
        """Write what the browser may fetch and save under that name."""
        path = self.new_place(kind, name)
        write_whole(path, content)
        return path

    def last_shown(self, kind: str) -> Path:
        """What show() wrote last of a kind; UserError if nothing is left of it."""
        paths = sorted(self.served.glob(f"{kind}-*/*"))
        if not paths:
            raise UserError(GONE)
        return paths[-1]


@dataclass(frozen=True)
class Sheet:
    """A visitor's photograph as the page works on it.

    name: for the download. source: the file as it was sent. size: its width and height.
    dark: the preview, [H, W, 3] or [H, W]. alpha: [H, W] or None. factor: the whole
    photograph's factor map [3, h, w]. small: what the network saw of it, [C, h, w].
    icc: the colour profile or None.
    """

    name: str
    source: Path
    size: tuple[int, int]
    dark: np.ndarray
    alpha: np.ndarray | None
    factor: np.ndarray
    small: np.ndarray
    icc: bytes | None

    def save(self, session: Session) -> None:
        """Make it the session's photograph, in place of another."""
        about = {"name": self.name, "source": self.source.name, "size": self.size}
        arrays = {"dark": self.dark, "factor": self.factor, "small": self.small}
        if self.alpha is not None:
            arrays["alpha"] = self.alpha
        buffer = io.BytesIO()
        np.savez(
            buffer,
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
            icc=np.frombuffer(self.icc or b"", np.uint8),
            **arrays,
        )
        write_whole(session.kept / "sheet.npz", buffer.getbuffer())
        session.drop_before(self.source)


def load_sheet(session: Session) -> Sheet:
    """The session's photograph; UserError if there is none any more."""
    try:
        with np.load(session.kept / "sheet.npz") as file:
            parts = dict(file)
    except OSError as error:
        raise UserError(GONE) from error
    about = json.loads(parts["about"].tobytes())
    return Sheet(
        about["name"],
        session.kept / about["source"],
        tuple(about["size"]),
        parts["dark"],
        parts.get("alpha"),
        parts["factor"],
        parts["small"],
        parts["icc"].tobytes() or None,
    )


def new_sheet(enhancer, source: Path, name: str, max_pixels: int) -> Sheet:
    """Read a photograph and run the network on it, once.

    Args:
        enhancer: an Enhancer.
        name: as its owner calls it.

    Raises:
        ImageError: as read_photo's.
    """
    photo = read_photo(source, max_pixels)
    height, width = photo.pixels.shape[:2]
    alpha = None if photo.alpha is None else shrink(photo.alpha)
    factor, small = enhancer.factor(photo.pixels), enhancer.shrink(photo.pixels)
    dark = shrink(photo.pixels)
    return Sheet(safe_name(name), source, (width, height), dark, alpha, factor, small, photo.icc)


def finish(enhancer, sheet: Sheet, strength: float, iterations: int, max_pixels: int) -> bytes:
    """The whole photograph enhanced, as a file of its own type: what test.py writes."""
    if not sheet.source.is_file():
        raise UserError(GONE)
    photo = read_photo(sheet.source, max_pixels)
    photo = photo.with_pixels(enhancer.apply(photo.pixels, sheet.factor, strength, iterations))
    return encode_photo(photo, output_name(sheet.name).suffix)


def brighten_preview(enhancer, sheet: Sheet, strength: float, iterations: int) -> np.ndarray:
    """The preview enhanced by the whole photograph's maps."""
    height, width = sheet.dark.shape[:2]
    if (width, height) == sheet.size:
        return enhancer.apply(sheet.dark, sheet.factor, strength, iterations)
    if not (strength and iterations):
        return sheet.dark
    treatment = enhancer.treatment(sheet.dark, sheet.factor, strength, iterations, sheet.small)
    scale = enhancer.scale_factor
    slope, offset = (sample(m, sheet, scale) for m in (treatment.slope, treatment.offset))
    treatment = replace(treatment, slope=slope, offset=offset)
    return enhancer.apply_treatment(sheet.dark, treatment, iterations)


def sample(maps: np.ndarray, sheet: Sheet, scale: int) -> np.ndarray:
    """Maps [M, h, w] of the whole photograph where the preview's pixels lie: [M, H, W].

    Between cells as in the whole photograph, whose pixel x lies at cell x (w - 1) / (scale w - 1).
    """
    import cv2

    places = []
    for side, small, cells in zip(
        sheet.size, sheet.dark.shape[1::-1], maps.shape[:0:-1], strict=True
    ):
        pixels = (np.arange(small) + 0.5) * side / small - 0.5
        places.append((pixels * (cells - 1) / max(scale * cells - 1, 1)).astype(np.float32))
    x, y = np.meshgrid(*places)
    border = cv2.BORDER_REPLICATE
    return np.stack([cv2.remap(m, x, y, cv2.INTER_LINEAR, borderMode=border) for m in maps])


def paint_factor(sheet: Sheet) -> np.ndarray:
    """The factor map in colours over the preview in gray: [H, W, 3] uint8.

    From where this photograph is brightened least, dark violet, to where most, bright yellow.
    """
    import cv2

    gain = -sheet.factor.mean(axis=0)
    low, high = gain.min(), gain.max()
    gain = (gain - low) / max(high - low, 0.1)  # differences below a tenth are none to show
    height, width = sheet.dark.shape[:2]
    gain = cv2.resize(gain, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colours = cv2.applyColorMap((gain * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    dark = to_8_bit(sheet.dark)
    gray = dark if dark.ndim == 2 else cv2.cvtColor(dark, cv2.COLOR_RGB2GRAY)
    gray = np.sqrt(gray / np.float32(255))[..., None]  # lifted, so that its shapes are seen
    return (0.65 * colours + 90 * gray).clip(0, 255).astype(np.uint8)


def encode_preview(sheet: Sheet, pixels: np.ndarray) -> tuple[str, bytes]:
    """(suffix, content) of what the page shows: JPEG, or WebP where something is transparent."""
    suffix = ".jpg" if sheet.alpha is None else ".webp"
    return suffix, encode_photo(Photo(pixels, sheet.alpha, icc=sheet.icc), suffix)


def shrink(image: np.ndarray, longest: int = PREVIEW) -> np.ndarray:
    """[H, W] or [H, W, 3] at most `longest` pixels on either side, of its type."""
    import cv2

    height, width = image.shape[:2]
    ratio = longest / max(height, width)
    if ratio >= 1:
        return image
    size = max(round(width * ratio), 1), max(round(height * ratio), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


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
