"""The steps of yuv_natural's plan, each over a chunk of a row.

In all of them n is how many pixels the chunk has, m how many samples of chroma.
"""

import numpy as np
from numba.extending import register_jitable

from sgz.kernels.compile import FAST
from sgz.kernels.yuv import CHUNK

ZERO, HALF, ONE, TWO, THREE = (np.float32(value) for value in (0, 0.5, 1, 2, 3))
TINY = np.float32(1e-6)

inline = register_jitable(fastmath=FAST, error_model="numpy")


# --- the map


@inline
def find_columns(step, most, left, right, weight):
    """Between which columns of the small map, most the last, each pixel of a row lies."""
    for i in range(left.shape[0]):
        place = np.float32(i) * step
        left[i] = int(place)
        right[i] = min(int(place) + 1, most)
        weight[i] = place - np.float32(left[i])


@inline
def hold_rows(slope, offset, top, wide, held, left, right, weight):
    """Enlarge the map's rows top and top + 1 along x; row k lies in slot k % 4 of `wide`."""
    maps = slope.shape[0]
    for k in range(top, min(top + 2, slope.shape[1])):
        if held[k % 4] != k:
            held[k % 4] = k
            for c in range(2 * maps):
                narrow = slope[c, k] if c < maps else offset[c - maps, k]
                target = wide[k % 4, c]
                for i in range(left.shape[0]):
                    value = narrow[left[i]]
                    target[i] = value + weight[i] * (narrow[right[i]] - value)


@inline
def read_map(upper, lower, w0, w1, guide, a, n):
    """A = a g + b of a chunk, from (a, b) of the rows above and below it."""
    above_a, above_b = upper
    below_a, below_b = lower
    for i in range(n):
        value = (w0 * above_a[i] + w1 * below_a[i]) * guide[i]
        value += w0 * above_b[i] + w1 * below_b[i]
        a[i] = min(max(value, -ONE), ONE)


# --- the curve


