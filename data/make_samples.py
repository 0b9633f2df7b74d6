"""Make the dark sample photographs of this folder from free ones that scikit-image carries.

    python data/make_samples.py

The camera model is evaluation/camera.py: the sRGB curve undone, the exposure cut, shot noise, read
noise, the sRGB curve again, 8 bits.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from anywhere

from evaluation.camera import darken

DATA = Path(__file__).resolve().parent
LONGEST_SIDE = 480  # pixels
# Photograph -> how many times the exposure is cut in test_data/samples.
SAMPLES = {"astronaut": 20, "camera": 12, "chelsea": 8, "coffee": 16, "rocket": 30}
# Photograph, exposure cut and (top, left, side) of the crop in the other folders.
CROPS = {
    "test_data/lowCUT/cat.png": ("chelsea", 25, (0, 90, 288)),
    "test_data/lowCUT/cup.png": ("coffee", 10, (40, 180, 288)),
    "train_data/astronaut_1.png": ("astronaut", 8, (0, 100, 224)),
    "train_data/astronaut_2.png": ("astronaut", 16, (280, 280, 224)),
    "train_data/chelsea.png": ("chelsea", 12, (40, 120, 224)),
    "train_data/coffee_1.png": ("coffee", 20, (120, 40, 224)),
    "train_data/coffee_2.png": ("coffee", 3, (160, 340, 224)),
    "train_data/rocket.png": ("rocket", 10, (180, 200, 224)),
}


def main() -> None:
    from PIL import Image
    from skimage import data

    def save(pixels: np.ndarray, name: str, **options) -> None:
        path = DATA / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, optimize=True, **options)
        print(f"{name}: {path.stat().st_size // 1024} KiB")

    rng = np.random.default_rng(0)
    for name, cut in SAMPLES.items():
        photo = Image.fromarray(getattr(data, name)())
        photo.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        photo = np.asarray(photo)
        save(photo, f"reference/{name}.jpg", quality=95)
        save(darken(photo, cut, rng), f"test_data/samples/{name}.png")
    for target, (name, cut, (top, left, side)) in CROPS.items():
        crop = getattr(data, name)()[top : top + side, left : left + side]
        save(darken(crop, cut, rng), target)


if __name__ == "__main__":
    main()
