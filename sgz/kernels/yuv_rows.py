"""The kernels of yuv and yuv_natural: their steps, chunk by chunk and row by row."""

import numpy as np

from sgz.kernels.curve import HALF, ONE, THREE, TWO, ZERO, brighten, brighten_noise, read_map
from sgz.kernels.yuv_noise import (
    add_changes,
    add_neighbours,
    mix_chroma,
    mix_luma,
    smooth_chroma,
    smooth_luma,
    weigh,
)
from sgz.kernels.yuv_steps import (
    CHUNK,
    find_columns,
    hold_rows,
    mix_colours,
    split_luma,
    spread_chroma,
    to_samples,
)


def curve_rows(luma, blue, red, factor, shape, numbers, peak, iterations, first, last):
    """Chroma rows first to last with the pixel rows they serve; see yuv.apply_factor."""
    height, width, horizontal, vertical, weave = shape
    black, luma_step, gray, chroma_step, red_share, blue_share, step_down, step_right = numbers
    green_share = ONE - red_share - blue_share
    red_of_v, blue_of_u = TWO * (ONE - red_share), TWO * (ONE - blue_share)
    small_height, small_width = factor.shape[1:]
    wide = np.empty((4, 3, width), np.float32)
    held = np.full(4, -1)
    left, right = np.empty(width, np.uint32), np.empty(width, np.uint32)
    weight = np.empty(width, np.float32)
    find_columns(step_right, small_width - 1, left, right, weight)
    chroma, rgb = np.empty((3, CHUNK), np.float32), np.empty((3, CHUNK), np.float32)
    # B - Y and R - Y, summed over the rows; then by chroma sample.
    sums, cells = np.empty((2, CHUNK), np.float32), np.empty((2, CHUNK), np.float32)
    a = np.empty(CHUNK, np.float32)
    luma_unit, chroma_unit = ONE / luma_step, ONE / chroma_step
    row_step = 2 if weave else 1
    for line in range(first, last):
        start_row = (line >> 1) * 4 + (line & 1) if weave else line * vertical
        rows = min(vertical, height - start_row)
        for row in range(rows):
            top = int(np.float32(start_row + row * row_step) * step_down)
            hold_rows((factor,), top, wide, held, left, right, weight)
        for start in range(0, width, CHUNK):
            n = min(CHUNK, width - start)
            m = (n + horizontal - 1) // horizontal
            place = start // horizontal
            blues, reds = blue[line, place : place + m], red[line, place : place + m]
            spread_chroma(reds, gray, chroma_unit, red_of_v, chroma[0], horizontal)
            spread_chroma(blues, gray, chroma_unit, blue_of_u, chroma[2], horizontal)
            for i in range(n):
                chroma[1, i] = -(red_share * chroma[0, i] + blue_share * chroma[2, i]) / green_share
            sums[:, :n] = ZERO
            for row in range(rows):
                y = start_row + row * row_step
                down = np.float32(y) * step_down
                top = int(down)
                w1 = down - np.float32(top)
                w0 = ONE - w1
                upper, lower = wide[top % 4], wide[min(top + 1, small_height - 1) % 4]
                lumas = luma[y, start : start + n]
                for c in range(3):
                    x, added = rgb[c], chroma[c]
                    above, below = upper[c, start : start + n], lower[c, start : start + n]
                    for i in range(n):
                        value = (np.float32(lumas[i]) - black) * luma_unit + added[i]
                        x[i] = min(max(value, ZERO), ONE)
                        a[i] = w0 * above[i] + w1 * below[i]
                    brighten(x, a, n, iterations)
                for i in range(n):
                    a[i] = red_share * rgb[0, i] + green_share * rgb[1, i] + blue_share * rgb[2, i]
                for i in range(n):
                    lumas[i] = a[i] * luma_step + black + HALF
                for i in range(n):
                    sums[0, i] += rgb[2, i] - a[i]
                    sums[1, i] += rgb[0, i] - a[i]
            to_samples(sums, cells, 2, n, m, horizontal)
            count = np.float32(rows * horizontal)
            blue_unit = chroma_step / (blue_of_u * count)
            red_unit = chroma_step / (red_of_v * count)
            for j in range(m):
                blues[j] = min(cells[0, j] * blue_unit + gray + HALF, peak)
                reds[j] = min(cells[1, j] * red_unit + gray + HALF, peak)


