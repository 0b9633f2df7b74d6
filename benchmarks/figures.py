"""Make the README's picture: the photograph in the box as taken, and in the natural look.

python benchmarks/figures.py

And what reproduce.py draws: frames above what a segmentation network makes of them.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from sgz import Enhancer
from sgz.command import run_script
from sgz.files import write_whole
from sgz.image.photo import Photo, encode_photo, read_photo

PHOTO = ROOT / "data/test_data/photographs/theatre.jpg"
WIDTH, GAP = 640, 6  # pixels, of each half and between them
# The colours that its authors draw CamVid's eleven classes and void in.
CAMVID = np.uint8(
    [
        *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192)),
        *((128, 128, 0), (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0)),
        *((0, 128, 192), (0, 0, 0)),
    ]
)


def main() -> None:
    from PIL import Image

    dark = read_photo(PHOTO).pixels
    size = WIDTH, round(dark.shape[0] * WIDTH / dark.shape[1])
    halves = [
        np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
        for pixels in (dark, Enhancer(look="natural")(dark))
    ]
    between = np.full((size[1], GAP, 3), 255, np.uint8)
    picture = np.concatenate([halves[0], between, halves[1]], axis=1)
    write_whole(ROOT / "docs/natural.jpg", encode_photo(Photo(picture), ".jpg"))


def segmentation_figure(
    rows: Sequence[Sequence[Path]], labels: np.ndarray, segment: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Rows of a frame's versions, each above what the network makes of it; at the end the truth.

    Args:
        labels: the true classes [H, W].
        segment: RGB [H, W, 3] -> classes [H, W].
    """
    lines = []
    for paths in rows:
        frames = [read_photo(path).pixels for path in paths]
        blank = np.full((*labels.shape, 3), 255, np.uint8)
        lines.append(np.concatenate([*frames, blank], axis=1))
        found = [CAMVID[segment(frame)] for frame in frames]
        lines.append(np.concatenate([*found, CAMVID[labels]], axis=1))
    return np.concatenate(lines)


if __name__ == "__main__":
    run_script(main)
