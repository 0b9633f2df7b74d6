"""Make the README's before-and-after picture from the samples and the weights in the box.

python benchmarks/figures.py
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

HEIGHT = 200  # pixels of each photograph in the picture


def main() -> None:
    from PIL import Image

    from sgz.enhancer import Enhancer
    from sgz.image.photo import read_photo

    enhancer = Enhancer(ROOT / "weight/Epoch99.pth")
    columns = []
    for path in sorted((ROOT / "data/test_data/samples").glob("*.png")):
        dark = read_photo(path).pixels
        pair = []
        for pixels in (dark, enhancer(dark)):
            image = Image.fromarray(pixels).convert("RGB")
            width = round(image.width * HEIGHT / image.height)
            pair.append(np.asarray(image.resize((width, HEIGHT), Image.Resampling.LANCZOS)))
        gap = np.full((4, pair[0].shape[1], 3), 255, np.uint8)
        columns += [np.concatenate([pair[0], gap, pair[1]]), np.full((2 * HEIGHT + 4, 4, 3), 255)]
    picture = np.concatenate(columns[:-1], axis=1).astype(np.uint8)
    Image.fromarray(picture).save(ROOT / "docs/samples.jpg", quality=90)


if __name__ == "__main__":
    main()
