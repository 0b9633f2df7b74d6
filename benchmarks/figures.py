"""Make the README's picture: the photographs in the box as taken, and in the natural look.

python benchmarks/figures.py
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from sgz import Enhancer
from sgz.command import run_script
from sgz.files import write_whole
from sgz.image.photo import Photo, encode_photo, read_photo

HEIGHT, GAP = 320, 6  # pixels, of each photograph and between them


def main() -> None:
    from PIL import Image

    enhancer = Enhancer(look="natural")
    columns = []
    for path in sorted((ROOT / "data/test_data/photographs").glob("*.jpg")):
        dark = read_photo(path).pixels
        width = round(dark.shape[1] * HEIGHT / dark.shape[0])
        tiles = [
            np.asarray(Image.fromarray(p).resize((width, HEIGHT), Image.Resampling.LANCZOS))
            for p in (dark, enhancer(dark))
        ]
        between = np.full((GAP, width, 3), 255, np.uint8)
        columns += [np.concatenate([tiles[0], between, tiles[1]])]
        columns += [np.full((2 * HEIGHT + GAP, GAP, 3), 255, np.uint8)]
    picture = np.concatenate(columns[:-1], axis=1)
    write_whole(ROOT / "docs/natural.jpg", encode_photo(Photo(picture), ".jpg"))


if __name__ == "__main__":
    run_script(main)
