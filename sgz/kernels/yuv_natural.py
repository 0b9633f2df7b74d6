"""The natural look on a video frame's own planes, in place, with noise taken out over time.

The plan, for each chroma row and the one or two rows of pixels it serves, 512 pixels at a time:
1. each pixel's R, G and B, black subtracted; its guide g = sqrt(largest); its A = a g + b, with
   a and b enlarged from the small map; eight steps x <- x + A (x^2 - x); and, for green, how much
   the curve multiplies noise, dy/dx = prod (1 + A (2 x - 1));
2. back to luma, and to chroma by the mean of a sample's pixels;
3. for each chroma sample: the frame before, as it was written, differs by a mean and by a mean
   square over the sample's and its two neighbours' pixels (6x2 of them in 4:2:0). Where both, and
   chroma's, are what the multiplied noise explains, out = y + w (before - y); w falls to 0 as they
   exceed it. So a moving edge is never mixed with what was there, and leaves no trail;
4. before that, chroma that time will not mend is smoothed over seven samples of its row as far as
   they differ by no more than the noise explains (a bilateral filter, its range a parabola).

What was written is kept in 16 bits, so that steps smaller than a level are not lost in w. Rows of
one field meet rows of one field alone.
"""

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sgz.kernels.compile import FAST, compile_kernel
from sgz.kernels.yuv import CHUNK, Planes
from sgz.threads import share_out

MOST = 0.82  # largest w: noise falls to sqrt((1 - w) / (1 + w)), a third
# What the noise may explain, in its own variances: of a mean over 12 pixels, whose noise codecs
# have made alike; of a mean square; of chroma's mean.
LIKELY = (25.0, 6.0, 15.0)
RANGE = 3.0  # of the smoothing in space, in deviations of the noise


@dataclass
class Memory:
    """The frame before, as it was written: Y, U and V in 16 bits, the highest unused.

    fresh: nothing is in it yet, or it is of another scene.
    """

    planes: tuple[np.ndarray, np.ndarray, np.ndarray]
    fresh: bool = True

    @classmethod
    def of(cls, planes: Planes) -> "Memory":
        """An empty one for frames of this make."""
        return cls(tuple(np.zeros(plane.shape, np.uint16) for plane in planes.arrays))


@dataclass(frozen=True)
class Recipe:
    """What a frame is given.

    black: [3] float32, R, G and B in [0, 1]. slope, offset: [M, h, w] float32, the guided map; M is
    1 or 3. noise: standard deviations of luma and chroma, in codes of the frame; 0 and 0 leave
    noise as it is.
    """

    black: np.ndarray
    slope: np.ndarray
    offset: np.ndarray
    noise: tuple[float, float] = (0.0, 0.0)


