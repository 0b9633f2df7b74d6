"""The natural look on a video frame's own planes, in place, with noise taken out over time.

The plan, for each chroma row and the one or two rows of pixels it serves, 512 pixels at a time:
1. luma as it came, smoothed over the 12 nearest pixels of its field as far as they differ by no
   more than the noise explains (a bilateral filter, its range a parabola): what time cannot mend,
   as codecs repeat a frame's noise in the next ones;
2. each pixel's R, G and B, black subtracted; its guide g = sqrt(largest); its A = a g + b, with
   a and b enlarged from the small map; eight steps x <- x + A (x^2 - x); and, for green, how much
   the curve multiplies noise, dy/dx = prod (1 + A (2 x - 1));
3. back to luma, and to chroma by the mean of a sample's pixels;
4. for each chroma sample: the frame before, as it was written, differs by a mean and by a mean
   square over the sample's and its two neighbours' pixels (6x2 of them in 4:2:0). Where both, and
   chroma's, are what the multiplied noise explains, out = y + w (before - y); w falls to 0 as they
   exceed it. So a moving edge is never mixed with what was there, and leaves no trail;
5. before that, chroma that time will not mend is smoothed over seven samples of its row in the
   way of 1.
Where the multiplied noise does not show, nothing is mixed.

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

MOST = 0.9  # largest w: of noise that is new in each frame sqrt((1 - w) / (1 + w)) stays, a quarter
# What the noise may explain, in its own variances: of a mean over 12 pixels, whose noise codecs
# have made alike; of a mean square, large since codecs leave noise in clusters; of chroma's mean.
LIKELY = (30.0, 16.0, 15.0)
RANGE = 5.0  # of the smoothing in space, in deviations of the noise
SHOWS = (0.4, 2.0)  # codes of noise, multiplied, from which on it is taken out, and how fast


@dataclass
class Memory:
    """The frame before, as it was written: Y, U and V in 16 bits, the highest unused.

    luma: this frame's, as it came: rows are read around the one that is written.
    fresh: nothing is in it yet, or it is of another scene.
    """

    planes: tuple[np.ndarray, np.ndarray, np.ndarray]
    luma: np.ndarray
    fresh: bool = True

    @classmethod
    def of(cls, planes: Planes) -> "Memory":
        """An empty one for frames of this make."""
        before = tuple(np.zeros(plane.shape, np.uint16) for plane in planes.arrays)
        return cls(before, np.empty((planes.height, planes.width), planes.arrays[0].dtype))


@dataclass(frozen=True)
class Noise:
    """Standard deviations in codes of the frame: luma's for each of its codes, and chroma's."""

    luma: np.ndarray  # [2 ** bits] float32
    chroma: float


@dataclass(frozen=True)
class Recipe:
    """What a frame is given.

    black: [3] float32, R, G and B in [0, 1]. slope, offset: [M, h, w] float32, the guided map; M is
    1 or 3. noise: None leaves it as it is.
    """

    black: np.ndarray
    slope: np.ndarray
    offset: np.ndarray
    noise: Noise | None = None


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
    noise = recipe.noise or Noise(np.zeros(1, np.float32), 0.0)
    numbers = (*planes.levels(), *planes.shares, *steps, noise.chroma, unit)
    numbers = np.array((*numbers, *recipe.black, MOST, *LIKELY, RANGE, *SHOWS), np.float32)
    recursion, source = 0, planes.arrays[0]
    if memory is not None and recipe.noise:
        recursion, source = 1 if memory.fresh else 2, memory.luma
        np.copyto(source, planes.arrays[0][: planes.height, : planes.width])
        memory.fresh = False
    shape = (planes.height, planes.width, *planes.subsampling, int(planes.weave()), recursion)
    before = memory.planes if recursion else (np.zeros((1, 1), np.uint16),) * 3
    peak = np.float32((1 << planes.bits) - 1)
    kernel = compiled(planes.arrays[0].dtype)

    def work(first: int, last: int) -> None:
        kernel(
            *planes.arrays, source, *before, *maps, noise.luma, shape, numbers, peak, iterations,
            first, last,
        )  # fmt: skip

    share_out(work, -(-planes.height // planes.subsampling[1]), pool, bands)


@lru_cache(maxsize=2)
def compiled(dtype: np.dtype):
    """The kernel for uint8 or uint16 planes, from numba's cache where that can be written."""
    import numba

    pixel, real, whole = numba.from_dtype(dtype), numba.float32, numba.int64
    planes = [pixel[:, ::1]] * 4 + [numba.uint16[:, ::1]] * 3
    maps = [real[:, :, ::1]] * 2 + [real[::1]]
    shape = numba.types.UniTuple(whole, 6)
    signature = numba.void(*planes, *maps, shape, real[::1], real, whole, whole, whole)
    return compile_kernel(natural_rows, signature, fastmath=FAST)


