"""A picture without its noise, some rows at a time, as floats: dct.py's strips, in and out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sgz.kernels.compile import FAST, compile_kernel, fixed

SIDE = 16  # of a block
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
    shape = channels, SIDE + (STRIPS - 1) * step, length
    planes, totals = np.empty(shape, np.float32), np.zeros(shape, np.float32)
    scratch = np.empty((2, SIDE * length), np.float32)
    clean = np.empty((STRIPS * step, width * channels), np.float32)
    tables = shrinkage.limits, shrinkage.floors, shrinkage.scale, shrinkage.window
    for top in range(first, last + pad, STRIPS * step):
        load(flat, planes, shrinkage.rows, shrinkage.columns, top, pad)
        shrink(planes, totals, step, *tables, scratch[0], scratch[1])
        unload(totals, clean, pad)
        start = top - pad  # strips begin that much above the image
        skipped = max(first - start, 0)
        done = clean[skipped : last - start]
        if len(done):
            yield start + skipped, done


@lru_cache(maxsize=3)
def _compiled(dtype: np.dtype) -> tuple[Callable, Callable, Callable]:
    """The three kernels, from numba's cache on disk where that can be written."""
    import numba

    from sgz.kernels.dct import shrink_strips  # late: numba takes half a second

    real, whole = numba.float32, numba.int64
    planes, index = real[:, :, ::1], fixed(whole, 1)
    load = numba.void(fixed(numba.from_dtype(dtype), 2), planes, index, index, whole, whole)
    tables = fixed(real, 2), fixed(real, 1), fixed(real, 1), fixed(real, 1)
    shrink = numba.void(planes, planes, whole, *tables, real[::1], real[::1])
    unload = numba.void(planes, real[:, ::1], whole)
    return (
        compile_kernel(load_rows, load, fastmath=FAST),
        compile_kernel(shrink_strips, shrink, fastmath=FAST),
        compile_kernel(unload_rows, unload, fastmath=FAST),
    )


def load_rows(image, planes, rows, columns, top, pad):
    """Padded rows from `top` on of [H, W * C] image into planes [C, rows, L], mirrored.

    Of R, G, B the planes are (R + G + B) / sqrt(3), (R - B) / sqrt(2), (R - 2 G + B) / sqrt(6).
    """
    channels = planes.shape[0]
    width = image.shape[1] // channels
    third, half, sixth = np.float32(3**-0.5), np.float32(2**-0.5), np.float32(6**-0.5)
    for row in range(planes.shape[1]):
        source = image[rows[min(top + row, rows.size - 1)]]
        y0 = planes[0, row, pad : pad + width]
        if channels == 3:
            y1 = planes[1, row, pad : pad + width]
            y2 = planes[2, row, pad : pad + width]
            for i in range(width):
                r = np.float32(source[3 * i])
                g = np.float32(source[3 * i + 1])
                b = np.float32(source[3 * i + 2])
                y0[i] = (r + g + b) * third
                y1[i] = (r - b) * half
                y2[i] = (r - g - g + b) * sixth
        else:
            for i in range(width):
                y0[i] = np.float32(source[i])
        for c in range(channels):
            line = planes[c, row]
            for i in range(pad):
                line[i] = line[pad + columns[i]]
            for i in range(pad + width, line.size):
                line[i] = line[pad + columns[i]]


def unload_rows(totals, clean, pad):
    """The rows of totals [C, n + pad, L] that are whole, back to [n, W * C]; the rest moves up."""
    channels, count = totals.shape[0], clean.shape[0]
    width = clean.shape[1] // channels
    third, half, sixth = np.float32(3**-0.5), np.float32(2**-0.5), np.float32(6**-0.5)
    for row in range(count):
        target = clean[row]
        y0 = totals[0, row, pad : pad + width]
        if channels == 3:
            y1 = totals[1, row, pad : pad + width]
            y2 = totals[2, row, pad : pad + width]
            for i in range(width):
                u, v, w = y0[i] * third, y1[i] * half, y2[i] * sixth
                target[3 * i] = u + v + w
                target[3 * i + 1] = u - w - w
                target[3 * i + 2] = u - v + w
        else:
            target[:] = y0
    for c in range(channels):
        totals[c, :pad] = totals[c, count:]
        totals[c, pad:] = 0
