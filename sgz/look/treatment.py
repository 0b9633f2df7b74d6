"""What one picture is given: black point, guided map, noise; found from the shrunken picture."""

from dataclasses import dataclass

import numpy as np

from sgz.look.black_point import find_black_point, subtract_black
from sgz.look.denoise import denoise_plainly
from sgz.look.exposure import fit_strength, spare_highlights
from sgz.look.guided_map import fit_guide, guide_of
from sgz.look.noise import estimate_sigma
from sgz.look.options import Look

VISIBLE = 1.5 / 255  # noise of that deviation in the result is left


@dataclass(frozen=True)
class Treatment:
    """All that the pass over the pixels needs.

    black: [C] float32 in [0, 1]. slope, offset: [M, h, w] float32 of A = slope g + offset, M 1 or
    C. sigma: standard deviation of the noise to be taken out, in [0, 1]; 0 leaves every pixel.
    """

    black: np.ndarray
    slope: np.ndarray
    offset: np.ndarray
    sigma: float

    def describe(self) -> str:
        """Black point and noise in words, in levels of 255."""
        black = " ".join(f"{255 * value:.1f}" for value in self.black)
        noise = f"noise {255 * self.sigma:.2f}" if self.sigma else "no noise to take out"
        return f"black {black}, {noise} (levels of 255)"


def black_of(small: np.ndarray, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """The black point [C] of a shrunken picture [C, h, w], and the picture without it."""
    if not look.black_point:
        return np.zeros(len(small), np.float32), small
    black = find_black_point(small)
    return black, subtract_black(small, black[:, None, None]).astype(np.float32)


def adjust_factor(factor: np.ndarray, seen: np.ndarray, look: Look, iterations: int) -> np.ndarray:
    """The network's map [3, h, w] as the look wants it: of one hue, as strong as fits.

    Args:
        seen: what the network saw, [C, h, w], black subtracted.
    """
    shape = factor.shape
    if look.hue_preserving:
        factor = factor.mean(axis=0, keepdims=True)
    if look.exposure:
        factor = spare_highlights(seen, factor)
        factor = factor * np.float32(fit_strength(seen, factor, iterations))
    return np.array(np.broadcast_to(factor.clip(-1, 1), shape), order="C")


def treat(
    stack: np.ndarray,
    seen: np.ndarray,
    black: np.ndarray,
    factor: np.ndarray,
    look: Look,
    iterations: int,
    peak: float,
) -> Treatment:
    """The treatment of a picture [H, W, C] in 0 to peak.

    Args:
        seen, black: of black_of. factor: [C, h, w] in [-1, 1], as strong as it is to act.
    """
    factor = factor[:1] if look.hue_preserving else factor
    if look.map == "guided":
        slope, offset = fit_guide(seen, factor)
    else:
        slope, offset = np.zeros_like(factor), factor
    if look.denoise == "off":
        sigma = 0.0
    elif look.denoise == "auto":
        amplified = mean_gain(seen, slope, offset, iterations) / (1 - float(black.mean()))
        share = min(max(amplified - 1, 0.0), 1.0)
        sigma = 0.0
        if share:
            variance = estimate_sigma(stack, peak) ** 2 - (VISIBLE / amplified) ** 2
            sigma = share * max(variance, 0.0) ** 0.5
    else:
        sigma = look.denoise / 255
    return Treatment(black, slope, offset, sigma)


def mean_gain(seen: np.ndarray, slope: np.ndarray, offset: np.ndarray, iterations: int) -> float:
    """By how much the curve multiplies noise on the mean: dy/dx = prod (1 + A (2 x - 1)).

    Where it is 1, in a picture that is left as it is, no noise is taken out.
    """
    every = np.s_[:, ::2, ::2]  # a mean needs no more
    x = seen[every]
    factor = (slope[every] * guide_of(x) + offset[every]).clip(-1, 1)
    gain = np.float32(1)
    for _ in range(iterations):
        gain = gain * (1 + factor * (2 * x - 1))
        x = x + factor * (x * x - x)
    return float(np.mean(gain))


def apply_plainly(
    picture: np.ndarray, treatment: Treatment, scale: int, iterations: int
) -> np.ndarray:
    """The specification of the pass over the pixels, in plain NumPy; kernels/natural.py is fast.

    Args:
        picture: [H, W, C] floats in [0, 1], as is the result.
    """
    height, width = picture.shape[:2]
    if treatment.sigma:
        picture = denoise_plainly(picture, treatment.sigma)
    x = subtract_black(picture, treatment.black).clip(0, 1)
    slope, offset = (
        enlarge_plainly(part, scale)[:, :height, :width].transpose(1, 2, 0)
        for part in (treatment.slope, treatment.offset)
    )
    factor = (slope * guide_of(x, axis=2)[..., None] + offset).clip(-1, 1)
    for _ in range(iterations):
        x = x + factor * (x * x - x)
    return x


def enlarge_plainly(small: np.ndarray, scale: int) -> np.ndarray:
    """[M, h, w] -> [M, scale h, scale w], bilinear, corners aligned."""
    for axis in (1, 2):
        last = small.shape[axis] - 1
        places = np.linspace(0, last, small.shape[axis] * scale)
        below = np.minimum(places.astype(int), max(last - 1, 0))
        shape = [1, 1, 1]
        shape[axis] = -1
        weight = (places - below).reshape(shape)
        above = np.minimum(below + 1, last)
        small = small.take(below, axis) * (1 - weight) + small.take(above, axis) * weight
    return small
