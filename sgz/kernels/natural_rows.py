"""The kernel of natural: rows of a picture, chunk by chunk."""

import numpy as np

from sgz.kernels.curve import ONE, ZERO, brighten, read_map

CHUNK = 512  # pixels worked on at a time: their buffers stay in the first-level cache


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
    held = -1
    for y in range(first, last):
        source = np.float32(y) * step
        top = int(source)
        w1 = source - np.float32(top)
        w0 = ONE - w1
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
                        target[j] = (ONE - v) * coarse[line, left, m] + v * coarse[line, right, m]
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
                    u = min(max(np.float32(source_row[3 * i]) - k0, ZERO) * s0, ONE)
                    v = min(max(np.float32(source_row[3 * i + 1]) - k1, ZERO) * s1, ONE)
                    w = min(max(np.float32(source_row[3 * i + 2]) - k2, ZERO) * s2, ONE)
                    x0[i] = u
                    x1[i] = v
                    x2[i] = w
                    g[i] = np.sqrt(max(u, max(v, w)))
            else:
                x0 = x[0]
                for i in range(n):
                    u = min(max(np.float32(source_row[i]) - black[0], ZERO) * gain[0], ONE)
                    x0[i] = u
                    g[i] = np.sqrt(u)
            for c in range(channels):
                if c < maps:
                    above = rows[0, c, start:], rows[1, c, start:]
                    below = rows[2, c, start:], rows[3, c, start:]
                    read_map(above, below, w0, w1, g, a, n)
                brighten(x[c], a, n, iterations)
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
