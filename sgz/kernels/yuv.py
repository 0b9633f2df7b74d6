"""The curve on a video frame's own planes, in place: YUV to RGB, eight steps, back to YUV.

One pass over memory, compiled by numba on first use: no RGB picture of the frame ever exists. A
chroma sample is used for each of its pixels on the way in, and is their mean on the way out, so a
factor map of zeros gives back what came in.
"""

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sgz.kernels.compile import compile_kernel
from sgz.threads import share_out

# Shares of red and blue in luma by matrix_coefficients of ITU-T H.273, table 4.
LUMA_SHARES = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
HIGH_DEFINITION = 720  # lines; from here on an untagged video is taken for BT.709, as players do


@dataclass(frozen=True)
class Planes:
    """A frame's planes Y, U and V: each [rows, line] of uint8 or uint16, lines padded or not.

    width, height: in pixels. bits: per sample, 8 to 16. subsampling: of chroma, horizontal and
    vertical, each 1 or 2. shares: of red and blue in luma. full: range 0..peak, not 16..235.
    interlaced: rows belong to two fields in turn, and so do chroma rows.
    """

    arrays: tuple[np.ndarray, np.ndarray, np.ndarray]
    width: int
    height: int
    bits: int
    subsampling: tuple[int, int]
    shares: tuple[float, float]
    full: bool
    interlaced: bool = False

    def levels(self) -> tuple[float, float, float, float]:
        """Code of black and step of luma, code of gray and step of chroma, per unit."""
        unit, middle = 1 << (self.bits - 8), 1 << (self.bits - 1)
        if self.full:
            peak = (1 << self.bits) - 1
            return 0.0, peak, middle, peak
        return 16.0 * unit, 219.0 * unit, middle, 224.0 * unit

    def weave(self) -> bool:
        """Whether a chroma row serves two rows of one field; such frames come in fours of rows."""
        return self.interlaced and self.subsampling[1] == 2 and self.height % 4 == 0

    def read(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The codes of those pixels' Y, U and V: [rows, columns, 3] float32."""
        lines = rows // self.subsampling[1]
        if self.weave():
            lines = rows // 4 * 2 + rows % 2
        places = columns // self.subsampling[0]
        yuv = np.empty((rows.size, columns.size, 3), np.float32)
        for channel, plane in enumerate(self.arrays):
            here = (rows, columns) if channel == 0 else (lines, places)
            yuv[..., channel] = plane.take(here[0], 0).take(here[1], 1)  # twice as fast as at once
        return yuv

    def to_rgb(self, yuv: np.ndarray) -> np.ndarray:
        """Codes [h, w, 3] -> RGB [h, w, 3] float32 in [0, 1]."""
        black, luma_step, gray, chroma_step = self.levels()
        zero = np.array([black, gray, gray], np.float32)
        matrix = rgb_of_yuv(self.shares) / np.float32([luma_step, chroma_step, chroma_step])
        return ((yuv - zero) @ matrix.T).clip(0, 1)


def shares_of_matrix(matrix: int, height: int) -> tuple[float, float]:
    """Shares of red and blue in luma; an unknown or unnamed matrix goes by the picture's height."""
    return LUMA_SHARES.get(matrix) or LUMA_SHARES[1 if height >= HIGH_DEFINITION else 6]


def rgb_of_yuv(shares: tuple[float, float]) -> np.ndarray:
    """The matrix [3, 3] that makes R'G'B' of Y' in [0, 1] and Cb, Cr in [-0.5, 0.5]."""
    red, blue = shares
    green = 1 - red - blue
    return np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green],
            [1, 2 * (1 - blue), 0],
        ],
        np.float32,
    )


def apply_factor(
    planes: Planes,
    factor: np.ndarray,
    scale: int,
    iterations: int = 8,
    pool: Executor | None = None,
    bands: int = 1,
) -> None:
    """Enhance a frame in place, x <- x + A (x^2 - x) on each of R, G and B; see curve.apply_factor.

    Args:
        factor: [3, h, w] float32 in [-1, 1] with h = ceil(H / scale), w = ceil(W / scale).
        pool, bands: the rows are cut into so many bands and given to the pool.

    Raises:
        ValueError: the factor map does not fit the frame.
    """
    expected = (3, -(-planes.height // scale), -(-planes.width // scale))
    if factor.shape != expected:
        raise ValueError(f"the factor map is {factor.shape}, expected {expected} for this frame")
    factor = np.ascontiguousarray(factor, np.float32)
    steps = [(n - 1) / max(n * scale - 1, 1) for n in expected[1:]]
    numbers = np.array((*planes.levels(), *planes.shares, *steps), np.float32)
    shape = (planes.height, planes.width, *planes.subsampling, int(planes.weave()))
    peak = (1 << planes.bits) - 1
    kernel = compiled(planes.arrays[0].dtype)

    def work(first: int, last: int) -> None:
        kernel(*planes.arrays, factor, shape, numbers, np.float32(peak), iterations, first, last)

    share_out(work, -(-planes.height // planes.subsampling[1]), pool, bands)


@lru_cache(maxsize=2)
def compiled(dtype: np.dtype):
    """The kernel for uint8 or uint16 planes, from numba's cache where that can be written."""
    import numba

    from sgz.kernels.yuv_rows import curve_rows  # late: it imports numba

    pixel, real, whole = numba.from_dtype(dtype), numba.float32, numba.int64
    shape = numba.types.UniTuple(whole, 5)
    scalars = real, whole, whole, whole
    signature = numba.void(*[pixel[:, ::1]] * 3, real[:, :, ::1], shape, real[::1], *scalars)
    # "contract": a product and a sum may fuse, rounded once in place of twice.
    return compile_kernel(curve_rows, signature, fastmath={"contract"})