def apply_recipe(
    planes: Planes,
    recipe: Recipe,
    scale: int,
    iterations: int = 8,
    memory: Memory | None = None,
    pool: Executor | None = None,
    bands: int = 1,
) -> None:
    """Enhance a frame in place.

    Args:
        memory: of the frame before; is written. None takes no noise out.
        pool, bands: the rows are cut into so many bands and given to the pool.

    Raises:
        ValueError: the maps do not fit the frame.
    """
    expected = (-(-planes.height // scale), -(-planes.width // scale))
    if recipe.slope.shape[1:] != expected or recipe.offset.shape != recipe.slope.shape:
        raise ValueError(f"the map is {recipe.slope.shape[1:]}, expected {expected} for this frame")
    maps = [np.ascontiguousarray(part, np.float32) for part in (recipe.slope, recipe.offset)]
    steps = [(n - 1) / max(n * scale - 1, 1) for n in expected]
    unit = 2.0 ** (15 - planes.bits)
    numbers = (*planes.levels(), *planes.shares, *steps, *recipe.noise, unit)
    numbers = np.array((*numbers, *recipe.black, MOST, *LIKELY, RANGE), np.float32)
    recursion = 0
    if memory is not None and any(recipe.noise):
        recursion = 1 if memory.fresh else 2
        memory.fresh = False
    shape = (planes.height, planes.width, *planes.subsampling, int(planes.weave()), recursion)
    before = memory.planes if recursion else (np.zeros((1, 1), np.uint16),) * 3
    peak = np.float32((1 << planes.bits) - 1)
    kernel = compiled(planes.arrays[0].dtype)

    def work(first: int, last: int) -> None:
        kernel(*planes.arrays, *before, *maps, shape, numbers, peak, iterations, first, last)

    share_out(work, -(-planes.height // planes.subsampling[1]), pool, bands)


@lru_cache(maxsize=2)
def compiled(dtype: np.dtype):
    """The kernel for uint8 or uint16 planes, from numba's cache where that can be written."""
    import numba

    pixel, real, whole = numba.from_dtype(dtype), numba.float32, numba.int64
    planes = [pixel[:, ::1]] * 3 + [numba.uint16[:, ::1]] * 3
    maps = [real[:, :, ::1]] * 2
    shape = numba.types.UniTuple(whole, 6)
    signature = numba.void(*planes, *maps, shape, real[::1], real, whole, whole, whole)
    return compile_kernel(natural_rows, signature, fastmath=FAST)


def natural_rows(
    luma, blue, red, old_luma, old_blue, old_red, slope, offset, shape, numbers, peak, iterations,
    first, last,
):  # fmt: skip
    """Chroma rows first to last with the pixel rows they serve; see the module's plan.

    shape: height, width, subsampling, weave, and what is done with the frame before: 0 nothing,
    1 it is only written, 2 it is read as well.
    """
    height, width, horizontal, vertical, weave, recursion = shape
    black, luma_step, gray, chroma_step = numbers[0], numbers[1], numbers[2], numbers[3]
    red_share, blue_share, step_down, step_right = numbers[4], numbers[5], numbers[6], numbers[7]
    luma_noise, chroma_noise, unit = numbers[8], numbers[9], numbers[10]
    k0, k1, k2 = numbers[11], numbers[12], numbers[13]
    most, mean_limit, square_limit, chroma_limit = (
        numbers[14],
        numbers[15],
        numbers[16],
        numbers[17],
    )
    half, one, zero, two = np.float32(0.5), np.float32(1), np.float32(0), np.float32(2)
    three, tiny = np.float32(3), np.float32(1e-6)
    reach = one / (numbers[18] * numbers[18])
    blend = most if recursion == 2 else zero
    unmended = one / most
    s0, s1, s2 = one / (one - k0), one / (one - k1), one / (one - k2)
    green_share = one - red_share - blue_share
    red_of_v, blue_of_u = two * (one - red_share), two * (one - blue_share)
    maps, small_height, small_width = slope.shape
    wide = np.empty((4, 2 * maps, width), np.float32)  # map row k along x lies in slot k % 4
    held = np.full(4, -1)
    left, right = np.empty(width, np.uint32), np.empty(width, np.uint32)  # columns of the map
    weight = np.empty(width, np.float32)
    for i in range(width):
        place = np.float32(i) * step_right
        left[i] = int(place)
        right[i] = min(int(place) + 1, small_width - 1)
        weight[i] = place - np.float32(left[i])
    chroma = np.empty((3, CHUNK), np.float32)  # what chroma adds to luma for R, G and B
    rgb = np.empty((3, CHUNK), np.float32)
    guide, a = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.float32)
    gain = np.empty(CHUNK, np.float32)  # by which the curve multiplies green's noise
    bright = np.empty((2, CHUNK), np.float32)  # luma of the one or two rows, in codes
    past = np.empty((2, CHUNK), np.float32)  # the same of the frame before
    # B - Y, R - Y, gain, change and squared change, summed over rows; then by chroma sample.
    sums, cells = np.empty((5, CHUNK), np.float32), np.empty((5, CHUNK), np.float32)
    hue = np.empty((2, CHUNK), np.float32)  # chroma in codes
    kept = np.empty(CHUNK, np.float32)  # w of each sample
    strict = np.empty(CHUNK, np.float32)  # 1 / squared range of its chroma's smoothing
    red_pairs = chroma[0].reshape(CHUNK // 2, 2)
    blue_pairs = chroma[2].reshape(CHUNK // 2, 2)
    sum_pairs = sums.reshape(5, CHUNK // 2, 2)
    bright_pairs, past_pairs = bright.reshape(2, CHUNK // 2, 2), past.reshape(2, CHUNK // 2, 2)
    luma_unit, chroma_unit, fine = one / luma_step, one / chroma_step, one / unit
    parts = 5 if recursion else 2
    for line in range(first, last):
        start_row = (line >> 1) * 4 + (line & 1) if weave else line * vertical
        row_step = 2 if weave else 1
        rows = min(vertical, height - start_row)
        for row in range(rows):
            top = int(np.float32(start_row + row * row_step) * step_down)
            for k in range(top, min(top + 2, small_height)):
                if held[k % 4] != k:
                    held[k % 4] = k
                    for c in range(2 * maps):
                        narrow = slope[c, k] if c < maps else offset[c - maps, k]
                        target = wide[k % 4, c]
                        for i in range(width):
                            value = narrow[left[i]]
                            target[i] = value + weight[i] * (narrow[right[i]] - value)
        for start in range(0, width, CHUNK):
            n = min(CHUNK, width - start)
            m = (n + horizontal - 1) // horizontal
            place = start // horizontal
            blues, reds = blue[line, place : place + m], red[line, place : place + m]
            if horizontal == 2:
                for j in range(m):
                    value = (np.float32(reds[j]) - gray) * chroma_unit * red_of_v
                    red_pairs[j, 0] = value
                    red_pairs[j, 1] = value
                for j in range(m):
                    value = (np.float32(blues[j]) - gray) * chroma_unit * blue_of_u
                    blue_pairs[j, 0] = value
                    blue_pairs[j, 1] = value
            else:
                for j in range(m):
                    chroma[0, j] = (np.float32(reds[j]) - gray) * chroma_unit * red_of_v
                    chroma[2, j] = (np.float32(blues[j]) - gray) * chroma_unit * blue_of_u
            for i in range(n):
                chroma[1, i] = -(red_share * chroma[0, i] + blue_share * chroma[2, i]) / green_share
            sums[:, : n + n % 2] = zero
            for row in range(rows):
                y = start_row + row * row_step
                source = np.float32(y) * step_down
                top = int(source)
                w1 = source - np.float32(top)
                w0 = one - w1
                upper, lower = wide[top % 4], wide[min(top + 1, small_height - 1) % 4]
                lumas = luma[y, start : start + n]
                r, g, b = rgb[0], rgb[1], rgb[2]
                r0, g0, b0 = chroma[0], chroma[1], chroma[2]
                for i in range(n):
                    value = (np.float32(lumas[i]) - black) * luma_unit
                    u = min(max((value + r0[i] - k0) * s0, zero), one)
                    v = min(max((value + g0[i] - k1) * s1, zero), one)
                    w = min(max((value + b0[i] - k2) * s2, zero), one)
                    r[i] = u
                    g[i] = v
                    b[i] = w
                    guide[i] = np.sqrt(max(u, max(v, w)))
                for c in range(3):
                    x = rgb[c]
                    if c < maps:
                        above_a, above_b = upper[c, start:], upper[c + maps, start:]
                        below_a, below_b = lower[c, start:], lower[c + maps, start:]
                        for i in range(n):
                            value = (w0 * above_a[i] + w1 * below_a[i]) * guide[i]
                            value += w0 * above_b[i] + w1 * below_b[i]
                            a[i] = min(max(value, -one), one)
                    if c == 1 and recursion:
                        for i in range(n):
                            value, times = x[i], s1
                            for _ in range(iterations):
                                times *= one + a[i] * (two * value - one)
                                value += a[i] * (value * value - value)
                            x[i] = value
                            gain[i] = times
                    else:
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
                new, blue_less, red_less = bright[row], sums[0], sums[1]
                for i in range(n):
                    value = red_share * r[i] + green_share * g[i] + blue_share * b[i]
                    blue_less[i] += b[i] - value
                    red_less[i] += r[i] - value
                    new[i] = value * luma_step + black
                if recursion:
                    old, then = past[row], old_luma[y, start : start + n]
                    gains, change, square = sums[2], sums[3], sums[4]
                    for i in range(n):
                        was = np.float32(then[i]) * fine
                        old[i] = was
                        value = new[i] - was
                        gains[i] += gain[i]
                        change[i] += value
                        square[i] += value * value
            if horizontal == 2:
                if n % 2:  # an odd last column counts as two alike
                    sums[:, n] = sums[:, n - 1]
                    bright[:, n] = bright[:, n - 1]
                    past[:, n] = past[:, n - 1]
                for c in range(parts):
                    pairs, total = sum_pairs[c], cells[c]
                    for j in range(m):
                        total[j] = pairs[j, 0] + pairs[j, 1]
            else:
                for c in range(parts):
                    cells[c, :m] = sums[c, :m]
            count = np.float32(rows * horizontal)
            blue_unit = chroma_step / (blue_of_u * count)
            red_unit = chroma_step / (red_of_v * count)
            u_new, v_new = hue[0], hue[1]
            for j in range(m):
                u_new[j] = cells[0, j] * blue_unit + gray
                v_new[j] = cells[1, j] * red_unit + gray
            if recursion:
                then_blue = old_blue[line, place : place + m]
                then_red = old_red[line, place : place + m]
                du, dv, gains, change, square = cells[0], cells[1], cells[2], cells[3], cells[4]
                for j in range(m):
                    du[j] = u_new[j] - np.float32(then_blue[j]) * fine
                    dv[j] = v_new[j] - np.float32(then_red[j]) * fine
                all_of = three * count
                mean_unit, square_unit = one / (all_of * mean_limit), one / (all_of * square_limit)
                hue_unit = one / (three * two * chroma_limit)
                for j in range(m):
                    p, q = max(j - 1, 0), min(j + 1, m - 1)
                    level = (gains[p] + gains[j] + gains[q]) / all_of
                    noise = level * luma_noise
                    value = change[p] + change[j] + change[q]
                    likely = value * value * mean_unit
                    value = square[p] + square[j] + square[q]
                    spread = one / (noise * noise + tiny)
                    likely = max(likely, value * square_unit) * spread
                    noise = level * chroma_noise
                    u, v = du[p] + du[j] + du[q], dv[p] + dv[j] + dv[q]
                    spread = one / (noise * noise + tiny)
                    likely = max(likely, (u * u + v * v) * hue_unit * spread)
                    strict[j] = spread * reach
                    amplified = min(max(level - one, zero), one)
                    kept[j] = blend * min(max(two - two * likely, zero), one) * amplified
                    change[j] = amplified - kept[j] * unmended
                u_more, v_more = cells[2], cells[4]
                u_more[:m] = zero
                v_more[:m] = zero
                for j in range(3, m - 3):
                    u, v, noise = u_new[j], v_new[j], strict[j]
                    u_sum, v_sum, total = zero, zero, one
                    for k in (-3, -2, -1, 1, 2, 3):
                        right_u, right_v = u_new[j + k] - u, v_new[j + k] - v
                        w = max(one - (right_u * right_u + right_v * right_v) * noise, zero)
                        u_sum += w * right_u
                        v_sum += w * right_v
                        total += w
                    u_more[j] = change[j] * u_sum / total
                    v_more[j] = change[j] * v_sum / total
                for j in range(m):
                    du[j] += u_more[j]
                    dv[j] += v_more[j]
                    u_new[j] += u_more[j] - kept[j] * du[j]
                    v_new[j] += v_more[j] - kept[j] * dv[j]
                for row in range(rows):
                    if horizontal == 2:
                        new_pairs, old_pairs = bright_pairs[row], past_pairs[row]
                        for j in range(m):
                            w = kept[j]
                            new_pairs[j, 0] += w * (old_pairs[j, 0] - new_pairs[j, 0])
                            new_pairs[j, 1] += w * (old_pairs[j, 1] - new_pairs[j, 1])
                    else:
                        new, old = bright[row], past[row]
                        for i in range(n):
                            new[i] += kept[i] * (old[i] - new[i])
            for j in range(m):
                blues[j] = min(u_new[j] + half, peak)
                reds[j] = min(v_new[j] + half, peak)
            for row in range(rows):
                y, new = start_row + row * row_step, bright[row]
                lumas = luma[y, start : start + n]
                for i in range(n):
                    lumas[i] = new[i] + half
            if recursion:
                then_blue = old_blue[line, place : place + m]
                then_red = old_red[line, place : place + m]
                for j in range(m):
                    then_blue[j] = min(u_new[j], peak) * unit + half
                    then_red[j] = min(v_new[j], peak) * unit + half
                for row in range(rows):
                    y, new = start_row + row * row_step, bright[row]
                    then = old_luma[y, start : start + n]
                    for i in range(n):
                        then[i] = new[i] * unit + half