def natural_rows(
    luma, blue, red, source, old_luma, old_blue, old_red, slope, offset, noise_of, shape, numbers,
    peak, iterations, first, last,
):  # fmt: skip
    """Chroma rows first to last with the pixel rows they serve; see yuv_natural's plan.

    shape: height, width, subsampling, weave, and what is done with the frame before: 0 nothing,
    1 it is only written, 2 it is read as well.
    """
    height, width, horizontal, vertical, weave, recursion = shape
    black, luma_step, gray, chroma_step = numbers[0], numbers[1], numbers[2], numbers[3]
    red_share, blue_share, step_down = numbers[4], numbers[5], numbers[6]
    chroma_noise, unit = numbers[8], numbers[9]
    blacks = numbers[10], numbers[11], numbers[12]
    limits = numbers[13], numbers[14], numbers[15], numbers[16]
    reach, shows = ONE / (numbers[17] * numbers[17]), (numbers[18], numbers[19])
    blend = numbers[13] if recursion == 2 else ZERO
    scales = ONE / (ONE - blacks[0]), ONE / (ONE - blacks[1]), ONE / (ONE - blacks[2])
    shares = red_share, ONE - red_share - blue_share, blue_share
    red_of_v, blue_of_u = TWO * (ONE - red_share), TWO * (ONE - blue_share)
    luma_unit, chroma_unit, fine = ONE / luma_step, ONE / chroma_step, ONE / unit
    maps, small_height, small_width = slope.shape
    wide = np.empty((4, 2 * maps, width), np.float32)
    held = np.full(4, -1)
    left, right = np.empty(width, np.uint32), np.empty(width, np.uint32)
    weight = np.empty(width, np.float32)
    find_columns(numbers[7], small_width - 1, left, right, weight)
    near = np.empty((5, CHUNK + 4), np.float32)  # luma as it came, two pixels around the chunk
    chroma, rgb = np.empty((3, CHUNK), np.float32), np.empty((3, CHUNK), np.float32)
    dark, guide, a = (
        np.empty(CHUNK, np.float32),
        np.empty(CHUNK, np.float32),
        np.empty(CHUNK, np.float32),
    )
    deviation, gain = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.float32)
    spread, total = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.float32)
    bright = np.empty((2, CHUNK), np.float32)  # luma of the one or two rows, in codes
    past = np.empty((2, CHUNK), np.float32)  # the same of the frame before
    # B - Y, R - Y, gain, change, squared change and noise, summed over rows; then by chroma sample,
    # then with the samples beside.
    sums, cells = np.empty((6, CHUNK), np.float32), np.empty((6, CHUNK), np.float32)
    runs, hue = np.empty((6, CHUNK), np.float32), np.empty((2, CHUNK), np.float32)
    kept, rest = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.float32)
    strict, likely = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.float32)
    parts = 6 if recursion else 2
    row_step = 2 if weave else 1
    for line in range(first, last):
        start_row = (line >> 1) * 4 + (line & 1) if weave else line * vertical
        rows = min(vertical, height - start_row)
        for row in range(rows):
            top = int(np.float32(start_row + row * row_step) * step_down)
            hold_rows((slope, offset), top, wide, held, left, right, weight)
        for start in range(0, width, CHUNK):
            n = min(CHUNK, width - start)
            m = (n + horizontal - 1) // horizontal
            place = start // horizontal
            blues, reds = blue[line, place : place + m], red[line, place : place + m]
            spread_chroma(reds, gray, chroma_unit, red_of_v, chroma[0], horizontal)
            spread_chroma(blues, gray, chroma_unit, blue_of_u, chroma[2], horizontal)
            for i in range(n):
                chroma[1, i] = -(red_share * chroma[0, i] + blue_share * chroma[2, i]) / shares[1]
            sums[:, : n + n % 2] = ZERO
            for row in range(rows):
                y = start_row + row * row_step
                down = np.float32(y) * step_down
                top = int(down)
                w1 = down - np.float32(top)
                w0 = ONE - w1
                upper, lower = wide[top % 4], wide[min(top + 1, small_height - 1) % 4]
                if recursion:
                    smooth_luma(
                        source, y, row_step, start, noise_of, reach, near, spread, total,
                        deviation, dark, n,
                    )  # fmt: skip
                else:
                    came = source[y, start : start + n]
                    for i in range(n):
                        dark[i] = came[i]
                mix_colours(dark, chroma, blacks, scales, (black, luma_unit), rgb, guide, n)
                for c in range(3):
                    if c < maps:
                        above = upper[c, start:], upper[c + maps, start:]
                        below = lower[c, start:], lower[c + maps, start:]
                        read_map(above, below, w0, w1, guide, a, n)
                    if c == 1 and recursion:
                        gain[:n] = scales[1]
                        brighten_noise(rgb[c], a, gain, n, iterations)
                    else:
                        brighten(rgb[c], a, n, iterations)
                split_luma(rgb, shares, luma_step, black, sums, bright[row], n)
                if recursion:
                    then = old_luma[y, start : start + n]
                    add_changes(bright[row], then, fine, gain, deviation, sums, past[row], n)
            to_samples(sums, cells, parts, n, m, horizontal)
            count = np.float32(rows * horizontal)
            blue_unit = chroma_step / (blue_of_u * count)
            red_unit = chroma_step / (red_of_v * count)
            for j in range(m):
                hue[0, j] = cells[0, j] * blue_unit + gray
                hue[1, j] = cells[1, j] * red_unit + gray
            if recursion:
                then_blue = old_blue[line, place : place + m]
                then_red = old_red[line, place : place + m]
                for j in range(m):
                    cells[0, j] = hue[0, j] - np.float32(then_blue[j]) * fine
                    cells[1, j] = hue[1, j] - np.float32(then_red[j]) * fine
                for c in range(parts):
                    add_neighbours(cells[c], runs[c], m)
                weigh(
                    runs, THREE * count, chroma_noise, blend, limits, shows, reach, kept, rest,
                    strict, likely, m,
                )  # fmt: skip
                smooth_chroma(hue, strict, rest, cells, m)
                for c in range(2):
                    mix_chroma(hue[c], cells[2 + c], cells[c], kept, rest, m)
                for row in range(rows):
                    mix_luma(bright[row], past[row], kept, n, m, horizontal)
                for j in range(m):
                    then_blue[j] = min(hue[0, j], peak) * unit + HALF
                    then_red[j] = min(hue[1, j], peak) * unit + HALF
            for j in range(m):
                blues[j] = min(hue[0, j] + HALF, peak)
                reds[j] = min(hue[1, j] + HALF, peak)
            for row in range(rows):
                y, new = start_row + row * row_step, bright[row]
                lumas = luma[y, start : start + n]
                for i in range(n):
                    lumas[i] = new[i] + HALF
                if recursion:
                    then = old_luma[y, start : start + n]
                    for i in range(n):
                        then[i] = new[i] * unit + HALF
