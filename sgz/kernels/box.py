"""Means over square windows, by running sums: as many steps a pixel whatever the window's size."""

from functools import cache

import numpy as np

from sgz.kernels.compile import compile_kernel


def box_mean(plane: np.ndarray, radius: int) -> np.ndarray:
    """Means of [h, w] float32 over windows of 2 radius + 1 pixels a side; borders are mirrored."""
    out = np.empty(plane.shape, np.float32)
    _compiled()(np.ascontiguousarray(plane, np.float32), out, radius)
    return out


@cache
def _compiled():
    """The kernel, from numba's cache on disk where that can be written."""
    import numba  # late: it takes longer than all else that `sgz --help` needs

    source = numba.types.Array(numba.float32, 2, "C", readonly=True)
    return compile_kernel(_box, numba.void(source, numba.float32[:, ::1], numba.int64))


def _box(plane, out, radius):
    """Sums along each row, then down the columns; a mirror repeats the border's own pixel."""
    height, width = plane.shape
    places = np.empty(max(height, width) + 2 * radius + 1, np.int64)

    def fill(length):
        for i in range(length + 2 * radius + 1):
            at = (i - radius) % (2 * length)
            places[i] = at if at < length else 2 * length - 1 - at

    fill(width)
    rows = np.empty((height, width), np.float64)
    for y in range(height):
        total = 0.0
        for i in range(2 * radius + 1):
            total += plane[y, places[i]]
        for x in range(width):
            rows[y, x] = total
            total += plane[y, places[x + 2 * radius + 1]] - plane[y, places[x]]
    fill(height)
    sums = np.zeros(width, np.float64)
    for i in range(2 * radius + 1):
        sums += rows[places[i]]
    scale = 1.0 / (2 * radius + 1) ** 2
    for y in range(height):
        for x in range(width):
            out[y, x] = sums[x] * scale
            sums[x] += rows[places[y + 2 * radius + 1], x] - rows[places[y], x]
