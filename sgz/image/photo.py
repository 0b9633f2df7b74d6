"""One photograph in a file: decoded to an array, encoded again with all that it came with."""

import io
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sgz.errors import ImageError
from sgz.image import gif, opening, png, raw, tiff
from sgz.image.metadata import ORIENTATION, exif_block, exif_of_tiff, orientation_of
from sgz.pixels import to_8_bit, to_rgb

# The type a name asks for. Of what else can be read, camera RAW is written as TIFF, all as PNG.
FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG",
    ".apng": "PNG", ".bmp": "BMP", ".dib": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
    ".webp": "WEBP", ".avif": "AVIF", ".gif": "GIF",
}  # fmt: skip
READ_ONLY_SUFFIXES = (".ppm", ".pgm", ".pnm", ".heic", ".heif")
IMAGE_SUFFIXES = frozenset((*FORMAT_OF_SUFFIX, *READ_ONLY_SUFFIXES, *raw.SUFFIXES))
SAVE_OPTIONS = {
    "JPEG": {"quality": 95},
    "WEBP": {"quality": 95, "method": 2},
    "AVIF": {"quality": 90, "speed": 8},
    "BMP": {},
}
MAX_PIXELS = 300_000_000
FILE_ROOM = 256 << 20  # bytes that a file may have beyond those of its pixels: pages, previews
STRIP = 1 << 20  # pixels converted at a time; Pillow's guard would refuse large parts too
GRAY_MODES = ("1", "L", "LA", "I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class Photo:
    """A decoded image, upright, with what must go back into its file.

    pixels: [H, W, 3] RGB or [H, W] gray, uint8 or uint16. alpha: [H, W] of the same type or None.
    exif, icc: raw blocks or None. frames: above 1 for an animation or pages; pixels is the first.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    exif: bytes | None = None
    icc: bytes | None = None
    frames: int = 1

    def with_pixels(self, pixels: np.ndarray) -> "Photo":
        """The same photograph with other pixels of the same size."""
        return replace(self, pixels=pixels)


def read_photo(path: str | Path, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode an image file by its content, whatever its name says.

    Reads 8 and 16 bits per channel, gray, RGB, palette and CMYK, with alpha or without, and camera
    RAW; turns it upright; of an animation it takes the first frame (animation.py has all).

    Raises:
        ImageError: it cannot be decoded, or has more than `max_pixels`.
    """
    path = Path(path)
    data = read_bytes(path, 8 * max_pixels + FILE_ROOM)
    try:
        return read_png(data, max_pixels) or read_other(data, path.suffix.lower(), max_pixels)
    except MemoryError as error:
        raise ImageError("too large for this machine's memory; shrink it") from error


def read_bytes(path: Path, most: int) -> bytes:
    """The file's bytes; ImageError when they cannot be had, are too many or begin no image."""
    if not path.is_file():
        raise ImageError("not an ordinary file" if path.exists() else "no such file")
    try:
        with path.open("rb") as file:
            head = file.read(opening.HEAD)
            opening.check_head(head, path.suffix.lower())
            if (size := path.stat().st_size) > most:
                raise ImageError(f"a file of {size / 1e9:.1f} GB is no photograph", "max_pixels")
            file.seek(0)
            return file.read(size)
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror}); check its permissions") from error


def read_png(data: bytes, max_pixels: int) -> Photo | None:
    """The commonest PNG, in half of Pillow's time, and 16 bits; None leaves the file to Pillow."""
    try:
        chunks = png.read_chunks(data)
        header = png.header_of(chunks)
        check_size(header.width, header.height, max_pixels)
        exif, icc, orientation = metadata_of(png.metadata_alone(chunks))
        frames = png.count_frames(chunks)
        stack = png.decode(chunks)
    except png.OtherPng:
        return None
    return assemble(stack, orientation, header.channels < 3, exif, icc, frames)


def metadata_of(content: bytes | None) -> tuple[bytes | None, bytes | None, int]:
    """EXIF, ICC profile and orientation of a small PNG; OtherPng where Pillow cannot open it."""
    if content is None:
        return None, None, 1
    try:
        with opening.open_image(content) as image:
            icc = image.info.get("icc_profile")  # before EXIF is looked for beyond the pixels
            return exif_block(image), icc, orientation_of(image)
    except Exception as error:  # Pillow raises nearly anything
        raise png.OtherPng from error


def check_size(width: int, height: int, max_pixels: int) -> None:
    """ImageError for more than `max_pixels`."""
    if width * height > max_pixels:
        limit = f"{max_pixels / 1e6:g} megapixels"
        raise ImageError(f"{width}x{height} is over the limit of {limit}", "max_pixels")


def read_other(data: bytes, suffix: str, max_pixels: int) -> Photo:
    """read_photo's part for all that read_png leaves."""
    try:
        with opening.open_image(data) as image:
            check_size(*image.size, max_pixels)
            if raw.is_raw(image, suffix):
                block = exif_block(image)
                return Photo(raw.develop(data, max_pixels), exif=block)
            return decode(image, data)
    except opening.Unidentified as error:
        if suffix in raw.SUFFIXES or raw.begins_like_raw(data):
            return Photo(raw.develop(data, max_pixels), exif=exif_of_tiff(data))
        raise ImageError(
            "not an image that can be decoded, or cut short; replace or remove it"
        ) from error
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow raises nearly anything
        reason = " ".join(str(error).split())
        raise ImageError(f"damaged or truncated ({reason}); replace or remove it") from error


