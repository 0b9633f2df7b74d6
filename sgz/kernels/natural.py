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

    from sgz.kernels.natural_rows import natural_rows  # late: it imports numba

    real, whole = numba.float32, numba.int64
    flat = fixed(numba.from_dtype(source), 2), numba.from_dtype(target)[:, ::1]
    maps = fixed(real, 3), fixed(real, 3), fixed(whole, 1), fixed(real, 1), real, whole
    levels = fixed(real, 1), fixed(real, 1), real, real
    signature = numba.void(*flat, *maps, *levels, whole, whole, whole)
    return compile_kernel(natural_rows, signature, fastmath=FAST)
