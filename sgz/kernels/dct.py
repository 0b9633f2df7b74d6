"""Sliding-window DCT shrinkage of a picture's planes, a strip of 16 rows at a time.

The plan, for each strip (it begins STEP rows below the one before) and each plane:
1. the vertical DCT of all its columns, turned so that a column's 16 frequencies lie side by side;
2. for each block of 16 columns (STEP apart): the horizontal DCT, every coefficient shrunk by
   max(1 - t^2 / c^2, floor), the horizontal DCT back, added to what its neighbours left there;
3. turned again, the vertical DCT back, added to what the strip above left there.
As blocks are added with a window that sums to one, and all but step 2's shrinkage is linear, the
vertical transforms are done once for a strip and not once for a block.

The transforms are Lee's recursion (1984): 32 products and 81 sums for 16 values, for 16 columns or
frequencies at a time in the processor's vectors. They are not normalised; the tables of
shrink_tables() hold what that needs.
"""

import math

import numpy as np
from numba.extending import register_jitable

SIDE = 16  # of a block
AREA = SIDE * SIDE
TINY = np.float32(1e-20)

inline = register_jitable


def secants(n: int) -> tuple[np.float32, ...]:
    """1 / (2 cos((i + 1/2) pi / n)), i < n / 2."""
    return tuple(np.float32(0.5 / math.cos((i + 0.5) * math.pi / n)) for i in range(n // 2))


(S2,) = secants(2)
S4 = secants(4)
S8 = secants(8)
S16 = secants(16)


@inline
def dct4(a, b, c, d):
    p, q = a + d, b + c
    r, s = (a - d) * S4[0], (b - c) * S4[1]
    t = (r - s) * S2
    return p + q, r + s + t, (p - q) * S2, t


@inline
def dct8(a, b, c, d, e, f, g, h):
    p, q, r, s = dct4(a + h, b + g, c + f, d + e)
    t, u, v, w = dct4((a - h) * S8[0], (b - g) * S8[1], (c - f) * S8[2], (d - e) * S8[3])
    return p, t + u, q, u + v, r, v + w, s, w


@inline
def idct4(a, b, c, d):
    c, e = c * S2, (b + d) * S2
    p, q = a + c, a - c
    r, s = (b + e) * S4[0], (b - e) * S4[1]
    return p + r, q + s, q - s, p - r


@inline
def idct8(a, b, c, d, e, f, g, h):
    p, q, r, s = idct4(a, c, e, g)
    t, u, v, w = idct4(b, b + d, d + f, f + h)
    t, u, v, w = t * S8[0], u * S8[1], v * S8[2], w * S8[3]
    return p + t, q + u, r + v, s + w, s - w, r - v, q - u, p - t


@inline
def dct16(x, y):
    """y[k] = sum_n x[n] cos((n + 1/2) k pi / 16) of 16 columns side by side, [16 * 16] each."""
    for i in range(SIDE):
        a, b, c, d = x[i], x[i + 16], x[i + 32], x[i + 48]
        e, f, g, h = x[i + 64], x[i + 80], x[i + 96], x[i + 112]
        z, w, v, u = x[i + 240], x[i + 224], x[i + 208], x[i + 192]
        t, s, r, q = x[i + 176], x[i + 160], x[i + 144], x[i + 128]
        p0, p1, p2, p3, p4, p5, p6, p7 = dct8(
            a + z, b + w, c + v, d + u, e + t, f + s, g + r, h + q
        )
        q0, q1, q2, q3, q4, q5, q6, q7 = dct8(
            (a - z) * S16[0],
            (b - w) * S16[1],
            (c - v) * S16[2],
            (d - u) * S16[3],
            (e - t) * S16[4],
            (f - s) * S16[5],
            (g - r) * S16[6],
            (h - q) * S16[7],
        )
        y[i], y[i + 16], y[i + 32], y[i + 48] = p0, q0 + q1, p1, q1 + q2
        y[i + 64], y[i + 80], y[i + 96], y[i + 112] = p2, q2 + q3, p3, q3 + q4
        y[i + 128], y[i + 144], y[i + 160], y[i + 176] = p4, q4 + q5, p5, q5 + q6
        y[i + 192], y[i + 208], y[i + 224], y[i + 240] = p6, q6 + q7, p7, q7


@inline
def idct16(y, x):
    """x[n] = sum_k y[k] cos((n + 1/2) k pi / 16): dct16's transpose, laid out alike."""
    for i in range(SIDE):
        k1, k3, k5, k7 = y[i + 16], y[i + 48], y[i + 80], y[i + 112]
        k9, k11, k13, k15 = y[i + 144], y[i + 176], y[i + 208], y[i + 240]
        a, b, c, d, e, f, g, h = idct8(
            y[i], y[i + 32], y[i + 64], y[i + 96], y[i + 128], y[i + 160], y[i + 192], y[i + 224]
        )
        p, q, r, s, t, u, v, w = idct8(
            k1, k1 + k3, k3 + k5, k5 + k7, k7 + k9, k9 + k11, k11 + k13, k13 + k15
        )
        p, q, r, s = p * S16[0], q * S16[1], r * S16[2], s * S16[3]
        t, u, v, w = t * S16[4], u * S16[5], v * S16[6], w * S16[7]
        x[i], x[i + 16], x[i + 32], x[i + 48] = a + p, b + q, c + r, d + s
        x[i + 64], x[i + 80], x[i + 96], x[i + 112] = e + t, f + u, g + v, h + w
        x[i + 128], x[i + 144], x[i + 160], x[i + 176] = h - w, g - v, f - u, e - t
        x[i + 192], x[i + 208], x[i + 224], x[i + 240] = d - s, c - r, b - q, a - p


@inline
def turn(x, y):
    """Transpose [16, 16] within x, by way of y: twice, every fourth part is dealt out in turn."""
    for i in range(AREA // 4):
        y[4 * i], y[4 * i + 1], y[4 * i + 2], y[4 * i + 3] = x[i], x[i + 64], x[i + 128], x[i + 192]
    for i in range(AREA // 4):
        x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3] = y[i], y[i + 64], y[i + 128], y[i + 192]


@inline
def shrink_strip(plane, total, step, limit, floor, scale, window, columns, sums):
    """Add a strip's shrunk blocks to `total`.

    plane, total: [16, L] float32, L a multiple of 16 that holds all blocks.
    limit, scale: [256] float32, as of shrink_tables; floor: least share kept; window: [16].
    columns, sums: [16 L] float32, scratch.
    """
    length = plane.shape[1]
    blocks = (length - SIDE) // step + 1
    block = np.empty(AREA, np.float32)
    other = np.empty(AREA, np.float32)
    weights = np.repeat(window, SIDE)
    for left in range(0, length, SIDE):
        for row in range(SIDE):
            line, to = plane[row, left : left + SIDE], block[row * SIDE : row * SIDE + SIDE]
            for i in range(0, SIDE, 4):  # four that are read first are written at once
                a, b, c, d = line[i], line[i + 1], line[i + 2], line[i + 3]
                to[i], to[i + 1], to[i + 2], to[i + 3] = a, b, c, d
        turned = columns[left * SIDE : left * SIDE + AREA]
        dct16(block, turned)
        turn(turned, block)
    sums[:] = 0
    for number in range(blocks):
        start = number * step * SIDE
        dct16(columns[start : start + AREA], block)
        for i in range(AREA):
            c = block[i]
            kept = np.float32(1.0) - limit[i] / max(c * c, TINY)
            block[i] = c * scale[i] * max(kept, floor)
        idct16(block, other)
        overlapped = sums[start : start + AREA]
        for i in range(AREA):
            overlapped[i] += weights[i] * other[i]
    for left in range(0, length, SIDE):
        turned = sums[left * SIDE : left * SIDE + AREA]
        turn(turned, block)
        idct16(turned, block)
        for row in range(SIDE):
            line, more = total[row, left : left + SIDE], block[row * SIDE : row * SIDE + SIDE]
            w = window[row]
            for i in range(0, SIDE, 4):
                a, b = line[i] + w * more[i], line[i + 1] + w * more[i + 1]
                c, d = line[i + 2] + w * more[i + 2], line[i + 3] + w * more[i + 3]
                line[i], line[i + 1], line[i + 2], line[i + 3] = a, b, c, d


def shrink_strips(planes, totals, step, limits, floors, scale, window, columns, sums):
    """shrink_strip of every plane and every strip in planes, totals [C, 16 + n step, L]."""
    for channel in range(planes.shape[0]):
        for top in range(0, planes.shape[1] - SIDE + 1, step):
            shrink_strip(
                planes[channel, top : top + SIDE],
                totals[channel, top : top + SIDE],
                step,
                limits[channel],
                floors[channel],
                scale,
                window,
                columns,
                sums,
            )
