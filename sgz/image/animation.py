"""An animation in a file (GIF, WebP, PNG): its frames as they are seen, one after another."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sgz.errors import ImageError
from sgz.image import opening
from sgz.image.metadata import exif_block, orientation_of
from sgz.image.photo import FILE_ROOM, MAX_PIXELS, read_bytes, to_array, upright

FORMATS = ("GIF", "WEBP", "PNG")
MOST_FRAMES = 10_000
LARGE = 4_000_000  # pixels of a frame, of which none above waits for the frames after it
LENGTH = 16  # all frames together have at most so many times the pixels of one photograph
LONG = "; make a video of it, or shorten it"


@dataclass(frozen=True)
class Frame:
    """What is seen for a time, whatever the file stores of it.

    pixels: [H, W, 3] RGB or [H, W] gray, uint8. alpha: [H, W] or None. milliseconds: how long.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None
    milliseconds: float

    def with_pixels(self, pixels: np.ndarray) -> "Frame":
        """The same moment with other pixels."""
        return replace(self, pixels=pixels)


class Animation:
    """An animation, decoded anew each time that its frames are asked for: one is held at a time.

    Args:
        data: the file's content.
        max_pixels: of a frame.

    Attributes:
        count: frames. plays: how often it is shown in all, 0 for ever. exif, icc: as Photo's.
        gray, clear: whether all frames are gray; whether any has alpha.

    Raises:
        ImageError: a frame is damaged, or there are too many. OtherKind: it is no animation.
    """

    def __init__(self, data: bytes, max_pixels: int = MAX_PIXELS):
        self.data = data
        with opening.open_image(data) as image:
            if image.format not in FORMATS or getattr(image, "n_frames", 1) < 2:
                raise OtherKind
            # The first picture of a PNG may be one for programs that know no animation.
            self.first = int(getattr(image, "default_image", False))
            self.count = image.n_frames - self.first
            self.size = image.size
            self.plays = plays_of(image)
            pixels = self.count * self.size[0] * self.size[1]
            if self.count > MOST_FRAMES:
                raise ImageError(f"an animation of more than {MOST_FRAMES} frames{LONG}")
            if pixels > LENGTH * max_pixels:
                raise ImageError(f"an animation of {pixels / 1e6:.0f} megapixels in all{LONG}")
            image.load()
            self.icc = image.info.get("icc_profile")
            self.exif, self.orientation = exif_block(image), orientation_of(image)
        self.gray, self.clear = True, False
        for stack, _ in self._stacks():  # damage is met before anything is written
            self.gray &= bool((stack[..., :3] == stack[..., :1]).all())
            self.clear |= bool((stack[..., 3] < 255).any())

    def frames(self) -> Iterator[Frame]:
        """All frames, upright."""
        for stack, milliseconds in self._stacks():
            stack = np.ascontiguousarray(upright(stack, self.orientation))
            colours = stack[..., 0] if self.gray else stack[..., :3]
            alpha = stack[..., 3].copy() if self.clear else None
            yield Frame(np.ascontiguousarray(colours), alpha, milliseconds)

    def _stacks(self) -> Iterator[tuple[np.ndarray, float]]:
        """(pixels [H, W, 4], milliseconds) of all frames, as they lie in the file."""
        try:
            with opening.open_image(self.data) as image:
                for number in range(self.first, self.first + self.count):
                    image.seek(number)
                    if image.size != self.size:  # Pillow would grow the canvas, to any size
                        raise ImageError("damaged: a frame is larger than the picture; replace it")
                    image.load()
                    yield to_array(image, "RGBA"), float(image.info.get("duration", 0))
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # Pillow raises nearly anything
            reason = " ".join(str(error).split())
            raise ImageError(
                f"damaged or truncated in a frame ({reason}); replace or remove it"
            ) from error


class OtherKind(Exception):
    """No animation, or of a type whose frames we do not write."""


def read_animation(path: str | Path, max_pixels: int = MAX_PIXELS) -> Animation | None:
    """The animation in a file that read_photo takes; None where it has one frame, or pages.

    Raises:
        ImageError: as of read_photo, and of Animation.
    """
    try:
        return Animation(read_bytes(Path(path), 8 * max_pixels + FILE_ROOM), max_pixels)
    except OtherKind:
        return None


def plays_of(image) -> int:
    """How often an animation is shown in all; 0 for ever. GIF counts the repeats alone."""
    loop = image.info.get("loop")
    if image.format != "GIF":
        return int(loop or 0)
    if loop is None:
        return 1
    return loop + 1 if loop else 0
