"""Deviation of the 3x3 Laplacian in blocks of 16x16: what noise is estimated from."""

from functools import lru_cache

import numpy as np

from sgz.kernels.compile import compile_kernel

BLOCK = 16


def measure_blocks(
    picture: np.ndarray, chosen: np.ndarray, across: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and noise of some blocks of [H, W, C] picture, uint8, uint16 or float32.

    Args:
        chosen: [N] numbers of blocks, counted row by row. across: how many there are to a row.

    Returns:
        The mean of each block's values, and the root mean square of the Laplacian
        [1 -2 1; -2 4 -2; 1 -2 1] / 6 of its luma (R + G + B) / sqrt(3), both [N] float32.
    """
    means, deviations = np.empty((2, chosen.size), np.float32)
    height, width, channels = picture.shape
    rows = np.ascontiguousarray(picture).reshape(height, width * channels)
    _compiled(picture.dtype)(rows, chosen, across, channels, means, deviations)
    return means, deviations


@lru_cache(maxsize=3)
def _compiled(dtype: np.dtype):
    import numba

    pixel, real, whole = numba.from_dtype(dtype), numba.float32, numba.int64
    image = numba.types.Array(pixel, 2, "C", readonly=True)
    signature = numba.void(image, whole[::1], whole, whole, real[::1], real[::1])
    return compile_kernel(block_noise, signature, fastmath={"contract", "reassoc", "nsz"})


def block_noise(image, chosen, across, channels, means, deviations):
    """measure_blocks on [H, W * C] image: [1 -2 1] down, then across, in runs of a whole block."""
    plane = np.empty(BLOCK * BLOCK, np.float32)
    bent = np.empty((BLOCK - 2) * BLOCK, np.float32)
    inside = np.zeros((BLOCK - 2, BLOCK), np.float32)  # what no row's end cuts off
    inside[:, : BLOCK - 2] = 1
    inside = inside.ravel()
    norm = np.float32(1.0 / np.sqrt(channels))
    two, sixth = np.float32(2.0), np.float32(1.0 / 6.0)
    for n in range(chosen.size):
        top, left = chosen[n] // across * BLOCK, chosen[n] % across * BLOCK
        for row in range(BLOCK):
            source = image[top + row, left * channels : (left + BLOCK) * channels]
            line = plane[row * BLOCK : (row + 1) * BLOCK]
            if channels == 3:
                for i in range(BLOCK):
                    value = np.float32(source[3 * i]) + np.float32(source[3 * i + 1])
                    line[i] = value + np.float32(source[3 * i + 2])
            else:
                for i in range(BLOCK):
                    line[i] = np.float32(source[i])
        total, square = np.float32(0.0), np.float32(0.0)
        for i in range(plane.size):
            total += plane[i]
        for i in range(bent.size):
            bent[i] = plane[i] - two * plane[i + BLOCK] + plane[i + 2 * BLOCK]
        for i in range(bent.size - 2):
            value = bent[i] - two * bent[i + 1] + bent[i + 2]
            square += inside[i] * value * value
        means[n] = total / np.float32(BLOCK * BLOCK * channels)
        deviations[n] = np.sqrt(square / np.float32((BLOCK - 2) ** 2)) * sixth * norm
