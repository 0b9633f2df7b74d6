"""Animations written frame by frame: PNG (third edition) and WebP (RFC 9649); gif.py has GIF.

Each frame is compressed and on the disk before the next one is taken, so that memory does not grow
with the animation; Pillow's own writers keep all of them.
"""

import io
import struct
from typing import BinaryIO

import numpy as np

from sgz.errors import ImageError
from sgz.image import png
from sgz.image.animation import Animation, Frame
from sgz.image.gif import GifWriter
from sgz.pixels import to_rgb

WEBP_QUALITY = {"quality": 95, "method": 2}
LAST_PLAYS = 0xFFFF


class PngWriter:
    """Animated PNG: whole frames without loss."""

    def __init__(self, file: BinaryIO, animation: Animation):
        self.file, self.animation = file, animation
        self.parts = 0  # fcTL and fdAT are numbered

    def add(self, frame: Frame) -> None:
        """Append a frame."""
        stack = frame.pixels if frame.alpha is None else np.dstack((frame.pixels, frame.alpha))
        first = self.parts == 0
        if first:
            self._begin(stack)
        height, width = stack.shape[:2]
        # Drawn over all that was there (dispose 0, blend 0).
        self._number(
            b"fcTL",
            struct.pack(">IIIIHHBB", width, height, 0, 0, *delay(frame.milliseconds), 0, 0),
        )
        for part in png.deflate(stack):
            if first:
                self.file.write(png.framed(b"IDAT", part))
            else:
                self._number(b"fdAT", part)

    def _begin(self, stack: np.ndarray) -> None:
        animation = self.animation
        exif = animation.exif and animation.exif.removeprefix(b"Exif\0\0")
        plays = struct.pack(">II", animation.count, animation.plays)
        chunks = [(b"IHDR", png.header_for(stack)), (b"acTL", plays)]
        self.file.write(png.join_chunks([*chunks, *png.metadata_chunks(animation.icc, exif)]))

    def _number(self, name: bytes, body: bytes) -> None:
        self.file.write(png.framed(name, struct.pack(">I", self.parts) + body))
        self.parts += 1

    def finish(self) -> None:
        """Complete the file."""
        self.file.write(png.framed(b"IEND", b""))


def delay(milliseconds: float) -> tuple[int, int]:
    """A time as a fraction of a second, both parts below 65536."""
    for parts in (1000, 100, 10, 1):
        count = round(milliseconds * parts / 1000)
        if count <= 0xFFFF:
            return count, parts
    return 0xFFFF, 1


class WebpWriter:
    """Animated WebP: each frame a whole WebP picture."""

    def __init__(self, file: BinaryIO, animation: Animation):
        self.file, self.animation = file, animation
        self.begun = False

    def add(self, frame: Frame) -> None:
        """Append a frame.

        Raises:
            ImageError: it is larger than WebP can hold.
        """
        from PIL import Image

        pixels = to_rgb(frame.pixels)
        if frame.alpha is not None:
            pixels = np.dstack((pixels, frame.alpha))
        height, width = pixels.shape[:2]
        if not self.begun:
            self._begin(width, height)
        buffer = io.BytesIO()
        try:
            Image.fromarray(pixels).save(buffer, "WEBP", **WEBP_QUALITY)
        except (OSError, ValueError) as error:
            raise ImageError(f"cannot be written as WebP ({error})", "suffix") from error
        parts = webp_chunks(buffer.getvalue())
        sides = bytes(6) + u24(width - 1) + u24(height - 1)
        time = u24(min(round(frame.milliseconds), 0xFFFFFF))
        replaced = b"\x02"  # what was there, not blended with it
        self._chunk(b"ANMF", sides + time + replaced + b"".join(parts))

    def _begin(self, width: int, height: int) -> None:
        self.begun = True
        animation = self.animation
        flags = 0x02 | 0x10 * animation.clear | 0x20 * bool(animation.icc)
        flags |= 0x08 * bool(animation.exif)
        self.file.write(b"RIFF\0\0\0\0WEBP")
        self._chunk(b"VP8X", struct.pack("<I", flags) + u24(width - 1) + u24(height - 1))
        if animation.icc:
            self._chunk(b"ICCP", animation.icc)
        self._chunk(b"ANIM", bytes(4) + struct.pack("<H", min(animation.plays, LAST_PLAYS)))

    def _chunk(self, name: bytes, body: bytes) -> None:
        self.file.write(riff(name, body))

    def finish(self) -> None:
        """Complete the file."""
        if self.animation.exif:
            self._chunk(b"EXIF", self.animation.exif.removeprefix(b"Exif\0\0"))
        length = self.file.tell()
        self.file.seek(4)
        self.file.write(struct.pack("<I", length - 8))


def riff(name: bytes, body: bytes) -> bytes:
    """A chunk of a RIFF file, of even length."""
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp_chunks(content: bytes) -> list[bytes]:
    """Of a still WebP file the chunks that a frame consists of, as they lie in it."""
    parts, place = [], 12
    while place < len(content):
        name, length = struct.unpack_from("<4sI", content, place)
        start, place = place, place + 8 + length + length % 2
        if name in (b"ALPH", b"VP8 ", b"VP8L"):
            parts.append(content[start:place])
    return parts


def u24(value: int) -> bytes:
    """A number in three bytes."""
    return value.to_bytes(3, "little")


WRITERS = {"GIF": GifWriter, "PNG": PngWriter, "WEBP": WebpWriter}
