"""The curve on the CPU in one pass: enlarge the factor map, apply it, round; no full-size floats.

Compiled by numba on first use and kept in its cache folder. The rows of an image are shared out
over threads that exist for the call alone: nothing spins beside the network's own threads.
"""

from concurrent.futures import Executor
from functools import lru_cache

import numpy as np

from sgz.kernels.compile import compile_kernel
from sgz.pixels import PEAK
from sgz.threads import share_out

CHUNK = 1024  # values worked on at a time: two buffers of 4 KiB stay in the first-level cache


def shrink(image: np.ndarray, scale: int) -> np.ndarray:
    """What the network sees: [H, W, C] of any PEAK type -> [C, h, w] float32 in [0, 1].

    Equals model.shrink: bilinear at 1/scale without antialiasing reads the four pixels (one, for
    an odd scale) around the middle of each scale x scale cell, the last row and column repeated.
    """
    peak = np.float32(PEAK[image.dtype])

    def read(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        rows = image.take(y, 0)  # then columns: thrice as fast as both at once
        return rows.take(x, 1).astype(np.float32) / peak

    return np.ascontiguousarray(read_cells(read, image.shape[:2], scale).transpose(2, 0, 1))


def read_cells(read, shape: tuple[int, int], scale: int):
    """The middle of every cell of an image of this shape; read(rows, columns) gives its values."""
    rows, columns = (np.arange(-(-n // scale)) * scale + (scale - 1) // 2 for n in shape)
    first = np.minimum(rows, shape[0] - 1), np.minimum(columns, shape[1] - 1)
    if scale % 2:
        return read(*first)
    second = np.minimum(rows + 1, shape[0] - 1), np.minimum(columns + 1, shape[1] - 1)
    upper = (read(*first) + read(first[0], second[1])) * 0.5
    lower = (read(second[0], first[1]) + read(*second)) * 0.5
    return (upper + lower) * 0.5


def apply_factor(
    image: np.ndarray,
    factor: np.ndarray,
    scale: int,
    iterations: int = 8,
    pool: Executor | None = None,
    bands: int = 1,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Enhance with a small factor map, x <- x + A (x^2 - x), A enlarged on the way.

    Args:
        image: [H, W, C], uint8, uint16 or float32 in [0, 1].
        factor: [C, h, w] float32 in [-1, 1] with h = ceil(H / scale), w = ceil(W / scale).
        pool, bands: the rows are cut into so many bands and given to the pool.
        out: where to write, C-contiguous; may be `image` itself.

    Returns:
        [H, W, C] of the image's type, rounded to the nearest level.

    Raises:
        ValueError: the factor map or `out` does not fit the image.
    """
    height, width, channels = image.shape
    expected = (channels, -(-height // scale), -(-width // scale))
    if factor.shape != expected:
        raise ValueError(f"the factor map is {factor.shape}, expected {expected} for this image")
    image = np.ascontiguousarray(image)
    out = np.empty_like(image) if out is None else out
    if (out.shape, out.dtype, out.flags.c_contiguous) != (image.shape, image.dtype, True):
        raise ValueError(f"out must be a C-contiguous {image.dtype} array of shape {image.shape}")
    rows = np.ascontiguousarray(factor.transpose(1, 2, 0), np.float32)  # [h, w, C]
    column, weight = positions(width, rows.shape[1], scale)
    step = np.float32((rows.shape[0] - 1) / max(rows.shape[0] * scale - 1, 1))
    flat = image.reshape(height, width * channels), out.reshape(height, width * channels)
    peak = np.float32(PEAK[image.dtype])
    nudge = np.float32(0.0 if image.dtype == np.float32 else 0.5)  # truncation then rounds
    kernel = compiled(image.dtype)

    def work(first: int, last: int) -> None:
        kernel(*flat, rows, column, weight, step, iterations, peak, nudge, first, last)

    share_out(work, height, pool, bands)
    return out


def positions(length: int, small: int, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each of `length` pixels lies among `small` ones, corners aligned: index and weight."""
    source = np.arange(length, dtype=np.float32) * np.float32(
        (small - 1) / max(small * scale - 1, 1)
    )
    index = source.astype(np.int64)
    return index, source - index.astype(np.float32)


@lru_cache(maxsize=len(PEAK))
def compiled(dtype: np.dtype):
    """The kernel for one PEAK type, from numba's cache on disk where that can be written."""
    import numba

    pixel, real, whole = numba.from_dtype(dtype), numba.float32, numba.int64
    image = numba.types.Array(pixel, 2, "C", readonly=True)  # takes writable ones as well
    factor = numba.types.Array(real, 3, "C", readonly=True)
    scalars = real, whole, real, real, whole, whole
    signature = numba.void(image, pixel[:, ::1], factor, whole[::1], real[::1], *scalars)
    return compile_kernel(curve_rows, signature)


def curve_rows(
    image, out, factor, column, weight, step, iterations, peak, nudge, first, last
):  # fmt: skip
    """Rows first to last of [H, W * C] image into out; factor [h, w, C]; see apply_factor."""
    small_height, small_width, channels = factor.shape
    width = column.size
    upper = np.empty(width * channels, np.float32)  # map rows enlarged along x
    lower = np.empty(width * channels, np.float32)
    x = np.empty(CHUNK, np.float32)
    a = np.empty(CHUNK, np.float32)
    one = np.float32(1.0)
    held = -1  # the map row that `upper` holds
    for y in range(first, last):
        source = np.float32(y) * step
        top = int(source)
        w1 = source - np.float32(top)
        w0 = one - w1
        if top != held:
            for part in range(2):
                row = factor[min(top + part, small_height - 1)]
                wide = lower if part else upper
                for j in range(width):
                    left = column[j]
                    right = min(left + 1, small_width - 1)
                    v1 = weight[j]
                    v0 = one - v1
                    for c in range(channels):
                        wide[j * channels + c] = v0 * row[left, c] + v1 * row[right, c]
            held = top
        for start in range(0, width * channels, CHUNK):
            n = min(CHUNK, width * channels - start)
            source_row = image[y, start : start + n]
            target_row = out[y, start : start + n]
            above = upper[start : start + n]
            below = lower[start : start + n]
            for i in range(n):
                x[i] = np.float32(source_row[i]) / peak
                a[i] = w0 * above[i] + w1 * below[i]
            for _ in range(iterations):
                for i in range(n):
                    x[i] = x[i] + a[i] * (x[i] * x[i] - x[i])
            for i in range(n):
                target_row[i] = x[i] * peak + nudge
