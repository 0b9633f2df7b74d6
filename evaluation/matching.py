"""Folders of images side by side: matched by name, read as 8-bit RGB of one size."""

from pathlib import Path

import numpy as np

from sgz.errors import ImageError, UserError
from sgz.files import find_files, no_images
from sgz.image.photo import IMAGE_SUFFIXES, read_photo
from sgz.pixels import to_8_bit, to_rgb

DIFFERENT_SIZES = "sizes differ"
INPUT, REFERENCE = "input", "reference"  # roles of a folder; any other is a method


def match(folders: dict[str, Path]) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Match images of several folders (or single files) by name.

    Returns:
        name -> role -> path, for the names that all of them have, and a sentence for each folder
        that has others.

    Raises:
        UserError: a folder has no image, or they have no name in common.
    """
    indexes = {role: index_images(root) for role, root in folders.items()}
    if all(root.is_file() for root in folders.values()):
        name = next(iter(indexes.values()))
        return {next(iter(name)): {r: first_path(index) for r, index in indexes.items()}}, []
    common = set.intersection(*(set(index) for index in indexes.values()))
    if not common:
        listed = "; ".join(f"{folders[r]} has {next(iter(i))}, …" for r, i in indexes.items())
        raise UserError(f"the folders have no image name in common ({listed})")
    unmatched = []
    for role, index in indexes.items():
        if rest := [name for name in index if name not in common]:
            unmatched.append(
                f"not compared, {len(rest)} of {folders[role]} without a partner elsewhere: "
                f"{', '.join(rest)}"
            )
    matched = {
        name: {role: index[name] for role, index in indexes.items()} for name in sorted(common)
    }
    return matched, unmatched


def index_images(root: Path) -> dict[str, Path]:
    """Images under a folder by relative name without suffix; a file stands under its own.

    Raises:
        UserError: there is none, or two have one name.
    """
    if not root.exists():
        raise no_images(root)
    found: dict[str, Path] = {}
    for path in sorted(find_files(root, IMAGE_SUFFIXES)):
        name = path.stem if root.is_file() else path.relative_to(root).with_suffix("").as_posix()
        if name in found:
            raise UserError(f"{found[name]} and {path} have one name; keep one of them")
        found[name] = path
    if not found:
        raise no_images(root)
    return found


def first_path(index: dict[str, Path]) -> Path:
    """The only path of a single file's index."""
    return next(iter(index.values()))


def read_matched(
    name: str, paths: dict[str, Path], crop: bool, remarks: set[str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The pictures of one name by role, all of one size; or else sentences that say why not.

    Args:
        crop: cut different sizes to their common top left part.
        remarks: as in read_rgb.
    """
    pictures: dict[str, np.ndarray] = {}
    failures = []
    for role, path in paths.items():
        try:
            pictures[role] = read_rgb(path, remarks)
        except ImageError as error:
            failures.append(f"{path}: {error}")
    sizes = {picture.shape[:2] for picture in pictures.values()}
    if len(sizes) > 1 and crop:
        height, width = (min(lengths) for lengths in zip(*sizes, strict=True))
        return {role: picture[:height, :width] for role, picture in pictures.items()}, failures
    if len(sizes) > 1 and not failures:
        listed = ", ".join(f"{role} {p.shape[1]}x{p.shape[0]}" for role, p in pictures.items())
        failures.append(f"{name}: {DIFFERENT_SIZES} ({listed})")
    return pictures, failures


def read_rgb(path: Path, remarks: set[str]) -> np.ndarray:
    """An image as 8-bit RGB [H, W, 3]; what had to be changed for that goes into `remarks`."""
    photo = read_photo(path)
    pixels = photo.pixels
    if pixels.dtype != np.uint8:
        remarks.add("16 bits per channel, rounded to 8")
        pixels = to_8_bit(pixels)
    if pixels.ndim == 2:
        remarks.add("gray, taken as three equal channels")
        pixels = to_rgb(pixels)
    if photo.alpha is not None:
        remarks.add("with an alpha channel, which was ignored")
    return pixels
