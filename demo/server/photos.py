"""Photographs as the page works on them: opened once, shown small, shown at 100 %, saved whole."""

import io
import json
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from demo.server.sessions import GONE, Session, address
from demo.server.settings import Settings
from sgz.animation import MOVING_SUFFIXES, write_animation
from sgz.errors import UserError
from sgz.files import write_whole
from sgz.image.animation import read_animation
from sgz.image.photo import Photo, encode_photo, output_name, read_photo
from sgz.look.exposure import fit_strength, spare_highlights
from sgz.look.noise import estimate_sigma
from sgz.look.options import NATURAL
from sgz.look.treatment import black_of
from sgz.pixels import PEAK, as_stack, to_8_bit

PREVIEW = 1600  # pixels on the longer side of what the page shows
TILE = 1024  # pixels a side of the pieces of the 100 % view
THUMBNAIL = 192


@dataclass(frozen=True)
class OpenPhoto:
    """A visitor's photograph, opened.

    name: for the download. source: the file as it was sent. size: its width and height.
    dark: the preview, [H, W, 3] or [H, W]. alpha: of the preview, or None. icc: the colour profile
    or None. measured: what the natural look found, in words.
    """

    name: str
    source: Path
    size: tuple[int, int]
    dark: np.ndarray
    alpha: np.ndarray | None
    icc: bytes | None
    measured: str

    @property
    def ratio(self) -> float:
        """Of the preview's sides to the photograph's."""
        return max(self.dark.shape[:2]) / max(self.size)

    def save(self) -> None:
        """Write it beside its source."""
        about = {"name": self.name, "size": self.size, "measured": self.measured}
        arrays = {"dark": self.dark}
        if self.alpha is not None:
            arrays["alpha"] = self.alpha
        buffer = io.BytesIO()
        np.savez(
            buffer,
            about=np.frombuffer(json.dumps(about).encode(), np.uint8),
            icc=np.frombuffer(self.icc or b"", np.uint8),
            **arrays,
        )
        write_whole(opened_beside(self.source), buffer.getbuffer())


def opened_beside(source: Path) -> Path:
    """Where an opened photograph lies."""
    return source.with_name(source.name + ".npz")


def load_photo(source: Path) -> OpenPhoto:
    """What save() wrote; UserError if it is gone."""
    try:
        with np.load(opened_beside(source)) as file:
            parts = dict(file)
    except OSError as error:
        raise UserError(GONE) from error
    about = json.loads(parts["about"].tobytes())
    icc = parts["icc"].tobytes() or None
    size = tuple(about["size"])
    return OpenPhoto(
        about["name"], source, size, parts["dark"], parts.get("alpha"), icc, about["measured"]
    )


def open_photo(enhancer, source: Path, name: str, max_pixels: int) -> OpenPhoto:
    """Read a photograph and measure it.

    Args:
        enhancer: an Enhancer.
        name: as its owner calls it, a safe one.

    Raises:
        ImageError: as read_photo's.
    """
    photo = read_photo(source, max_pixels)
    height, width = photo.pixels.shape[:2]
    alpha = None if photo.alpha is None else shrink(photo.alpha)
    measured = measure(enhancer, photo.pixels)
    if photo.frames > 1:
        measured = f"the first of several · {measured}"
    return OpenPhoto(
        name, source, (width, height), shrink(photo.pixels), alpha, photo.icc, measured
    )


def measure(enhancer, pixels: np.ndarray) -> str:
    """What the natural look finds in a photograph [H, W, 3] or [H, W], in words."""
    stack = as_stack(pixels)
    black, seen = black_of(enhancer.shrink(pixels), NATURAL)
    plain = copy(enhancer)
    plain.look, plain.strength = replace(NATURAL, exposure=False), 1.0
    factor = plain.factor_of_small(np.ascontiguousarray(seen.transpose(1, 2, 0)))
    factor = spare_highlights(seen, factor)
    exposure = fit_strength(seen, factor, enhancer.iterations)
    noise = 255 * estimate_sigma(stack, PEAK[stack.dtype])
    return f"Noise {noise:.1f} of 255 · Black {255 * black.mean():.0f} · Exposure {exposure:.1f}"


