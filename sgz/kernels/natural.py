"""The natural look's pass over the pixels: denoise, black point, guided map and curve in one.

For every pixel: its levels from black on, x = (v - black) * gain, clipped; its guide,
g = sqrt(largest x); its factor, A = a g + b with a and b enlarged from the small map; eight steps
x <- x + A (x^2 - x) of each channel with that one A (or with one of its own); rounded. Where noise
is taken out, strips of rows come from dct.py as floats and go on at once.
"""

from collections.abc import Callable
from concurrent.futures import Executor
from functools import lru_cache, partial

import numpy as np

from sgz.kernels.compile import FAST, compile_kernel, fixed
from sgz.kernels.denoise import Shrinkage, clean_rows
from sgz.kernels.rgb import positions
from sgz.pixels import PEAK
from sgz.threads import share_out

CHUNK = 512  # pixels worked on at a time: their buffers stay in the first-level cache


def apply_look(
    image: np.ndarray,
    black: np.ndarray,
    slope: np.ndarray,
    offset: np.ndarray,
    scale: int,
    iterations: int = 8,
    shrinkage: Shrinkage | None = None,
    pool: Executor | None = None,
    bands: int = 1,
) -> np.ndarray:
    """Enhance a picture with a small guided map; see the module.

    Args:
        image: [H, W, C], uint8, uint16 or float32 in [0, 1].
        black: [C] in [0, 1].
        slope, offset: [M, h, w] float32, h = ceil(H / scale), w = ceil(W / scale), M 1 or C.
        shrinkage: of the noise; None leaves it.
        pool, bands: the rows are cut into so many bands and given to the pool.

    Returns:
        [H, W, C] of the image's type, rounded to the nearest level.
    """
    height, width, channels = image.shape
    image = np.ascontiguousarray(image)
    out = np.empty_like(image)
    flat = [array.reshape(height, width * channels) for array in (image, out)]
    a, b = (np.ascontiguousarray(part.transpose(1, 2, 0), np.float32) for part in (slope, offset))
    column, weight = positions(width, a.shape[1], scale)
    map_step = np.float32((a.shape[0] - 1) / max(a.shape[0] * scale - 1, 1))
    peak = np.float32(PEAK[image.dtype])
    nudge = np.float32(0.0 if image.dtype == np.float32 else 0.5)  # truncation then rounds
    levels = np.float32(black * peak), np.float32(1 / ((1 - black) * peak))
    arguments = (*flat, a, b, column, weight, map_step, iterations, *levels, peak, nudge)
    kernel = _compiled(image.dtype if shrinkage is None else np.dtype(np.float32), image.dtype)
    if shrinkage is None:
        share_out(partial(kernel, *arguments, 0), height, pool, bands)
        return out

    def work(first: int, last: int) -> None:
        for top, clean in clean_rows(image, shrinkage, first * step, min(last * step, height)):
            kernel(clean, *arguments[1:], top, top, top + len(clean))

    step = shrinkage.step
    share_out(work, -(-height // step), pool, bands)
    return out


@lru_cache(maxsize=6)
def _compiled(source: np.dtype, target: np.dtype) -> Callable:
    """The kernel for two PEAK types, from numba's cache on disk where that can be written."""
    import numba

    real, whole = numba.float32, numba.int64
    flat = fixed(numba.from_dtype(source), 2), numba.from_dtype(target)[:, ::1]
    maps = fixed(real, 3), fixed(real, 3), fixed(whole, 1), fixed(real, 1), real, whole
    levels = fixed(real, 1), fixed(real, 1), real, real
    signature = numba.void(*flat, *maps, *levels, whole, whole, whole)
    return compile_kernel(natural_rows, signature, fastmath=FAST)


def natural_rows(
    image, out, slope, offset, column, weight, step, iterations, black, gain, peak, nudge,
    origin, first, last,
):  # fmt: skip
    """Rows first to last of [H, W * C] image, which begins with row `origin`, into out.

    slope, offset: [h, w, M] float32, the guided map's a and b; M is 1 or C.
    column, weight: where each pixel lies in a row of the map; step: of the map, a row of the image.
    black, gain: [C] float32, in the image's own levels, and to [0, 1].
    """
    small_height, small_width, maps = slope.shape
    channels = black.size
    width = column.size
    rows = np.empty((4, maps, width), np.float32)  # a, b of the row above, a, b of the row below
    x = np.empty((3, CHUNK), np.float32)
    g = np.empty(CHUNK, np.float32)
    a = np.empty(CHUNK, np.float32)
    one = np.float32(1.0)
    zero = np.float32(0.0)
    held = -1
    for y in range(first, last):
        source = np.float32(y) * step
        top = int(source)
        w1 = source - np.float32(top)
        w0 = one - w1
        if top != held:
            for part in range(4):
                coarse = offset if part % 2 else slope
                line = min(top + part // 2, small_height - 1)
                for m in range(maps):
                    target = rows[part, m]
                    for j in range(width):
                        left = column[j]
                        right = min(left + 1, small_width - 1)
                        v = weight[j]
                        target[j] = (one - v) * coarse[line, left, m] + v * coarse[line, right, m]
            held = top
        for start in range(0, width, CHUNK):
            n = min(CHUNK, width - start)
            source_row = image[y - origin, start * channels : (start + n) * channels]
            target_row = out[y, start * channels : (start + n) * channels]
            if channels == 3:
                k0, k1, k2 = black[0], black[1], black[2]
                s0, s1, s2 = gain[0], gain[1], gain[2]
                x0, x1, x2 = x[0], x[1], x[2]
                for i in range(n):
                    u = min(max(np.float32(source_row[3 * i]) - k0, zero) * s0, one)
                    v = min(max(np.float32(source_row[3 * i + 1]) - k1, zero) * s1, one)
                    w = min(max(np.float32(source_row[3 * i + 2]) - k2, zero) * s2, one)
                    x0[i] = u
                    x1[i] = v
                    x2[i] = w
                    g[i] = np.sqrt(max(u, max(v, w)))
            else:
                x0 = x[0]
                for i in range(n):
                    u = min(max(np.float32(source_row[i]) - black[0], zero) * gain[0], one)
                    x0[i] = u
                    g[i] = np.sqrt(u)
            for c in range(channels):
                if c < maps:
                    above_a, above_b = rows[0, c, start : start + n], rows[1, c, start : start + n]
                    below_a, below_b = rows[2, c, start : start + n], rows[3, c, start : start + n]
                    for i in range(n):
                        value = (w0 * above_a[i] + w1 * below_a[i]) * g[i]
                        value += w0 * above_b[i] + w1 * below_b[i]
                        a[i] = min(max(value, -one), one)
                xc = x[c]
                for _ in range(iterations // 4):  # four at a time stay in registers
                    for i in range(n):
                        value = xc[i]
                        value += a[i] * (value * value - value)
                        value += a[i] * (value * value - value)
                        value += a[i] * (value * value - value)
                        xc[i] = value + a[i] * (value * value - value)
                for _ in range(iterations % 4):
                    for i in range(n):
                        xc[i] += a[i] * (xc[i] * xc[i] - xc[i])
            if channels == 3:
                x0, x1, x2 = x[0], x[1], x[2]
                for i in range(n):
                    target_row[3 * i] = x0[i] * peak + nudge
                    target_row[3 * i + 1] = x1[i] * peak + nudge
                    target_row[3 * i + 2] = x2[i] * peak + nudge
            else:
                x0 = x[0]
                for i in range(n):
                    target_row[i] = x0[i] * peak + nudge
