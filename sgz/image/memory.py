"""How much memory a photograph will take, told from the head of its file."""

import re
from pathlib import Path

from sgz.image import opening, raw
from sgz.image.animation import LARGE
from sgz.image.photo import MAX_PIXELS

# Bytes for a pixel, from file to file with the natural look: of the types that are listed, measured
# 13 to 19; of all others, of 16 bits and of camera RAW 16 to 39. Of an animation 121 to 153, as
# frames wait for those after them.
PLAIN, BYTES, DEEP_BYTES, WAITING = ("JPEG", "PNG", "BMP", "PPM"), 24, 44, 116
HEAD = 1 << 20  # bytes within which a JPEG has its size, behind profile and preview


def memory_for(path: Path, max_pixels: int = MAX_PIXELS) -> int:
    """Bytes of memory that enhancing a photograph takes at most.

    What cannot be told from the head, or has more than `max_pixels`, counts as its file alone: it
    will be refused.
    """
    if not path.is_file():  # opening a pipe would wait for its writer
        return 0
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        kind, width, height = size_in_head(path, head)
    except Exception:  # Pillow raises nearly anything
        return size
    pixels = width * height
    if pixels > max_pixels:
        return size
    deep = kind not in PLAIN or (kind == "PNG" and head[24:25] == b"\x10")
    waiting = WAITING * min(pixels, LARGE) if may_move(kind, head) else 0
    return size + pixels * (DEEP_BYTES if deep else BYTES) + waiting


def size_in_head(path: Path, head: bytes) -> tuple[str, int, int]:
    """(type, width, height) of a photograph; nearly any exception where it is none."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP", *webp_size(head)
    if opening.brand_of(head) in (b"avif", b"avis"):  # its pictures' sizes, the largest its own
        sides = re.findall(rb"ispe\0{4}(.{4})(.{4})", head, re.DOTALL)
        return "AVIF", *max(tuple(int.from_bytes(side, "big") for side in pair) for pair in sides)
    tiff = head[:2] in (b"II", b"MM")
    if path.suffix.lower() in raw.SUFFIXES or (not tiff and raw.begins_like_raw(head)):
        return "RAW", *raw.size_of(path)
    # A TIFF's directory may lie at its end, and be a DNG's.
    with opening.open_tiff(path) if tiff else opening.open_image(head) as image:
        if raw.is_raw(image, ""):
            return "RAW", *raw.size_of(path)
        return image.format, *image.size


def webp_size(head: bytes) -> tuple[int, int]:
    """Width and height in a WebP's first chunk (RFC 9649)."""
    kind, body = head[12:16], head[20:]
    if kind == b"VP8X":
        return tuple(1 + int.from_bytes(body[at : at + 3], "little") for at in (4, 7))
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return tuple(int.from_bytes(body[at : at + 2], "little") & 0x3FFF for at in (6, 8))


def may_move(kind: str, head: bytes) -> bool:
    """Whether it may be an animation."""
    in_webp = kind == "WEBP" and head[12:16] == b"VP8X" and head[20] & 2
    return kind == "GIF" or bool(in_webp) or (kind == "PNG" and b"acTL" in head[:1024])
