"""What else a person hands to an Enhancer: a file's name, a PIL image, pixels with alpha."""

import os
from collections.abc import Callable

import numpy as np

from sgz.image.photo import read_photo


def is_plain(image) -> bool:
    """Whether it is for the enhancer itself: an array without alpha, or nothing we know."""
    if isinstance(image, np.ndarray):
        return image.ndim != 3 or image.shape[2] not in (2, 4)
    return not isinstance(image, str | os.PathLike) and not hasattr(image, "getbands")


def enhance_other(enhance: Callable[[np.ndarray], np.ndarray], image):
    """An array with alpha or a PIL image, enhanced, for its like; a path, for an array.

    Args:
        enhance: takes [H, W, 3] or [H, W].
        image: [H, W, 4] or [H, W, 2], the last channel alpha; a PIL image; or a path.

    Raises:
        ValueError: as `enhance` does.
        ImageError: the path leads to no photograph.
    """
    if isinstance(image, np.ndarray):
        colours = image[..., :3] if image.shape[2] == 4 else image[..., 0]
        return with_alpha(enhance(colours), image[..., -1])
    if isinstance(image, str | os.PathLike):
        photo = read_photo(image)
        return with_alpha(enhance(photo.pixels), photo.alpha)
    return enhance_pil(enhance, image)


def with_alpha(pixels: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """[H, W, 3] or [H, W] and [H, W], as one array with the alpha last."""
    return pixels if alpha is None else np.dstack((pixels, alpha))


def enhance_pil(enhance: Callable[[np.ndarray], np.ndarray], image):
    """A PIL image for a PIL image: L, LA, RGB or RGBA, or I;16; with what its `info` holds.

    As it lies: EXIF's orientation is left to whoever shows it, as in Pillow itself.
    """
    from PIL import Image  # late: Enhancer alone does without

    if image.mode.startswith("I;16"):
        return Image.fromarray(enhance(np.asarray(image).astype(np.uint16)))
    gray = image.mode in ("1", "L", "LA", "La")
    wanted = ("L" if gray else "RGB") + "A" * image.has_transparency_data
    pixels = np.asarray(image.convert(wanted))
    plain = pixels.ndim == 2 or pixels.shape[2] == 3
    result = Image.fromarray(enhance(pixels) if plain else enhance_other(enhance, pixels))
    kept = {key: value for key, value in image.info.items() if key != "transparency"}
    result.info.update(kept)
    return result
