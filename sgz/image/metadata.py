"""What a photograph's file says beside its pixels: EXIF, and the way up."""

from collections.abc import Callable, Mapping

ORIENTATION, EXIF_IFD, GPS_IFD = 0x0112, 0x8769, 0x8825
# TIFF tags that describe how pixels lie in the file, not the photograph.
LAYOUT_TAGS = frozenset(
    (254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 274, 277, 278, 279, 280, 281, 284, 292,
     293, 297, 301, 317, 318, 319, 320, 322, 323, 324, 325, 330, 338, 339, 340, 341, 347, 512,
     513, 514, 529, 530, 531, 532, 34675)
)  # fmt: skip
# XMP, IPTC and Photoshop's packets: no EXIF, and often longer than a JPEG's EXIF may be.
PACKET_TAGS = frozenset((700, 33723, 34377, 37724))
CAMERA_TAGS = range(50_000, 1 << 16)  # DNG's and the makers' own: how to develop the raw pixels


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
    return kept_exif(image.getexif)


def exif_of_tiff(data: bytes) -> bytes | None:
    """The same of a file of TIFF's family that Pillow does not open, such as camera RAW."""
    from PIL import Image

    def load() -> Image.Exif:
        found = Image.Exif()
        found.load(data)
        return found

    return kept_exif(load)


def kept_exif(load: Callable[[], Mapping]) -> bytes | None:
    """exif_block() of what `load` returns."""
    from PIL import Image

    try:
        source, kept = load(), Image.Exif()
        for tag, value in source.items():
            left_out = LAYOUT_TAGS | PACKET_TAGS | {EXIF_IFD, GPS_IFD}
            if tag not in left_out and tag not in CAMERA_TAGS:
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
