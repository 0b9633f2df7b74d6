"""The steps of the kernels for YUV frames: maps enlarged, colours from YUV and back.

In all of them n is how many pixels a chunk of a row has, m how many samples of chroma.
"""

import numpy as np

from sgz.kernels.curve import ONE, ZERO, inline

CHUNK = 512  # pixels worked on at a time: a dozen buffers of 2 KiB stay in the first-level cache


@inline
def find_columns(step, most, left, right, weight):
    """Between which columns of the small map, most the last, each pixel of a row lies."""
    for i in range(left.shape[0]):
        place = np.float32(i) * step
        left[i] = int(place)
        right[i] = min(int(place) + 1, most)
        weight[i] = place - np.float32(left[i])


@inline
def hold_rows(maps, top, wide, held, left, right, weight):
    """Enlarge rows top and top + 1 of small maps along x; row k lies in slot k % 4 of `wide`.

    maps: a tuple of [M, h, w], whose rows lie one below the other in a slot.
    """
    for k in range(top, min(top + 2, maps[0].shape[1])):
        if held[k % 4] != k:
            held[k % 4] = k
            place = 0
            for small in maps:
                for c in range(small.shape[0]):
                    narrow, target = small[c, k], wide[k % 4, place + c]
                    for i in range(left.shape[0]):
                        value = narrow[left[i]]
                        target[i] = value + weight[i] * (narrow[right[i]] - value)
                place += small.shape[0]


@inline
def spread_chroma(codes, gray, unit, share, target, horizontal):
    """What a row of chroma adds to luma for one colour of each pixel."""
    if horizontal == 2:
        pairs = target.reshape(CHUNK // 2, 2)
        for j in range(codes.shape[0]):
            value = (np.float32(codes[j]) - gray) * unit * share
            pairs[j, 0] = value
            pairs[j, 1] = value
    else:
        for j in range(codes.shape[0]):
            target[j] = (np.float32(codes[j]) - gray) * unit * share


@inline
def mix_colours(dark, chroma, blacks, scales, luma, rgb, guide, n):
    """R, G and B in [0, 1], black subtracted, and the guide; luma: its black and unit."""
    black, unit = luma
    k0, k1, k2 = blacks
    s0, s1, s2 = scales
    r, g, b = rgb[0], rgb[1], rgb[2]
    r0, g0, b0 = chroma[0], chroma[1], chroma[2]
    for i in range(n):
        value = (dark[i] - black) * unit
        u = min(max((value + r0[i] - k0) * s0, ZERO), ONE)
        v = min(max((value + g0[i] - k1) * s1, ZERO), ONE)
        w = min(max((value + b0[i] - k2) * s2, ZERO), ONE)
        r[i] = u
        g[i] = v
        b[i] = w
        guide[i] = np.sqrt(max(u, max(v, w)))


@inline
def split_luma(rgb, shares, luma_step, black, sums, new, n):
    """Luma in codes; B - Y and R - Y are added to what the row above gave."""
    red_share, green_share, blue_share = shares
    r, g, b = rgb[0], rgb[1], rgb[2]
    blue_less, red_less = sums[0], sums[1]
    for i in range(n):
        value = red_share * r[i] + green_share * g[i] + blue_share * b[i]
        blue_less[i] += b[i] - value
        red_less[i] += r[i] - value
        new[i] = value * luma_step + black


@inline
def to_samples(sums, cells, parts, n, m, horizontal):
    """Sums of pixels -> of the samples of chroma that they lie in."""
    if horizontal == 2:
        for c in range(parts):
            if n % 2:  # an odd last column counts as two alike
                sums[c, n] = sums[c, n - 1]
            pairs, sample = sums[c].reshape(CHUNK // 2, 2), cells[c]
            for j in range(m):
                sample[j] = pairs[j, 0] + pairs[j, 1]
    else:
        for c in range(parts):
            cells[c, :m] = sums[c, :m]
