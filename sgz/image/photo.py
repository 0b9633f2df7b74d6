"""One photograph in a file: decoded to an array, encoded again with all that it came with."""

import io
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sgz.errors import ImageError
from sgz.image import png
from sgz.pixels import to_8_bit

# The type a name asks for. Anything else that can be read is written as PNG.
FORMAT_OF_SUFFIX = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG",
    ".apng": "PNG", ".bmp": "BMP", ".dib": "BMP", ".tif": "TIFF", ".tiff": "TIFF",
    ".webp": "WEBP", ".avif": "AVIF",
}  # fmt: skip
READ_ONLY_SUFFIXES = (".gif", ".ppm", ".pgm", ".pnm", ".heic", ".heif")
IMAGE_SUFFIXES = frozenset((*FORMAT_OF_SUFFIX, *READ_ONLY_SUFFIXES))
# Nothing else is tried: Pillow also knows types that run programs (EPS) or have no signature.
READ_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF", "HEIF")
SAVE_OPTIONS = {
    "JPEG": {"quality": 95},
    "WEBP": {"quality": 95, "method": 2},
    "AVIF": {"quality": 90, "speed": 8},
    "BMP": {},
}
HEIF_STARTS = {b"ftyp" + brand for brand in (b"heic", b"heix", b"mif1", b"hevc", b"msf1")}
MAX_PIXELS = 300_000_000
ORIENTATION, EXIF_IFD, GPS_IFD, ICC_PROFILE = 0x0112, 0x8769, 0x8825, 0x8773
PHOTOMETRIC, CHANNELS, PLANAR, WHITE_IS_ZERO = 262, 277, 284, 0
# TIFF tags that describe how pixels lie in the file, not the photograph.
LAYOUT_TAGS = frozenset(
    (254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 274, 277, 278, 279, 280, 281, 284, 292,
     293, 297, 301, 317, 318, 319, 320, 322, 323, 324, 325, 330, 338, 339, 340, 341, 347, 512,
     513, 514, 529, 530, 531, 532, 34675)
)  # fmt: skip
# XMP, IPTC and Photoshop's packets: no EXIF, and often longer than a JPEG's EXIF may be.
PACKET_TAGS = frozenset((700, 33723, 34377, 37724))
STRIP = 256  # rows converted at a time
GRAY_MODES = ("1", "L", "LA", "I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class Photo:
    """A decoded image, upright, with what must go back into its file.

    pixels: [H, W, 3] RGB or [H, W] gray, uint8 or uint16. alpha: [H, W] of the same type or None.
    exif, icc: raw blocks or None. frames: above 1 for an animation, of which pixels is the first.
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

    Reads 8 and 16 bits per channel, gray, RGB, palette and CMYK, with alpha or without; turns it
    upright; of an animation it takes the first frame.

    Raises:
        ImageError: it cannot be decoded, or has more than `max_pixels`.
    """
    data = read_bytes(Path(path))
    try:
        photo = read_ordinary_png(data, max_pixels)
    except MemoryError as error:
        raise ImageError("too large for this machine's memory; shrink it") from error
    return photo or read_by_pillow(data, max_pixels)


def read_by_pillow(data: bytes, max_pixels: int) -> Photo:
    """read_photo's part for all but ordinary PNGs."""
    from PIL import Image, UnidentifiedImageError

    heif = register_heif()
    Image.MAX_IMAGE_PIXELS = None  # our own limit, below, names the flag that raises it
    try:
        formats = READ_FORMATS if heif else READ_FORMATS[:-1]
        with Image.open(io.BytesIO(data), formats=formats) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageError(
                    f"{width}x{height} is over the limit of {max_pixels / 1e6:g} megapixels",
                    "max_pixels",
                )
            return decode(image, data)
    except (UnidentifiedImageError, ImageError) as error:
        if isinstance(error, ImageError):
            raise
        if not heif and data[4:12] in HEIF_STARTS:
            raise ImageError("HEIC needs a decoder; pip install pillow-heif") from error
        raise ImageError(
            "not an image that can be decoded, or cut short; replace or remove it"
        ) from error
    except MemoryError as error:
        raise ImageError("too large for this machine's memory; shrink it") from error
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ImageError(f"damaged or truncated ({reason}); replace or remove it") from error


def read_bytes(path: Path) -> bytes:
    """The file's bytes; ImageError when they cannot be had."""
    if not path.is_file():
        raise ImageError("not an ordinary file" if path.exists() else "no such file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror}); check its permissions") from error


def read_ordinary_png(data: bytes, max_pixels: int) -> Photo | None:
    """The commonest PNG, in half of Pillow's time; None leaves the file to Pillow.

    So does all that is wrong with it: Pillow says what.
    """
    try:
        chunks = png.read_chunks(data)
        height, width, channels = png.shape_of(chunks)
        if height * width > max_pixels:
            return None
        exif, icc, orientation = metadata_of(png.metadata_alone(chunks))
        stack = png.decode(chunks)
    except png.OtherPng:
        return None
    return assemble(stack, orientation, channels < 3, exif, icc)


def metadata_of(content: bytes | None) -> tuple[bytes | None, bytes | None, int]:
    """EXIF, ICC profile and orientation of a small PNG; OtherPng where Pillow cannot open it."""
    if content is None:
        return None, None, 1
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            icc = image.info.get("icc_profile")  # before EXIF is looked for beyond the pixels
            return exif_block(image), icc, orientation_of(image)
    except Exception as error:  # Pillow raises nearly anything
        raise png.OtherPng from error


def register_heif() -> bool:
    """Let Pillow read HEIC where pillow-heif is installed, and say whether it is."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def decode(image, data: bytes) -> Photo:
    """A Photo from an opened Pillow image and the bytes it was opened from."""
    # A phone's MPO is one photograph with previews behind it.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    deep = is_deep(image, data)
    # Pillow calls a PNG of 16-bit gray with alpha RGBA; its header tells.
    gray = image.mode in GRAY_MODES or (image.format == "PNG" and data[25] in (0, 4))
    if image.mode in ("F", "I"):
        raise ImageError("32 bits per channel, or a PGM of 16, are not read; save a 16-bit PNG")
    icc = image.info.get("icc_profile")
    exif = exif_block(image)  # before the pixels: a TIFF's file is closed after them
    orientation = orientation_of(image)
    if deep:
        stack = decode_deep(image, data)
    else:
        if image.mode == "CMYK":
            image, icc = to_srgb(image, icc), None
        image.load()
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
    for top in range(0, height, STRIP):
        strip = image.crop((0, top, width, min(top + STRIP, height))).convert(mode)
        stack[top : top + STRIP] = np.asarray(strip).reshape(-1, width, len(mode))
    return stack


def is_deep(image, data: bytes) -> bool:
    """Whether the file has 16 bits per channel, which Pillow would cut to 8 in colour."""
    if image.format == "PNG":
        return data[24] == 16  # the bit depth in the header chunk, always the first
    if image.format == "TIFF":
        return 16 in np.atleast_1d(image.tag_v2.get(258, 8))
    return image.mode.startswith("I;16")


def decode_deep(image, data: bytes) -> np.ndarray:
    """Decode 16 bits per channel with OpenCV: [H, W] or [H, W, 2 to 4], RGB order, uint16.

    What OpenCV passes over is seen to here: planes apart, white as zero, a level that is clear.
    """
    import cv2

    tags = image.tag_v2 if image.format == "TIFF" else {}
    if tags.get(PLANAR, 1) != 1 and tags.get(CHANNELS, 1) > 1:
        raise ImageError("16 bits with a plane for each channel are not read; save it interleaved")
    stack = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stack is None:
        raise ImageError("damaged, or of a 16-bit kind that OpenCV cannot decode; save it anew")
    if stack.ndim == 3:
        stack = cv2.cvtColor(
            stack, cv2.COLOR_BGRA2RGBA if stack.shape[2] == 4 else cv2.COLOR_BGR2RGB
        )
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        stack = 65535 - stack
    if stack.ndim == 2 and "transparency" in image.info:
        opaque = np.where(stack == image.info["transparency"], 0, 65535)
        stack = np.dstack((stack, opaque.astype(np.uint16)))
    return stack


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


def upright(stack: np.ndarray, orientation: int) -> np.ndarray:
    """Turn [H, W, C] as its EXIF orientation (1 to 8) asks."""
    if orientation in (5, 6, 7, 8):
        stack = stack.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        stack = stack[:, ::-1]
    if orientation in (3, 4, 7, 8):
        stack = stack[::-1]
    return stack


def orientation_of(image) -> int:
    """The EXIF orientation that is still to be applied; 1, upright, where there is none."""
    if image.format == "TIFF":  # Pillow and OpenCV turn a TIFF upright themselves, and only it
        return 1
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF is no reason to refuse a photograph
        return 1


def exif_block(image) -> bytes | None:
    """The image's EXIF without orientation and layout, or None; damaged EXIF is dropped."""
    from PIL import Image

    try:
        source, kept = image.getexif(), Image.Exif()
        for tag, value in source.items():
            if tag not in LAYOUT_TAGS | PACKET_TAGS | {EXIF_IFD, GPS_IFD}:
                kept[tag] = as_stored(value)
        for part in (EXIF_IFD, GPS_IFD):
            if values := source.get_ifd(part):
                kept[part] = {tag: as_stored(value) for tag, value in values.items()}
        return kept.tobytes() if len(kept) else None
    except Exception:
        return None


def as_stored(value):
    """Text as the bytes it was in the file: Pillow reads Latin-1 but writes only ASCII."""
    return value.encode("latin-1") if isinstance(value, str) and not value.isascii() else value


def output_name(name: str | Path, format: str | None = None) -> Path:
    """The name a photograph is written under: its own, or with the suffix of `format`.

    Types that are only read (GIF, HEIC, …) become .png.
    """
    path = Path(name)
    if format:
        return path.with_suffix("." + format.lower())
    return path if path.suffix.lower() in FORMAT_OF_SUFFIX else path.with_suffix(".png")


def encode_photo(photo: Photo, suffix: str) -> bytes:
    """Encode as the type of a file name's suffix (".jpg", …), with EXIF and ICC profile.

    16-bit pixels stay so in PNG and TIFF and become 8-bit elsewhere; JPEG and BMP drop alpha.

    Raises:
        ImageError: the type cannot hold the image (JPEG and WebP limit the size).
    """
    kind = FORMAT_OF_SUFFIX[suffix.lower()]
    if photo.pixels.dtype == np.uint16 and photo.pixels.ndim == 2 and photo.alpha is not None:
        # Neither Pillow nor OpenCV reads or writes 16-bit gray with alpha: gray RGB instead.
        photo = replace(photo, pixels=np.repeat(photo.pixels[..., None], 3, axis=2), icc=None)
    if kind == "TIFF":
        return encode_tiff(photo)
    if kind == "PNG":
        stack = photo.pixels if photo.alpha is None else np.dstack((photo.pixels, photo.alpha))
        return png.encode(stack, photo.icc, photo.exif and photo.exif.removeprefix(b"Exif\0\0"))
    from PIL import Image

    pixels, alpha = (to_8_bit(photo.pixels), photo.alpha if photo.alpha is None else
                     to_8_bit(photo.alpha))  # fmt: skip
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


def encode_tiff(photo: Photo) -> bytes:
    """TIFF of 8 or 16 bits, one deflated strip: Pillow writes the directory, we the pixels.

    Pillow itself has no 16-bit colour and loses the Exif directory of a compressed file.
    """
    from PIL import Image, TiffImagePlugin

    stack = photo.pixels[..., None] if photo.pixels.ndim == 2 else photo.pixels
    photometric = 2 if stack.shape[2] == 3 else 1  # RGB or black is zero
    if photo.alpha is not None:
        stack = np.dstack((stack, photo.alpha))
    height, width, channels = stack.shape
    little_endian = stack.dtype.newbyteorder("<")
    body = zlib.compress(np.ascontiguousarray(stack, little_endian), 1)
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    if photo.exif:
        exif = Image.Exif()
        exif.load(photo.exif)
        for tag, value in exif.items():
            if tag in (EXIF_IFD, GPS_IFD):
                value = {key: as_stored(part) for key, part in exif.get_ifd(tag).items()}
            directory[tag] = as_stored(value)
    bits = (8 * stack.itemsize,) * channels
    directory.update({256: width, 257: height, 258: bits, 259: 8, 262: photometric, 273: 0,
                      277: channels, 278: height, 279: len(body), 284: 1})  # fmt: skip
    if photo.alpha is not None:
        directory[338] = 2  # unassociated alpha
    if photo.icc:
        directory.tagtype[ICC_PROFILE] = 7
        directory[ICC_PROFILE] = photo.icc
    buffer = io.BytesIO()
    directory.save(buffer)  # counts the strip's offset, 0, from the end of what it writes
    return buffer.getvalue() + body
