"""A picture without its noise, some rows at a time, as floats: dct.py's strips, in and out."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sgz.kernels.compile import FAST, compile_kernel, fixed

SIDE = 16  # of a block
LINE = 64  # bytes of a cache line
STRIPS = 3  # worked on at a time: fewer calls, and still in the second-level cache


@dataclass(frozen=True)
class Shrinkage:
    """How noise is taken out of pictures of one size; look/denoise.py makes it.

    rows, columns: which row or column of the picture each padded one is, step: between blocks.
    limits: [C, 256] float32, floors: [C], scale: [256], window: [16], of dct.shrink_strip.
    """

    rows: np.ndarray
    columns: np.ndarray
    step: int
    limits: np.ndarray
    floors: np.ndarray
    scale: np.ndarray
    window: np.ndarray


def denoise(image: np.ndarray, shrinkage: Shrinkage) -> np.ndarray:
    """The noise taken out: [H, W, C] -> float32, in the image's own levels, not clipped."""
    out = np.empty(image.shape, np.float32)
    for top, clean in clean_rows(np.ascontiguousarray(image), shrinkage, 0, len(image)):
        out[top : top + len(clean)] = clean.reshape(len(clean), *image.shape[1:])
    return out


def clean_rows(
    image: np.ndarray, shrinkage: Shrinkage, first: int, last: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Rows first to last of an image, some at a time: (number of the first, [n, W * C] float32).

    Args:
        image: [H, W, C], C-contiguous, uint8, uint16 or float32.
        first: a multiple of the step, as is last where it is not the image's last.

    The array is used again for the next rows.
    """
    height, width, channels = image.shape
    flat = image.reshape(height, width * channels)
    step, length = shrinkage.step, shrinkage.columns.size
    pad = SIDE - step
    load, shrink, unload = _compiled(image.dtype)
    shape = channels, length // SIDE, (SIDE + (STRIPS - 1) * step) * SIDE
    planes, totals = aligned(np.empty, shape), aligned(np.zeros, shape)
    scratch = aligned(np.empty, (2 * SIDE * (length + SIDE),))
    clean = aligned(np.empty, (STRIPS * step, width * channels))
    weights = np.repeat(shrinkage.window, SIDE)
    tables = shrinkage.limits, shrinkage.floors, shrinkage.scale, weights
    for top in range(first, last + pad, STRIPS * step):
        load(flat, planes, shrinkage.rows, shrinkage.columns, top, pad)
        shrink(planes, totals, step, *tables, scratch)
        unload(totals, clean, pad)
        start = top - pad  # strips begin that much above the image
        skipped = max(first - start, 0)
        done = clean[skipped : last - start]
        if len(done):
            yield start + skipped, done


def aligned(make: Callable, shape: tuple[int, ...]) -> np.ndarray:
    """A float32 array that begins with a cache line: no vector then lies in two of them."""
    count = math.prod(shape)
    raw = make(count + LINE // 4, np.float32)
    first = -raw.ctypes.data % LINE // 4
    return raw[first : first + count].reshape(shape)


@lru_cache(maxsize=3)
def _compiled(dtype: np.dtype) -> tuple[Callable, Callable, Callable]:
    """The three kernels, from numba's cache on disk where that can be written."""
    import numba

    # Late: numba takes half a second.
    from sgz.kernels.dct import load_rows, shrink_strips, unload_rows

    real, whole = numba.float32, numba.int64
    planes, index = real[:, :, ::1], fixed(whole, 1)
    load = numba.void(fixed(numba.from_dtype(dtype), 2), planes, index, index, whole, whole)
    tables = fixed(real, 2), fixed(real, 1), fixed(real, 1), fixed(real, 1)
    shrink = numba.void(planes, planes, whole, *tables, real[::1])
    unload = numba.void(planes, real[:, ::1], whole)
    return (
        compile_kernel(load_rows, load, fastmath=FAST),
        compile_kernel(shrink_strips, shrink, fastmath=FAST),
        compile_kernel(unload_rows, unload, fastmath=FAST),
    )
