"""How yuv_natural takes noise out, step by step, over a chunk of n pixels, m samples of chroma."""

import numpy as np

from sgz.kernels.curve import ONE, THREE, TWO, ZERO, inline
from sgz.kernels.yuv_steps import CHUNK

TINY = np.float32(1e-6)


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
