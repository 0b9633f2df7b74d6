"""Sliding-window DCT shrinkage of a picture's planes, a strip of 16 rows at a time.

Planes are cut into tiles of 16 columns, each row by row: [C, L / 16, rows * 16], so that a strip's
part of a tile lies in one piece. L is a multiple of 16 and holds all blocks.

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
def copy_row(source, i, target, j):
    """16 values; four that are all read before they are written go at once."""
    for k in range(0, SIDE, 4):
        a, b, c, d = source[i + k], source[i + k + 1], source[i + k + 2], source[i + k + 3]
        target[j + k], target[j + k + 1], target[j + k + 2], target[j + k + 3] = a, b, c, d


def load_rows(image, planes, rows, columns, top, pad):
    """Padded rows from `top` on of [H, W * C] image into planes, mirrored.

    Of R, G, B the planes are (R + G + B) / sqrt(3), (R - B) / sqrt(2), (R - 2 G + B) / sqrt(6).
    """
    channels, tiles, size = planes.shape
    width = image.shape[1] // channels
    lines = np.empty((channels, tiles * SIDE), np.float32)
    third, half, sixth = np.float32(3**-0.5), np.float32(2**-0.5), np.float32(6**-0.5)
    for row in range(size // SIDE):
        source = image[rows[min(top + row, rows.size - 1)]]
        y0 = lines[0, pad : pad + width]
        if channels == 3:
            y1 = lines[1, pad : pad + width]
            y2 = lines[2, pad : pad + width]
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
            line = lines[c]
            for i in range(pad):
                line[i] = line[pad + columns[i]]
            for i in range(pad + width, line.size):
                line[i] = line[pad + columns[i]]
            for tile in range(tiles):
                copy_row(line, tile * SIDE, planes[c, tile], row * SIDE)


def unload_rows(totals, clean, pad):
    """The n rows of totals that are whole, to [n, W * C]; the rest moves up."""
    channels, tiles = totals.shape[:2]
    count = clean.shape[0]
    width = clean.shape[1] // channels
    lines = np.empty((channels, tiles * SIDE), np.float32)
    third, half, sixth = np.float32(3**-0.5), np.float32(2**-0.5), np.float32(6**-0.5)
    for row in range(count):
        for c in range(channels):
            line = lines[c]
            for tile in range(tiles):
                copy_row(totals[c, tile], row * SIDE, line, tile * SIDE)
        target = clean[row]
        y0 = lines[0, pad : pad + width]
        if channels == 3:
            y1 = lines[1, pad : pad + width]
            y2 = lines[2, pad : pad + width]
            for i in range(width):
                u, v, w = y0[i] * third, y1[i] * half, y2[i] * sixth
                target[3 * i] = u + v + w
                target[3 * i + 1] = u - w - w
                target[3 * i + 2] = u - v + w
        else:
            target[:] = y0
    for c in range(channels):
        for tile in range(tiles):
            totals[c, tile, : pad * SIDE] = totals[c, tile, count * SIDE :]
            totals[c, tile, pad * SIDE :] = 0


@inline
def shrink_strip(plane, total, top, step, limit, floor, scale, weights, scratch):
    """Add the shrunk blocks of the strip from row `top` on to `total`.

    plane, total: [L / 16, rows * 16] float32, tiles.
    limit, scale: [256] float32, as of shrink_tables; floor: least share kept; weights: [256], the
        window, each value 16 times.
    scratch: [32 L + 512] float32.
    """
    tiles = plane.shape[0]
    blocks = (tiles - 1) * SIDE // step + 1
    first, last = top * SIDE, top * SIDE + AREA
    columns, sums = scratch[: tiles * AREA], scratch[tiles * AREA : 2 * tiles * AREA]
    block = scratch[2 * tiles * AREA : (2 * tiles + 1) * AREA]
    other = scratch[(2 * tiles + 1) * AREA :]
    for tile in range(tiles):
        turned = columns[tile * AREA : tile * AREA + AREA]
        dct16(plane[tile, first:last], turned)
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
    for tile in range(tiles):
        turned = sums[tile * AREA : tile * AREA + AREA]
        turn(turned, block)
        idct16(turned, block)
        whole = total[tile, first:last]
        for i in range(AREA):
            whole[i] += weights[i] * block[i]


def shrink_strips(planes, totals, step, limits, floors, scale, weights, scratch):
    """shrink_strip of every strip in planes, totals [C, L / 16, (16 + n step) * 16]."""
    for channel in range(planes.shape[0]):
        for top in range(0, planes.shape[2] // SIDE - SIDE + 1, step):
            shrink_strip(
                planes[channel],
                totals[channel],
                top,
                step,
                limits[channel],
                floors[channel],
                scale,
                weights,
                scratch,
            )
