"""Camera RAW, developed by LibRaw to 16 bits of sRGB (the extra `raw`)."""

import io
from pathlib import Path

import numpy as np

from sgz.errors import ImageError

SUFFIXES = (".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2",
            ".pef", ".srw", ".3fr", ".erf", ".kdc", ".mrw", ".x3f", ".iiq", ".rwl")  # fmt: skip
# How those begin that are no ordinary TIFF: Fujifilm, Olympus, Panasonic, Minolta, Sigma, Canon.
STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"\0MRM", b"FOVb")
REDUCED, SUB_IFDS, DNG_VERSION = 254, 330, 50706
SRGB = (2.4, 12.92)  # exponent and slope of its curve, as LibRaw asks for them


def is_raw(image, suffix: str) -> bool:
    """Whether what Pillow opened is but the small picture in front of a camera's raw data."""
    if image.format != "TIFF":
        return False
    tags = image.tag_v2
    thumbnail = tags.get(REDUCED, 0) & 1 and SUB_IFDS in tags
    return suffix in SUFFIXES or DNG_VERSION in tags or bool(thumbnail)


def begins_like_raw(data: bytes) -> bool:
    """Whether a file that Pillow does not know may be camera RAW."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        return holds_dng(data)
    return data.startswith(STARTS) or data[4:12] == b"ftypcrx "


def holds_dng(data: bytes) -> bool:
    """Whether the first directory of a file of TIFF's family is a DNG's."""
    from PIL import TiffImagePlugin

    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(directory.next)
        directory.load(file)
        return DNG_VERSION in directory
    except Exception:  # Pillow raises nearly anything
        return False


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of the developed picture; the pixels are not read.

    Raises:
        ImportError, rawpy.LibRawError: as develop()'s reasons.
    """
    import rawpy

    with rawpy.imread(str(path)) as file:
        return file.sizes.width, file.sizes.height


def develop(data: bytes, max_pixels: int) -> np.ndarray:
    """[H, W, 3] uint16 sRGB, upright; the camera's white balance, no brightening.

    Raises:
        ImageError: without rawpy; damaged, of an unknown camera, or over `max_pixels`.
    """
    try:
        import rawpy
    except ImportError as error:
        raise ImageError("camera RAW needs a decoder; pip install 'sgz[raw]'") from error
    try:
        with rawpy.imread(io.BytesIO(data)) as file:
            sizes = file.sizes
            if sizes.width * sizes.height > max_pixels:
                raise ImageError(f"{sizes.width}x{sizes.height} is over the limit", "max_pixels")
            return file.postprocess(
                output_bps=16, use_camera_wb=True, no_auto_bright=True, gamma=SRGB
            )
    except rawpy.LibRawError as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise ImageError(
            f"camera RAW that cannot be developed ({reason}); export it as TIFF"
        ) from error
