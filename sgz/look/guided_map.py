"""The factor map enlarged along edges: a weighted fast guided filter.

A map that is enlarged bilinearly runs across edges: beside a lamp the dark ground is brightened
less than the same ground far off, which shows as a ring. Here the small map is fitted as a linear
function of a guide, A = a g + b, in windows of the small picture (the fast guided filter, He & Sun
2015, arXiv 1505.00996); a and b vary slowly, are enlarged bilinearly, and A is computed at full
size from each pixel's own guide g = sqrt(largest channel), so it changes where the picture does.

The network's own map is already wrong beside a lamp: its layers see 7 pixels each way. So each
value counts in the fit by how even the picture is in that reach (as Li et al. 2015 weigh their
regularisation): w = 1 / (variance of g in 15x15 + TRUST).
"""

import numpy as np

from sgz.kernels.box import box_mean

RADIUS = 8  # of the windows, in pixels of the small map
EPS = 1e-3  # variance of the guide below which it says nothing
REACH = 7  # the network's receptive radius
TRUST = 1e-3  # variance of the guide in the network's reach up to which its map is trusted


def guide_of(picture: np.ndarray, axis: int = 0) -> np.ndarray:
    """g = sqrt(largest channel), in [0, 1]; a root, so that shadows count as lights do."""
    return np.sqrt(picture.max(axis=axis))


def fit_guide(
    small: np.ndarray, factor: np.ndarray, radius: int = RADIUS, eps: float = EPS
) -> tuple[np.ndarray, np.ndarray]:
    """Slope a and offset b of A = a g + b (He & Sun, algorithm 2, with weights in eq. 5, 6, 8).

    Args:
        small: what the network saw, [C, h, w] in [0, 1], its black point subtracted.
        factor: its map, [M, h, w] float32 in [-1, 1].

    Returns:
        a and b, [M, h, w] float32.
    """
    guide = guide_of(small).astype(np.float32)
    weight = 1 / (box_mean(guide * guide, REACH) - box_mean(guide, REACH) ** 2 + np.float32(TRUST))
    weight = np.maximum(weight, np.float32(1e-6))  # rounding may have made a variance negative
    total = box_mean(weight, radius)

    def mean(plane: np.ndarray) -> np.ndarray:
        return box_mean(weight * plane, radius) / total

    mean_g = mean(guide)
    variance = np.maximum(mean(guide * guide) - mean_g * mean_g, 0)
    again = box_mean(total, radius)
    slopes, offsets = np.empty_like(factor), np.empty_like(factor)
    for plane, slope, offset in zip(factor, slopes, offsets, strict=True):
        mean_a = mean(plane)
        a = (mean(guide * plane) - mean_g * mean_a) / (variance + np.float32(eps))
        b = mean_a - a * mean_g
        slope[:] = box_mean(a * total, radius) / again
        offset[:] = box_mean(b * total, radius) / again
    return slopes, offsets
