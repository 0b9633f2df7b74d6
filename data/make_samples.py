"""Make the dark sample photographs of this folder from free ones that scikit-image carries.

    python data/make_samples.py

The camera model: undo the sRGB curve, cut the exposure, count photons (shot noise), add the
sensor's read noise, apply the sRGB curve again, quantise to 8 bits.
"""

from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parent
FULL_WELL = 20_000  # electrons in a pixel at white
LONGEST_SIDE = 480  # pixels
READ_NOISE = 4.0  # electrons, standard deviation
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


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] -> sRGB in [0, 1] (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def darken(photo: np.ndarray, cut: float, rng: np.random.Generator) -> np.ndarray:
    """The photograph uint8 as the camera would have taken it in 1/cut of the light."""
    electrons = rng.poisson(to_linear(photo / 255.0) / cut * FULL_WELL)
    read = electrons + rng.normal(0.0, READ_NOISE, photo.shape)
    return np.round(to_srgb(np.clip(read / FULL_WELL, 0, 1)) * 255).astype(np.uint8)


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