def natural_rows(
    luma, blue, red, source, old_luma, old_blue, old_red, slope, offset, noise_of, shape, numbers,
    peak, iterations, first, last,
):  # fmt: skip
    """Chroma rows first to last with the pixel rows they serve; see the module's plan.

    shape: height, width, subsampling, weave, and what is done with the frame before: 0 nothing,
    1 it is only written, 2 it is read as well.
    """
    height, width, horizontal, vertical, weave, recursion = shape
    black, luma_step, gray, chroma_step = numbers[0], numbers[1], numbers[2], numbers[3]
    red_share, blue_share, step_down, step_right = numbers[4], numbers[5], numbers[6], numbers[7]
    chroma_noise, unit = numbers[8], numbers[9]
    k0, k1, k2 = numbers[10], numbers[11], numbers[12]
    most, mean_limit, square_limit, chroma_limit = numbers[13:17]
    least_shown, shown_slope = numbers[18], numbers[19]
    half, one, zero, two = np.float32(0.5), np.float32(1), np.float32(0), np.float32(2)
    three, tiny = np.float32(3), np.float32(1e-6)
    reach = one / (numbers[17] * numbers[17])
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
    near = np.empty((5, CHUNK + 4), np.float32)  # luma as it came, two pixels around the chunk
    dark = np.empty(CHUNK, np.float32)  # luma that goes into the curve
    spread, total = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.float32)
    deviation = np.empty(CHUNK, np.float32)  # of luma's noise
    guide, a = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.float32)
    gain = np.empty(CHUNK, np.float32)  # by which the curve multiplies green's noise
    bright = np.empty((2, CHUNK), np.float32)  # luma of the one or two rows, in codes
    past = np.empty((2, CHUNK), np.float32)  # the same of the frame before
    # B - Y, R - Y, gain, change, squared change and noise, summed over rows; then by chroma sample.
    sums, cells = np.empty((6, CHUNK), np.float32), np.empty((6, CHUNK), np.float32)
    hue = np.empty((2, CHUNK), np.float32)  # chroma in codes
    runs = np.empty((6, CHUNK), np.float32)  # the same with the samples beside
    likely = np.empty(CHUNK, np.float32)  # 1 where noise can only just explain a sample's change
    kept, rest = np.empty(CHUNK, np.float32), np.empty(CHUNK, np.float32)  # w; left for space
    strict = np.empty(CHUNK, np.float32)  # 1 / squared range of its chroma's smoothing
    red_pairs = chroma[0].reshape(CHUNK // 2, 2)
    blue_pairs = chroma[2].reshape(CHUNK // 2, 2)
    sum_pairs = sums.reshape(6, CHUNK // 2, 2)
    bright_pairs, past_pairs = bright.reshape(2, CHUNK // 2, 2), past.reshape(2, CHUNK // 2, 2)
    luma_unit, chroma_unit, fine = one / luma_step, one / chroma_step, one / unit
    parts = 6 if recursion else 2
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
                down = np.float32(y) * step_down
                top = int(down)
                w1 = down - np.float32(top)
                w0 = one - w1
                upper, lower = wide[top % 4], wide[min(top + 1, small_height - 1) % 4]
                if recursion:
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
                        spread[i] = reach / (deviation[i] * deviation[i] + tiny)
                    dark[:n] = zero
                    total[:n] = one
                    for k in range(5):
                        side = 2 - abs(k - 2)
                        for s in range(2 - side, 3 + side):
                            beside = near[k, s:]
                            for i in range(n):
                                more = beside[i] - middle[i]
                                w = max(one - more * more * spread[i], zero)
                                dark[i] += w * more
                                total[i] += w
                    for i in range(n):  # the pixel itself was counted twice
                        dark[i] = middle[i] + dark[i] / (total[i] - one)
                else:
                    came = source[y, start : start + n]
                    for i in range(n):
                        dark[i] = came[i]
                r, g, b = rgb[0], rgb[1], rgb[2]
                r0, g0, b0 = chroma[0], chroma[1], chroma[2]
                for i in range(n):
                    value = (dark[i] - black) * luma_unit
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
                            gain[i] = s1
                        for _ in range(iterations // 2):  # two at a time stay in registers
                            for i in range(n):
                                value, times = x[i], gain[i]
                                times *= one + a[i] * (two * value - one)
                                value += a[i] * (value * value - value)
                                gain[i] = times * (one + a[i] * (two * value - one))
                                x[i] = value + a[i] * (value * value - value)
                        for _ in range(iterations % 2):
                            for i in range(n):
                                gain[i] *= one + a[i] * (two * x[i] - one)
                                x[i] += a[i] * (x[i] * x[i] - x[i])
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
            if horizontal == 2:
                if n % 2:  # an odd last column counts as two alike
                    sums[:, n] = sums[:, n - 1]
                    bright[:, n] = bright[:, n - 1]
                    past[:, n] = past[:, n - 1]
                for c in range(parts):
                    pairs, sample = sum_pairs[c], cells[c]
                    for j in range(m):
                        sample[j] = pairs[j, 0] + pairs[j, 1]
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
                du, dv = cells[0], cells[1]
                for j in range(m):
                    du[j] = u_new[j] - np.float32(then_blue[j]) * fine
                    dv[j] = v_new[j] - np.float32(then_red[j]) * fine
                for c in range(parts):  # each sample with its two neighbours
                    sample, run = cells[c], runs[c]
                    here, after, middle = sample[1:], sample[2:], run[1:]
                    for j in range(m - 2):
                        middle[j] = sample[j] + here[j] + after[j]
                    run[0] = two * sample[0] + sample[min(1, m - 1)]
                    run[m - 1] = sample[max(m - 2, 0)] + two * sample[m - 1]
                all_of = three * count
                mean_unit, square_unit = one / (all_of * mean_limit), one / (all_of * square_limit)
                hue_unit = one / (three * two * chroma_limit)
                u_run, v_run, gains, change, square = runs[0], runs[1], runs[2], runs[3], runs[4]
                noises = runs[5]
                for j in range(m):
                    noise = noises[j] / all_of
                    value = max(change[j] * change[j] * mean_unit, square[j] * square_unit)
                    likely[j] = value / (noise * noise + tiny)
                for j in range(m):
                    noise = gains[j] * chroma_noise / all_of
                    strict[j] = one / (noise * noise + tiny)
                for j in range(m):
                    value = u_run[j] * u_run[j] + v_run[j] * v_run[j]
                    likely[j] = max(likely[j], value * hue_unit * strict[j])
                for j in range(m):
                    shown = min(max((noises[j] / all_of - least_shown) * shown_slope, zero), one)
                    kept[j] = blend * min(max(two - two * likely[j], zero), one) * shown
                    noises[j] = shown
                for j in range(m):
                    rest[j] = noises[j] - kept[j] * unmended
                    strict[j] *= reach
                u_more, v_more, weights, share = cells[2], cells[3], cells[4], cells[5]
                u_more[:m] = zero
                v_more[:m] = zero
                weights[:m] = one
                u_here, v_here, strict_here = u_new[3:], v_new[3:], strict[3:]
                for k in range(7):  # the sample itself adds nothing to what it differs by
                    u_beside, v_beside = u_new[k:], v_new[k:]
                    for j in range(m - 6):
                        u, v = u_beside[j] - u_here[j], v_beside[j] - v_here[j]
                        share[j] = max(one - (u * u + v * v) * strict_here[j], zero)
                    u_sum, v_sum, all_shares = u_more[3:], v_more[3:], weights[3:]
                    for j in range(m - 6):
                        u_sum[j] += share[j] * (u_beside[j] - u_here[j])
                    for j in range(m - 6):
                        v_sum[j] += share[j] * (v_beside[j] - v_here[j])
                    for j in range(m - 6):
                        all_shares[j] += share[j]
                for j in range(m):
                    rest[j] /= max(weights[j] - one, one)
                for j in range(m):
                    value = rest[j] * u_more[j]
                    u_new[j] += value - kept[j] * (du[j] + value)
                for j in range(m):
                    value = rest[j] * v_more[j]
                    v_new[j] += value - kept[j] * (dv[j] + value)
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
