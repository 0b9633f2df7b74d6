"""Denoising in the dark: sliding-window DCT shrinkage (Yu & Sapiro 2011, IPOL, dct-denoising).

Noise is amplified by the curve, and most where it brightens most. In the dark picture, before the
curve, it is nearly even: sRGB's own curve is near the root that would make it so. There it is
taken out, and the float result brightened, so that each pixel's gain is accounted for by itself.

Blocks of 16x16, STEP apart, of the three colours R + G + B, R - B, R - 2 G + B (orthonormal, as in
the paper) are shrunk in the DCT domain, c <- c max(1 - t^2 / c^2, floor), the non-negative garrote
(Gao 1998): it leaves large coefficients alone as hard thresholds do, and does not ring as they do.
The mean of a block is kept, and so is a little of luma's noise, as a floor does in speech (Berouti
et al. 1979): texture below the threshold stays to be seen, and what is left alone in a block that
lost all else does not stand out. Chroma's would be stains.
"""

import numpy as np

from sgz.kernels.denoise import SIDE, Shrinkage

STEP = 8  # between blocks
# Of luma and two chromas: threshold in standard deviations of the noise, and the share that stays.
LIMITS = (2.5, 0.1), (3.0, 0.0), (3.0, 0.0)
COLOURS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


def dct_matrix() -> np.ndarray:
    """The orthonormal DCT of 16 values: [16, 16], row k is frequency k."""
    k, n = np.arange(SIDE)[:, None], np.arange(SIDE)
    basis = np.sqrt(2 / SIDE) * np.cos((n + 0.5) * k * np.pi / SIDE)
    basis[0] /= np.sqrt(2)
    return basis


def denoise_plainly(picture: np.ndarray, sigma: float, step: int = STEP) -> np.ndarray:
    """The specification, in plain NumPy: [H, W, C] floats -> [H, W, C]; the kernel is fast.

    Args:
        sigma: standard deviation of the noise, in the picture's own levels.
    """
    height, width, channels = picture.shape
    basis, window = dct_matrix(), overlap_window(step)
    colours = COLOURS if channels == 3 else np.eye(1)
    rows, columns = padded(height, step), padded(width, step)
    planes = (picture @ colours.T)[rows][:, columns]
    total = np.zeros(planes.shape)
    for top in range(0, len(rows) - SIDE + 1, step):
        for left in range(0, len(columns) - SIDE + 1, step):
            place = slice(top, top + SIDE), slice(left, left + SIDE)
            for channel, (times, floor) in enumerate(LIMITS[:channels]):
                c = basis @ planes[(*place, channel)] @ basis.T
                kept = np.maximum(1 - (times * sigma) ** 2 / np.maximum(c**2, 1e-20), floor)
                kept[0, 0] = 1
                block = basis.T @ (c * kept) @ basis
                total[(*place, channel)] += block * np.multiply.outer(window, window)
    before = SIDE - step
    return total[before : before + height, before : before + width] @ colours


def shrinkage_of(sigma: float, shape: tuple[int, ...], step: int = STEP) -> Shrinkage:
    """What takes noise of a standard deviation out of pictures [H, W, C].

    Args:
        sigma: in the picture's own levels.
    """
    limits, floors, scale = shrink_tables(sigma, shape[2])
    rows, columns = padded(shape[0], step), padded(shape[1], step, SIDE)
    return Shrinkage(rows, columns, step, limits, floors, scale, overlap_window(step))


def shrink_tables(sigma: float, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared thresholds [C, 256], floors [C] and scale [256] for transforms without normalisation.

    With s_0 = sqrt(1/16), s_k = sqrt(2/16), an orthonormal coefficient is c s_u s_v, and the sum
    back takes c (s_u s_v)^2.
    """
    norm = np.full(SIDE, 2 / SIDE)
    norm[0] = 1 / SIDE
    scale = np.multiply.outer(norm, norm).ravel()
    times, floors = np.array(LIMITS[:channels], np.float32).T
    limits = np.square(times * sigma)[:, None] / scale
    limits[:, 0] = 0
    return limits.astype(np.float32), np.ascontiguousarray(floors), scale.astype(np.float32)


def overlap_window(step: int = STEP) -> np.ndarray:
    """Weights [16] of a block whose sum over blocks `step` apart, 8 to 16, is one everywhere."""
    overlap = SIDE - step
    window = np.ones(SIDE, np.float32)
    if overlap:
        ramp = np.sin((np.arange(overlap) + 0.5) * np.pi / (2 * overlap)) ** 2
        window[:overlap], window[SIDE - overlap :] = ramp, ramp[::-1]
    return window


def padded(length: int, step: int = STEP, multiple: int = 1) -> np.ndarray:
    """Which of `length` rows or columns each one of the padded picture is, mirrored at the ends.

    16 - step are put before, and as many after as the last block needs.
    """
    before = SIDE - step
    total = (length - 1 + before) // step * step + SIDE
    total += -total % multiple
    positions = np.arange(-before, total - before) % (2 * length)
    return np.minimum(positions, 2 * length - 1 - positions)