@inline
def brighten(x, a, n, iterations):
    """x <- x + A (x^2 - x), so many times."""
    for _ in range(iterations // 4):  # four at a time stay in registers
        for i in range(n):
            value = x[i]
            value += a[i] * (value * value - value)
            value += a[i] * (value * value - value)
            value += a[i] * (value * value - value)
            x[i] = value + a[i] * (value * value - value)
    for _ in range(iterations % 4):
        for i in range(n):
            x[i] += a[i] * (x[i] * x[i] - x[i])


@inline
def brighten_noise(x, a, gain, n, iterations):
    """The same, and gain <- gain prod (1 + A (2 x - 1))."""
    for _ in range(iterations // 2):  # two at a time stay in registers
        for i in range(n):
            value, times = x[i], gain[i]
            times *= ONE + a[i] * (TWO * value - ONE)
            value += a[i] * (value * value - value)
            gain[i] = times * (ONE + a[i] * (TWO * value - ONE))
            x[i] = value + a[i] * (value * value - value)
    for _ in range(iterations % 2):
        for i in range(n):
            gain[i] *= ONE + a[i] * (TWO * x[i] - ONE)
            x[i] += a[i] * (x[i] * x[i] - x[i])


# --- colours


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


# --- noise


@inline
def smooth_luma(
    source, y, row_step, start, noise_of, reach, near, spread, total, deviation, dark, n
):
    """Step 1 of the plan: luma of row y into `dark`, the noise at its codes into `deviation`.

    near: [5, n + 4], the rows around. spread, total: scratch. reach: 1 / RANGE^2.
    """
    height, width = source.shape
    for k in range(5):
        y_near = y + (k - 2) * row_step
        if y_near < 0 or y_near >= height:
            y_near = y
        came, target = source[y_near, start : start + n], near[k, 2:]
        for i in range(n):
            target[i] = came[i]
        for i in range(2):
            near[k, i] = source[y_near, max(start + i - 2, 0)]
            near[k, n + 2 + i] = source[y_near, min(start + n + i, width - 1)]
    came, middle = source[y, start : start + n], near[2, 2:]
    for i in range(n):
        deviation[i] = noise_of[came[i]]
    for i in range(n):
        spread[i] = reach / (deviation[i] * deviation[i] + TINY)
    dark[:n] = ZERO
    total[:n] = ONE
    for k in range(5):
        side = 2 - abs(k - 2)
        for s in range(2 - side, 3 + side):
            beside = near[k, s:]
            for i in range(n):
                more = beside[i] - middle[i]
                w = max(ONE - more * more * spread[i], ZERO)
                dark[i] += w * more
                total[i] += w
    for i in range(n):  # the pixel itself was counted twice
        dark[i] = middle[i] + dark[i] / (total[i] - ONE)


@inline
def add_changes(new, then, fine, gain, deviation, sums, old, n):
    """The frame before into `old`; gain, change, squared change and noise added to sums[2:]."""
    gains, change, square, noises = sums[2], sums[3], sums[4], sums[5]
    for i in range(n):
        old[i] = np.float32(then[i]) * fine
    for i in range(n):
        change[i] += new[i] - old[i]
    for i in range(n):
        square[i] += (new[i] - old[i]) * (new[i] - old[i])
    for i in range(n):
        gains[i] += gain[i]
    for i in range(n):
        noises[i] += gain[i] * deviation[i]


@inline
def add_neighbours(sample, run, m):
    """Each sample and the two beside it."""
    here, after, middle = sample[1:], sample[2:], run[1:]
    for j in range(m - 2):
        middle[j] = sample[j] + here[j] + after[j]
    run[0] = TWO * sample[0] + sample[min(1, m - 1)]
    run[m - 1] = sample[max(m - 2, 0)] + TWO * sample[m - 1]


@inline
def weigh(runs, all_of, chroma_noise, blend, limits, shows, reach, kept, rest, strict, likely, m):
    """Step 4's weights: w into `kept`, what is left for space into `rest`.

    runs: sums over `all_of` pixels. strict: 1 / squared range of step 5.
    """
    most, mean_limit, square_limit, chroma_limit = limits
    least_shown, shown_slope = shows
    mean_unit, square_unit = ONE / (all_of * mean_limit), ONE / (all_of * square_limit)
    hue_unit = ONE / (THREE * TWO * chroma_limit)
    unmended = ONE / most
    u, v, gains, change, square, noises = runs[0], runs[1], runs[2], runs[3], runs[4], runs[5]
    for j in range(m):
        noise = noises[j] / all_of
        value = max(change[j] * change[j] * mean_unit, square[j] * square_unit)
        likely[j] = value / (noise * noise + TINY)
    for j in range(m):
        noise = gains[j] * chroma_noise / all_of
        strict[j] = ONE / (noise * noise + TINY)
    for j in range(m):
        value = u[j] * u[j] + v[j] * v[j]
        likely[j] = max(likely[j], value * hue_unit * strict[j])
    for j in range(m):
        shown = min(max((noises[j] / all_of - least_shown) * shown_slope, ZERO), ONE)
        kept[j] = blend * min(max(TWO - TWO * likely[j], ZERO), ONE) * shown
        noises[j] = shown
    for j in range(m):
        rest[j] = noises[j] - kept[j] * unmended
        strict[j] *= reach


@inline
def smooth_chroma(hue, strict, rest, cells, m):
    """Step 5: what the samples beside would add to U and V, into cells[2] and cells[3]."""
    u_new, v_new = hue[0], hue[1]
    u_more, v_more, weights, share = cells[2], cells[3], cells[4], cells[5]
    u_more[:m] = ZERO
    v_more[:m] = ZERO
    weights[:m] = ONE
    u_here, v_here, strict_here = u_new[3:], v_new[3:], strict[3:]
    u_sum, v_sum, all_shares = u_more[3:], v_more[3:], weights[3:]
    for k in range(7):  # the sample itself adds nothing to what it differs by
        u_beside, v_beside = u_new[k:], v_new[k:]
        for j in range(m - 6):
            u, v = u_beside[j] - u_here[j], v_beside[j] - v_here[j]
            share[j] = max(ONE - (u * u + v * v) * strict_here[j], ZERO)
        for j in range(m - 6):
            u_sum[j] += share[j] * (u_beside[j] - u_here[j])
        for j in range(m - 6):
            v_sum[j] += share[j] * (v_beside[j] - v_here[j])
        for j in range(m - 6):
            all_shares[j] += share[j]
    for j in range(m):
        rest[j] /= max(weights[j] - ONE, ONE)


@inline
def mix_chroma(new, more, change, kept, rest, m):
    """Chroma smoothed in space and mixed with the frame before, which it differs from by change."""
    for j in range(m):
        value = rest[j] * more[j]
        new[j] += value - kept[j] * (change[j] + value)


@inline
def mix_luma(new, old, kept, n, m, horizontal):
    """Luma mixed with the frame before."""
    if horizontal == 2:
        if n % 2:
            new[n] = new[n - 1]
            old[n] = old[n - 1]
        new_pairs, old_pairs = new.reshape(CHUNK // 2, 2), old.reshape(CHUNK // 2, 2)
        for j in range(m):
            w = kept[j]
            new_pairs[j, 0] += w * (old_pairs[j, 0] - new_pairs[j, 0])
            new_pairs[j, 1] += w * (old_pairs[j, 1] - new_pairs[j, 1])
    else:
        for i in range(n):
            new[i] += kept[i] * (old[i] - new[i])
