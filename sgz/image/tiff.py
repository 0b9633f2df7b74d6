"""TIFF of 16 bits a channel: what Pillow reads in gray alone, and writes not at all.

Tags and their values are of the TIFF 6.0 specification.
"""

import io
import struct
import zlib

import numpy as np

from sgz.errors import ImageError
from sgz.image.metadata import EXIF_IFD, GPS_IFD, as_stored

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIPS, CHANNELS, STRIP_ROWS, STRIP_BYTES, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, EXTRA, SAMPLE_FORMAT = 322, 323, 324, 325, 338, 339
ICC_PROFILE = 0x8773
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
PREDICTED = (5, 8, 32946, 50000, 34925)  # LZW, deflate (twice), Zstandard, LZMA
LONG_TAGS = (WIDTH, HEIGHT, STRIPS, STRIP_ROWS, STRIP_BYTES, TILE_WIDTH, TILE_HEIGHT, TILES,
             TILE_BYTES)  # fmt: skip
MAX_TILE_BYTES = 1 << 28


def is_deep(tags) -> bool:
    """Whether a file of these tags has 16 bits a channel."""
    return 16 in np.atleast_1d(tags.get(BITS, 8))


def decode_deep(tags, data: bytes) -> np.ndarray:
    """The pixels of the first page: [H, W, 1 to 4] uint16, alpha last; not yet upright.

    Pillow cuts colour of 16 bits to 8 but reads gray of 16. So the file gets a second directory,
    where W pixels of C channels are W * C gray ones; the strips stay as they are. What a predictor
    took away, each pixel's left neighbour, C values off, is added here.

    Args:
        tags: Pillow's tag_v2 of the file.

    Raises:
        ImageError: of a kind that is not read, or damaged.
    """
    check_kind(tags)
    channels = tags.get(CHANNELS, 1)
    if tags.get(PLANAR, 1) == 2 and channels > 1:
        planes = [decode_gray(tags, data, 1, plane) for plane in range(channels)]
        stack = np.concatenate(planes, axis=2)
    else:
        stack = decode_gray(tags, data, channels)
    colours = 3 if tags[PHOTOMETRIC] == RGB else 1
    stack = stack[..., : colours + 1]  # of several extra channels the first is alpha
    if tags[PHOTOMETRIC] == WHITE_IS_ZERO:
        stack[..., 0] = 65535 - stack[..., 0]
    if stack.shape[2] > colours and np.atleast_1d(tags.get(EXTRA, 2))[0] == 1:
        divide_by_alpha(stack)
    return stack


def check_kind(tags) -> None:
    """ImageError for what decode_deep does not read."""
    colours = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3}.get(tags.get(PHOTOMETRIC))
    formats = set(np.atleast_1d(tags.get(SAMPLE_FORMAT, 1)))
    if (
        colours is None
        or tags.get(CHANNELS, 1) < colours
        or set(np.atleast_1d(tags[BITS])) != {16}
        or not formats <= {1, 4}
    ):
        raise ImageError("of a 16-bit kind that is not read; save it as plain gray or RGB")


def decode_gray(tags, data: bytes, channels: int, plane: int | None = None) -> np.ndarray:
    """[H, W, channels] uint16 of the strips or tiles; of one plane, if the planes lie apart."""
    from PIL import TiffImagePlugin

    width, height = tags[WIDTH], tags[HEIGHT]
    content = data[:4] + struct.pack(endian(data) + "I", len(data)) if is_classic(data) else (
        data[:2] + struct.pack(endian(data) + "HI", 42, len(data))
    )  # fmt: skip
    content += data[8:] + gray_directory(tags, data, channels, plane)
    with TiffImagePlugin.TiffImageFile(io.BytesIO(content), "") as image:
        image.load()
        stack = np.array(image).astype(np.uint16, copy=False).reshape(height, width, channels)
    if tags.get(PREDICTOR, 1) == 2 and tags.get(COMPRESSION) in PREDICTED:
        step = tags.get(TILE_WIDTH) or width
        for left in range(0, width, step):
            part = stack[:, left : left + step]
            np.cumsum(part, axis=1, dtype=np.uint16, out=part)
    return stack


def is_classic(data: bytes) -> bool:
    """Whether it is no BigTIFF, whose header is longer."""
    return 42 in data[2:4]


def endian(data: bytes) -> str:
    """struct's sign of the file's byte order."""
    return "<" if data[:1] == b"I" else ">"


