"""GIF (89a) written: one picture, or an animation frame by frame, in 255 colours each."""

import struct
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from sgz.errors import ImageError
from sgz.pixels import to_rgb

if TYPE_CHECKING:
    from sgz.image.animation import Animation, Frame

COLOURS = 255  # of a picture; the last one of its 256 is the transparent one
UNSEEN = 3  # levels by which a pixel may change and is left as it was: it does not flicker
OPAQUE = 128  # alpha from which on a pixel is seen
MOST = 0xFFFF  # of a side, of repeats, and of a picture's hundredths of a second


def encode(pixels: np.ndarray, alpha: np.ndarray | None) -> bytes:
    """A GIF file of [H, W, 3] or [H, W], uint8; alpha is a half or nothing."""
    holes = np.zeros(pixels.shape[:2], bool) if alpha is None else alpha < OPAQUE
    return header_for(*pixels.shape[1::-1]) + picture(to_rgb(pixels), holes) + b";"


def header_for(width: int, height: int) -> bytes:
    """How a file begins, without a table of colours: each picture has its own.

    Raises:
        ImageError: a side is too long for the type.
    """
    if max(width, height) > MOST:
        raise ImageError(f"cannot be written as GIF, whose sides end at {MOST} pixels", "suffix")
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0)


def picture(
    pixels: np.ndarray,
    holes: np.ndarray,
    offset: tuple[int, int] = (0, 0),
    milliseconds: float = 0,
    disposal: int = 0,
) -> bytes:
    """One picture [H, W, 3] as it lies in a file, but for its holes [H, W]."""
    from PIL import GifImagePlugin

    blocks = GifImagePlugin.getdata(
        in_few_colours(pixels, holes),
        offset,
        duration=10 * min(round(milliseconds / 10), MOST),
        disposal=disposal,
        include_color_table=True,
        **({"transparency": COLOURS} if holes.any() else {}),
    )
    return b"".join(map(bytes, blocks))


def in_few_colours(pixels: np.ndarray, holes: np.ndarray):
    """A Pillow image of [H, W, 3] in COLOURS of its own, dithered, and one more for the holes."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels))
    seen = pixels[~holes]
    sample = Image.fromarray(seen[None]) if len(seen) else image
    table = sample.quantize(COLOURS, Image.Quantize.MEDIANCUT)
    indices = np.array(image.quantize(palette=table, dither=Image.Dither.FLOYDSTEINBERG))
    indices[holes] = COLOURS
    result = Image.fromarray(indices, "P")
    result.putpalette(bytes(table.getpalette())[: 3 * COLOURS].ljust(768, b"\0"))
    return result


class GifWriter:
    """An animation: each frame has colours of its own, and what does not change stays as it was.

    One with holes is written whole frame after whole frame, each on a cleared canvas.
    """

    def __init__(self, file: BinaryIO, animation: "Animation"):
        self.file, self.clear, self.plays = file, animation.clear, animation.plays
        self.painted: np.ndarray | None = None  # the colours that what is seen was made of

    def add(self, frame: "Frame") -> None:
        """Append a frame."""
        pixels = to_rgb(frame.pixels)
        if self.painted is None:
            self._begin(*pixels.shape[1::-1])
            self.painted = np.full(pixels.shape, -256, np.int16)
        if self.clear:
            part = picture(pixels, frame.alpha < OPAQUE, (0, 0), frame.milliseconds, disposal=2)
        else:
            part = self._changes(pixels, frame.milliseconds)
        self.file.write(part)

    def _begin(self, width: int, height: int) -> None:
        self.file.write(header_for(width, height))
        if self.plays != 1:
            repeats = min(max(self.plays - 1, 0), MOST)
            self.file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", repeats, 0))

    def _changes(self, pixels: np.ndarray, milliseconds: float) -> bytes:
        """The rectangle outside of which all stays, and inside what changes."""
        kept = np.abs(pixels - self.painted).max(axis=2) <= UNSEEN
        self.painted = np.where(kept[..., None], self.painted, pixels)
        rows, columns = span(~kept, 1), span(~kept, 0)
        offset = columns.start, rows.start
        part = rows, columns
        return picture(pixels[part], kept[part], offset, milliseconds, disposal=1)

    def finish(self) -> None:
        """Complete the file."""
        self.file.write(b";")


def span(seen: np.ndarray, axis: int) -> slice:
    """Rows (axis 1) or columns (0) from the first to the last that hold anything; one at least."""
    places = np.flatnonzero(seen.any(axis=axis))
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(0, 1)
