"""How much noise a video's luma holds, from a few blocks of each frame and of the one before."""

import numpy as np

BLOCK = 16
BLOCKS = 320  # that are looked at
EVERY = 6  # frames from one that is looked at to the next: a codec repeats noise for some
STEPS = 3  # pixels each way in which a block's texture is looked for in the frame before
REPEATED = 1.8  # noise, where a codec repeats it, is so much more than the change since that frame
GROUPS = 6  # of blocks, from dark to bright, each with an estimate of its own
# A codec keeps noise in some blocks and not in others, so most of a group's are asked; but where
# the quiet ones have far less, it is texture that the others hold.
QUIET, SPREAD = (0.25, 0.85), 3.0
# What rounding and a codec leave, in levels of 255, from black to where nothing is amplified: it
# is noise where it is amplified.
ROUNDED = ((0, 80), (1.0, 0.3))
MOST = 12.0  # levels of 255
RUN = 9  # estimates that the median is taken of
POINTS = 64  # codes of luma at which there is an estimate


class NoiseMeter:
    """The standard deviation of luma's noise, in codes, for each code, as frames go by.

    The Laplacian [1 -2 1; -2 4 -2; 1 -2 1] / 6 keeps white noise's deviation and takes shading away
    (Immerkaer 1996). Of each block it is taken of the frame; over sqrt(2), of the change since a
    frame some time ago; and of the change since the frame before, from where the block was there.
    The least counts: texture that stands still does not change, what moves smoothly has no
    Laplacian, and texture that moves is found again. Blocks are grouped by their level, since a
    codec leaves little noise in the dark and clusters of it in the light; of a group's blocks the
    quieter ones tell, and of the last estimates the median.

    Args:
        bits, black: of luma: its depth and the code of black.
    """

    def __init__(self, bits: int, black: float):
        self.unit = 1 << (bits - 8)
        self.codes = np.arange(1 << bits, dtype=np.float32)
        self.least = np.interp((self.codes - black) / self.unit, *ROUNDED) * self.unit
        self.levels = np.linspace(0, len(self.codes) - 1, POINTS)
        self.noise = self.least.astype(np.float32)  # of each code
        self.before: np.ndarray | None = None  # luma of the frame before
        self.blocks: np.ndarray | None = None  # that were looked at last
        self.last: list[np.ndarray] = []
        self.age = 0

    def measure(self, luma: np.ndarray, width: int, height: int) -> np.ndarray:
        """Take the next frame's luma [rows, line]; [2 ** bits] float32, ROUNDED at least.

        The frame's own width and height are looked at, not what pads it.
        """
        turn = self.age % EVERY
        if min(width, height) >= 3 * BLOCK and turn < 2:
            seen = luma[:height, :width].astype(np.float32)
            if turn == 1:
                self._compare(seen)
            self.before = seen
        self.age += 1
        return self.noise

    def _compare(self, luma: np.ndarray) -> None:
        """Estimate from a frame and what is kept of those before."""
        rows, columns = (np.arange(1, side // BLOCK - 1) * BLOCK for side in luma.shape)
        places = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
        chosen = np.linspace(0, len(places) - 1, min(BLOCKS, len(places))).astype(int)
        y, x = places[chosen].T
        blocks = cut(luma, y, x)
        means = blocks.mean(axis=(1, 2))
        seen = deviation(blocks)
        followed = change_along_motion(blocks, self.before, y, x) / np.sqrt(2)
        if self.blocks is not None:
            seen = np.minimum(seen, deviation(blocks - self.blocks) / np.sqrt(2))
            followed *= REPEATED
        self.blocks, seen = blocks, np.minimum(seen, followed)
        told = (means > 18 * self.unit) & (means < 230 * self.unit)  # else noise is cut off
        if told.sum() < 8:
            return
        seen, means = seen[told], means[told]
        groups = np.array_split(np.argsort(means), min(GROUPS, len(means) // 8))
        levels = [float(means[group].mean()) for group in groups]
        quiet, usual = np.array([np.quantile(seen[group], QUIET) for group in groups]).T
        noises = np.minimum(usual, SPREAD * quiet)
        self.last = [*self.last[1 - RUN :], np.interp(self.levels, levels, noises)]
        found = np.interp(self.codes, self.levels, np.median(self.last, axis=0))
        self.noise = found.clip(self.least, MOST * self.unit).astype(np.float32)


def cut(luma: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The blocks at those places: [N, 16, 16]."""
    return np.lib.stride_tricks.sliding_window_view(luma, (BLOCK, BLOCK))[y, x]


def change_along_motion(
    blocks: np.ndarray, before: np.ndarray, y: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Deviation of the Laplacian of what blocks differ by from where they are most alike."""
    best, nearest = np.full(len(blocks), np.inf), np.zeros_like(blocks)
    for down in range(-STEPS, STEPS + 1):
        for right in range(-STEPS, STEPS + 1):
            change = blocks - cut(before, y + down, x + right)
            size = np.abs(change).sum(axis=(1, 2))
            closer = size < best
            nearest[closer], best[closer] = change[closer], size[closer]
    return deviation(nearest)


def deviation(blocks: np.ndarray) -> np.ndarray:
    """Deviation of each block's Laplacian: [N, 16, 16] -> [N]."""
    down = blocks[:, :-2] - 2 * blocks[:, 1:-1] + blocks[:, 2:]
    both = down[:, :, :-2] - 2 * down[:, :, 1:-1] + down[:, :, 2:]
    return np.sqrt(np.square(both).mean(axis=(1, 2))) / 6