def decode(image, data: bytes) -> Photo:
    """A Photo from an opened Pillow image and the bytes it was opened from."""
    frames = opening.count_frames(image)
    if image.mode in ("F", "I"):
        raise ImageError("32 bits per channel, or a PGM of 16, are not read; save a 16-bit PNG")
    gray = image.mode in GRAY_MODES
    icc = image.info.get("icc_profile")
    if image.format == "TIFF":  # its file is closed after the pixels
        exif, orientation = exif_block(image), 1  # Pillow turns a TIFF upright itself, and only it
        if tiff.is_deep(image.tag_v2):
            stack = tiff.decode_deep(image.tag_v2, data)
            orientation = image.tag_v2.get(ORIENTATION, 1)
            gray = stack.shape[2] < 3
            return assemble(stack, orientation, gray, exif, icc, frames)
    if image.mode == "CMYK":
        image, icc, source = opening.to_srgb(image, icc), None, image
    else:
        source = image
    image.load()  # before EXIF: looking for it loads the pixels of a PNG, and damage goes unseen
    if source.format != "TIFF":
        exif, orientation = exif_block(source), orientation_of(source)
    stack = to_array(image, ("L" if gray else "RGB") + "A" * image.has_transparency_data)
    return assemble(stack, orientation, gray, exif, icc, frames)


def assemble(
    stack: np.ndarray,
    orientation: int,
    gray: bool,
    exif: bytes | None,
    icc: bytes | None,
    frames: int = 1,
) -> Photo:
    """A Photo of the pixels [H, W] or [H, W, C] as they lie in the file, alpha the last channel."""
    stack = upright(stack if stack.ndim == 3 else stack[..., None], orientation)
    has_alpha = stack.shape[2] in (2, 4)
    colours = stack[..., :-1] if has_alpha else stack
    pixels = colours[..., 0] if gray else colours
    return Photo(
        np.ascontiguousarray(pixels),
        np.ascontiguousarray(stack[..., -1]) if has_alpha else None,
        exif,
        icc,
        frames,
    )


def to_array(image, mode: str) -> np.ndarray:
    """The pixels [H, W, C] in L, LA, RGB or RGBA; strip by strip, as whole copies take memory."""
    width, height = image.size
    stack = np.empty((height, width, len(mode)), np.uint8)
    rows = max(STRIP // width, 1)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height))).convert(mode)
        stack[top : top + rows] = np.asarray(strip).reshape(-1, width, len(mode))
    return stack


def upright(stack: np.ndarray, orientation: int) -> np.ndarray:
    """Turn [H, W, C] as its EXIF orientation (1 to 8) asks."""
    if orientation in (5, 6, 7, 8):
        stack = stack.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        stack = stack[:, ::-1]
    if orientation in (3, 4, 7, 8):
        stack = stack[::-1]
    return stack


def output_name(name: str | Path, format: str | None = None) -> Path:
    """The name a photograph is written under: its own, or with the suffix of `format`.

    Types that are only read (HEIC, PPM, …) become .png, camera RAW .tif: 16 bits both.
    """
    path = Path(name)
    if format:
        return path.with_suffix("." + format.lower())
    if path.suffix.lower() in raw.SUFFIXES:
        return path.with_suffix(".tif")
    return path if path.suffix.lower() in FORMAT_OF_SUFFIX else path.with_suffix(".png")


def encode_photo(photo: Photo, suffix: str) -> bytes:
    """Encode as the type of a file name's suffix (".jpg", …), with EXIF and ICC profile.

    16-bit pixels stay so in PNG and TIFF and become 8-bit elsewhere; JPEG and BMP drop alpha; GIF
    has 255 colours.

    Raises:
        ImageError: the type cannot hold the image (JPEG and WebP limit the size).
    """
    kind = FORMAT_OF_SUFFIX[suffix.lower()]
    if photo.pixels.dtype == np.uint16 and photo.pixels.ndim == 2 and photo.alpha is not None:
        # Few programs read 16-bit gray with alpha: gray RGB instead.
        photo = replace(photo, pixels=to_rgb(photo.pixels), icc=None)
    if kind == "TIFF":
        return tiff.encode(photo.pixels, photo.alpha, photo.icc, photo.exif)
    if kind == "PNG":
        stack = photo.pixels if photo.alpha is None else np.dstack((photo.pixels, photo.alpha))
        return png.encode(stack, photo.icc, photo.exif and photo.exif.removeprefix(b"Exif\0\0"))
    from PIL import Image

    pixels, alpha = (to_8_bit(photo.pixels), photo.alpha if photo.alpha is None else
                     to_8_bit(photo.alpha))  # fmt: skip
    if kind == "GIF":
        return gif.encode(pixels, alpha)
    if alpha is not None and kind not in ("JPEG", "BMP"):
        pixels = np.dstack((pixels, alpha))
    metadata = {"exif": photo.exif, "icc_profile": photo.icc}
    metadata = {key: value for key, value in metadata.items() if value}
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).save(buffer, kind, **SAVE_OPTIONS[kind], **metadata)
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise ImageError(f"cannot be written as {kind} ({error})", "suffix") from error
    return buffer.getvalue()
