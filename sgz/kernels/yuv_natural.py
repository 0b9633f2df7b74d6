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
from sgz.kernels.yuv import Planes
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

    from sgz.kernels.yuv_rows import natural_rows  # late: it imports numba

    pixel, real, whole = numba.from_dtype(dtype), numba.float32, numba.int64
    planes = [pixel[:, ::1]] * 4 + [numba.uint16[:, ::1]] * 3
    maps = [real[:, :, ::1]] * 2 + [real[::1]]
    shape = numba.types.UniTuple(whole, 6)
    signature = numba.void(*planes, *maps, shape, real[::1], real, whole, whole, whole)
    return compile_kernel(natural_rows, signature, fastmath=FAST)