def gray_directory(tags, data: bytes, channels: int, plane: int | None) -> bytes:
    """The directory, to lie at the end of `data`, of the same strips as gray pixels.

    Raises:
        ImageError: a strip or tile lies outside the file.
    """
    entries = {
        WIDTH: tags[WIDTH] * channels, HEIGHT: tags[HEIGHT], BITS: 16,
        COMPRESSION: tags.get(COMPRESSION, 1), PHOTOMETRIC: BLACK_IS_ZERO, CHANNELS: 1,
        FILL_ORDER: tags.get(FILL_ORDER, 1),
    }  # fmt: skip
    tiled = TILES in tags
    if tiled:
        across, down = tags[TILE_WIDTH] * channels, tags[TILE_HEIGHT]
        if across * down * 2 > MAX_TILE_BYTES:
            raise ImageError(f"damaged: tiles of {across}x{down}; replace or remove it")
        entries |= {TILE_WIDTH: across, TILE_HEIGHT: down}
        parts = -(-tags[WIDTH] // max(tags[TILE_WIDTH], 1)) * -(-tags[HEIGHT] // max(down, 1))
    else:
        entries[STRIP_ROWS] = min(tags.get(STRIP_ROWS, tags[HEIGHT]), tags[HEIGHT])
        parts = -(-tags[HEIGHT] // max(entries[STRIP_ROWS], 1))
    places, lengths = (TILES, TILE_BYTES) if tiled else (STRIPS, STRIP_BYTES)
    starts, counts = (np.atleast_1d(tags.get(tag, ())).tolist() for tag in (places, lengths))
    if plane is not None:
        each = len(starts) // tags[CHANNELS]
        starts, counts = (part[plane * each : (plane + 1) * each] for part in (starts, counts))
    if not starts or not parts == len(starts) == len(counts) or any(
        start + count > len(data) for start, count in zip(starts, counts, strict=True)
    ):  # fmt: skip
        raise ImageError("truncated, or its directory damaged; replace or remove it")
    return pack_directory(entries | {places: starts, lengths: counts}, len(data), endian(data))


def pack_directory(entries: dict[int, int | list[int]], place: int, order: str) -> bytes:
    """A directory that begins at `place` of a file; long values follow it."""
    head, tail = struct.pack(order + "H", len(entries)), b""
    after = place + 2 + 12 * len(entries) + 4
    for tag, value in sorted(entries.items()):
        values = np.atleast_1d(value)
        kind, letter = (4, "I") if tag in LONG_TAGS else (3, "H")
        packed = struct.pack(f"{order}{len(values)}{letter}", *values.tolist())
        if len(packed) > 4:
            packed, tail = struct.pack(order + "I", after + len(tail)), tail + packed
        head += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return head + bytes(4) + tail


def divide_by_alpha(stack: np.ndarray) -> None:
    """Colours that were multiplied by alpha, as they were before: [H, W, C] in place."""
    for row in stack:
        alpha = np.maximum(row[:, -1:].astype(np.uint32), 1)
        row[:, :-1] = np.minimum((row[:, :-1] * np.uint32(65535) + alpha // 2) // alpha, 65535)


def encode(
    pixels: np.ndarray, alpha: np.ndarray | None, icc: bytes | None, exif: bytes | None
) -> bytes:
    """TIFF of 8 or 16 bits, one deflated strip: Pillow writes the directory, we the pixels.

    Pillow itself has no 16-bit colour and loses the Exif directory of a compressed file.
    """
    from PIL import Image, TiffImagePlugin

    stack = pixels[..., None] if pixels.ndim == 2 else pixels
    photometric = 2 if stack.shape[2] == 3 else 1  # RGB or black is zero
    if alpha is not None:
        stack = np.dstack((stack, alpha))
    height, width, channels = stack.shape
    little_endian = stack.dtype.newbyteorder("<")
    body = zlib.compress(np.ascontiguousarray(stack, little_endian), 1)
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    if exif:
        block = Image.Exif()
        block.load(exif)
        for tag, value in block.items():
            if tag in (EXIF_IFD, GPS_IFD):
                value = {key: as_stored(part) for key, part in block.get_ifd(tag).items()}
            directory[tag] = as_stored(value)
    bits = (8 * stack.itemsize,) * channels
    directory.update({256: width, 257: height, 258: bits, 259: 8, 262: photometric, 273: 0,
                      277: channels, 278: height, 279: len(body), 284: 1})  # fmt: skip
    if alpha is not None:
        directory[338] = 2  # unassociated alpha
    if icc:
        directory.tagtype[ICC_PROFILE] = 7
        directory[ICC_PROFILE] = icc
    buffer = io.BytesIO()
    directory.save(buffer)  # counts the strip's offset, 0, from the end of what it writes
    return buffer.getvalue() + body
