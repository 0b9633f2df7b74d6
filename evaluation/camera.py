"""A model of a camera in little light: what a bright photograph would have been in the dark."""

import numpy as np

FULL_WELL = 20_000  # electrons in a pixel at white
READ_NOISE = 4.0  # electrons, standard deviation


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] -> linear light in [0, 1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] -> sRGB in [0, 1] (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def capture(
    electrons: np.ndarray, rng: np.random.Generator, read_noise: float = READ_NOISE
) -> np.ndarray:
    """What the sensor reads: shot noise, read noise, the sRGB curve, 8 bits.

    Args:
        electrons: expected in each pixel, FULL_WELL at white; any shape.
        read_noise: electrons, standard deviation.

    Returns:
        uint8, of the same shape.
    """
    read = rng.poisson(electrons) + rng.normal(0.0, read_noise, electrons.shape)
    return np.round(to_srgb(np.clip(read / FULL_WELL, 0, 1)) * 255).astype(np.uint8)


def darken(photo: np.ndarray, cut: float, rng: np.random.Generator) -> np.ndarray:
    """A photograph uint8 as the camera would have taken it in 1/cut of the light."""
    return capture(to_linear(photo / 255.0) / cut * FULL_WELL, rng)
