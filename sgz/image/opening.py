"""Files opened with Pillow, of the types we name alone, its guard for the process left as it is.

Image.open refuses pictures above a limit that is one global for all threads and libraries. We have
a limit of our own (MAX_PIXELS), so the types' own factories are called, as Image.open would.
"""

import io
import struct
from pathlib import Path

from sgz.errors import ImageError
from sgz.files import VIDEO_SUFFIXES

# Nothing else is tried: Pillow also knows types that run programs (EPS) or have no signature.
READ_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF")
HEAD = 1 << 16  # bytes that tell what a file is
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
STILL_BRANDS = HEIF_BRANDS | {b"avif", b"avis", b"crx "}  # crx: Canon's RAW
NO_IMAGE = "not an image that can be decoded, or cut short; replace or remove it"


class Unidentified(Exception):
    """Of none of the types we open."""


def open_image(data: bytes):
    """A Pillow image, its pixels not yet decoded; the caller looks at its size first.

    Raises:
        Unidentified: of none of READ_FORMATS, nor HEIF where its decoder is installed.
        ImageError: HEIF where it is not.
    """
    if brand_of(data) in HEIF_BRANDS - {b"mif1"} or data[4:12] == b"ftypmif1":
        return open_heif(data)
    for factory, accept in factories():
        if accept and not accepted(accept, data):
            continue
        try:
            return factory(io.BytesIO(data), "")
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue
    raise Unidentified


def open_tiff(path: Path):
    """A TIFF, of whose file the directory alone is read."""
    from PIL import TiffImagePlugin

    return TiffImagePlugin.TiffImageFile(path)


def accepted(accept, data: bytes) -> bool:
    """Whether a type's check takes the file; it answers in words where its decoder is missing."""
    answer = accept(data[:16])
    return bool(answer) and not isinstance(answer, str)


def factories() -> list[tuple]:
    """(factory, check) of each of READ_FORMATS."""
    from PIL import (  # noqa: F401  # noqa: F401
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        Image,
        JpegImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    return [Image.OPEN[name] for name in READ_FORMATS if name in Image.OPEN]


def open_heif(data: bytes):
    """A HEIC photograph, opened.

    Raises:
        ImageError: without its decoder.
    """
    try:
        from pi_heif import HeifImageFile
    except ImportError as error:
        raise ImageError("HEIC needs a decoder; pip install 'sgz[heif]'") from error
    return HeifImageFile(io.BytesIO(data), "")


def brand_of(data: bytes) -> bytes:
    """The brand of a file of the MP4 family, or nothing."""
    return data[8:12] if data[4:8] == b"ftyp" else b""


def check_head(head: bytes, suffix: str) -> None:
    """ImageError for a file that plainly is no photograph, from its first HEAD bytes."""
    if is_video(head, suffix):
        raise ImageError("this is a video", "video")
    if not head.strip(b"\0"):
        raise ImageError(NO_IMAGE)


def is_video(head: bytes, suffix: str) -> bool:
    """Whether a file is a video, by its first bytes."""
    brand = brand_of(head)
    if brand:
        return brand not in STILL_BRANDS
    matroska, avi = head[:4] == b"\x1a\x45\xdf\xa3", head[:4] == b"RIFF" and head[8:12] == b"AVI "
    mpeg = head[:4] in (b"\0\0\1\xba", b"\0\0\1\xb3")
    stream = head[:1] == b"G" and head[188:189] == b"G" and suffix in VIDEO_SUFFIXES
    return matroska or avi or mpeg or stream


def count_frames(image) -> int:
    """Above 1 for an animation or several pages; of pages no more than two are looked for."""
    if image.format == "MPO":  # a phone's one photograph with previews behind it
        return 1
    if image.format != "TIFF":
        return getattr(image, "n_frames", 1)
    try:
        image.seek(1)
    except EOFError:
        return 1
    image.seek(0)
    return 2


def to_srgb(image, icc: bytes | None):
    """CMYK to RGB, through the file's own profile where it has a usable one."""
    from PIL import ImageCms

    if icc:
        try:
            profiles = ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB")