def enhance_whole(enhancer, photo: OpenPhoto, settings: Settings, max_pixels: int) -> Photo:
    """The whole photograph enhanced: what test.py makes of it at the same settings."""
    if not photo.source.is_file():
        raise UserError(GONE)
    whole = read_photo(photo.source, max_pixels)
    return whole.with_pixels(settings.tuned(enhancer)(whole.pixels))


def export_photo(
    enhancer, photo: OpenPhoto, settings: Settings, max_pixels: int
) -> tuple[str, bytes]:
    """(name, content) of the enhanced photograph, or animation, of its own type."""
    name = output_name(photo.name)
    moves = name.suffix.lower() in MOVING_SUFFIXES and photo.source.is_file()
    if moves and (animation := read_animation(photo.source, max_pixels)):
        buffer = io.BytesIO()
        write_animation(settings.tuned(enhancer), animation, buffer, name.suffix)
        content = buffer.getvalue()
    else:
        content = encode_photo(enhance_whole(enhancer, photo, settings, max_pixels), name.suffix)
    return f"{name.stem}-bright{name.suffix}", content


def render(enhancer, photo: OpenPhoto, settings: Settings) -> np.ndarray:
    """The preview as the page shows it: enhanced, or the factor map in colours."""
    tuned = settings.tuned(enhancer, photo.ratio)
    if settings.shows_map:
        return paint_factor(photo.dark, tuned.factor(photo.dark))
    return tuned(photo.dark)


def paint_factor(dark: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """A factor map [3, h, w] in colours over its picture in gray: [H, W, 3] uint8.

    From where the photograph is brightened least, dark violet, to where most, bright yellow.
    """
    import cv2

    gain = -factor.mean(axis=0)
    low, high = gain.min(), gain.max()
    gain = (gain - low) / max(high - low, 0.1)  # differences below a tenth are none to show
    height, width = dark.shape[:2]
    gain = cv2.resize(gain, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    colours = cv2.applyColorMap((gain * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    dark = to_8_bit(dark)
    gray = dark if dark.ndim == 2 else cv2.cvtColor(dark, cv2.COLOR_RGB2GRAY)
    gray = np.sqrt(gray / np.float32(255))[..., None]  # lifted, so that its shapes are seen
    return (0.65 * colours + 90 * gray).clip(0, 255).astype(np.uint8)


def encode_preview(pixels: np.ndarray, alpha: np.ndarray | None, icc: bytes | None):
    """(suffix, content) of what the page shows: JPEG, or WebP where something is transparent."""
    suffix = ".jpg" if alpha is None else ".webp"
    return suffix, encode_photo(Photo(pixels, alpha, icc=icc), suffix)


def show_tiles(session: Session, dark: Photo, bright: Photo) -> list[dict]:
    """The whole photograph before and after in pieces; the browser fetches those that it shows.

    Returns:
        for each its x, y, width, height and the addresses `before` and `after`.
    """
    tiles = []
    height, width = dark.pixels.shape[:2]
    folder = session.new_place("tiles", "x").parent
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            part = slice(top, top + TILE), slice(left, left + TILE)
            tile = {"x": left, "y": top}
            tile["height"], tile["width"] = dark.pixels[part].shape[:2]
            for side, photo in (("before", dark), ("after", bright)):
                alpha = None if photo.alpha is None else photo.alpha[part]
                suffix, content = encode_preview(photo.pixels[part], alpha, photo.icc)
                path = folder / f"{side}-{left}-{top}{suffix}"
                write_whole(path, content)
                tile[side] = address(path)
            tiles.append(tile)
    return tiles


def shrink(image: np.ndarray, longest: int = PREVIEW) -> np.ndarray:
    """[H, W] or [H, W, 3] at most `longest` pixels on either side, of its type."""
    import cv2

    height, width = image.shape[:2]
    ratio = longest / max(height, width)
    if ratio >= 1:
        return image
    size = max(round(width * ratio), 1), max(round(height * ratio), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
