"""Which images a report shows, and what stands under them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evaluation.matching import INPUT, REFERENCE, read_matched
from evaluation.tables import Results
from sgz.errors import UserError


def sample_rows(
    results: Results,
    paths: dict[str, dict[str, Path]],
    names: Sequence[str],
    count: int,
    crop: bool,
) -> list[tuple[str, dict[str, np.ndarray], dict[str, str]]]:
    """Names, pictures by role and captions, as report.picture_grid takes them.

    Args:
        paths: by image name and role, as they were matched.
        names: the images; none: `count` of them, spread evenly over all.
        crop: cut pictures of different sizes to their common part.

    Raises:
        UserError: a name is of no scored image.
    """
    usable = [name for name in paths if results.unit != "image" or name in results.images()]
    if unknown := [name for name in names if name not in usable]:
        raise UserError(f"no scored image {', '.join(unknown)}", "sample_names")
    if not names and usable and count:
        places = np.linspace(0, len(usable) - 1, min(count, len(usable)))
        names = [usable[round(place)] for place in places]
    rows = []
    for name in names:
        shown = {r: p for r, p in paths[name].items() if results.unit == "image" or r != REFERENCE}
        pictures, failures = read_matched(name, shown, crop, set())
        if not failures:
            rows.append((name, pictures, captions(results, name)))
    return rows


def captions(results: Results, name: str) -> dict[str, str]:
    """What stands under an image of each method: its name, or its first two scores."""
    lines = {INPUT: name, REFERENCE: name}
    for method, images in results.scores.items():
        known = [
            f"{column.label} {column.show(images[name][column.key])}"
            for column in results.columns[:2]
            if column.key in images.get(name, {})
        ]
        if known:
            lines[method] = "  ".join(known)
    return lines
