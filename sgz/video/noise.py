"""How much noise a video's luma holds, from a few blocks of each frame and of the one before."""

import numpy as np

BLOCK = 16
BLOCKS = 480  # that are looked at
EVERY = 6  # frames from one that is looked at to the next: a codec repeats noise for some
GROUPS = 6  # of blocks, from dark to bright, each with an estimate of its own
# A codec keeps noise in some blocks and not in others, so most of a group's are asked; but where
# the quiet ones have far less, it is texture that the others hold.
QUIET, SPREAD = (0.25, 0.75), 3.0
# What rounding and a codec leave, in levels of 255, from black to where nothing is amplified: it
# is noise where it is amplified.
ROUNDED = ((0, 80), (1.0, 0.3))
MOST = 12.0  # levels of 255
RUN = 9  # estimates that the median is taken of
STEPS = 64  # codes of luma at which there is an estimate


class NoiseMeter:
    """The standard deviation of luma's noise, in codes, for each code, as frames go by.

    The Laplacian [1 -2 1; -2 4 -2; 1 -2 1] / 6 keeps white noise's deviation and takes shading away
    (Immerkaer 1996). Of each block it is taken of the frame and, over sqrt(2), of the change since
    the frame before; the lesser of the two counts: texture that stands still does not change, and
    what moves smoothly has no Laplacian. Blocks are grouped by their level, since a codec leaves
    little noise in the dark and clusters of it in the light; of a group's blocks the quieter ones
    tell, and of the last estimates the median.

    Args:
        bits, black: of luma: its depth and the code of black.
    """

    def __init__(self, bits: int, black: float):
        self.unit = 1 << (bits - 8)
        self.codes = np.arange(1 << bits, dtype=np.float32)
        self.least = np.interp((self.codes - black) / self.unit, *ROUNDED) * self.unit
        self.levels = np.linspace(0, len(self.codes) - 1, STEPS)
        self.noise = self.least.astype(np.float32)  # of each code
        self.before: np.ndarray | None = None
        self.last: list[np.ndarray] = []
        self.age = 0

    def measure(self, luma: np.ndarray, width: int, height: int) -> np.ndarray:
        """Take the next frame's luma [rows, line]; [2 ** bits] float32, ROUNDED at least.

        The frame's own width and height are looked at, not what pads it.
        """
        if self.age % EVERY == 0 or self.age == 1:
            blocks = self._cut(luma, width, height)
            if self.before is not None and len(blocks):
                self._compare(blocks)
            self.before = blocks
        self.age += 1
        return self.noise

    def _cut(self, luma: np.ndarray, width: int, height: int) -> np.ndarray:
        """Blocks [N, 16, 16] float32, evenly over the frame."""
        down, across = height // BLOCK, width // BLOCK
        count = down * across
        chosen = np.arange(count)
        if count > BLOCKS:
            chosen = np.linspace(0, count - 1, BLOCKS).astype(int)
        view = luma[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK)
        return view[chosen // max(across, 1), :, chosen % max(across, 1)].astype(np.float32)

    def _compare(self, blocks: np.ndarray) -> None:
        """Estimate from blocks and those of the frame before."""
        means = blocks.mean(axis=(1, 2))
        told = (means > 18 * self.unit) & (means < 230 * self.unit)  # else noise is cut off
        if told.sum() < 8:
            return
        still = deviation(blocks[told])
        change = deviation(blocks[told] - self.before[told]) / np.sqrt(2)
        seen, means = np.minimum(still, change), means[told]
        groups = np.array_split(np.argsort(means), min(GROUPS, len(means) // 8))
        levels = [float(means[group].mean()) for group in groups]
        quiet, usual = np.array([np.quantile(seen[group], QUIET) for group in groups]).T
        noises = np.minimum(usual, SPREAD * quiet)
        self.last = [*self.last[1 - RUN :], np.interp(self.levels, levels, noises)]
        found = np.interp(self.codes, self.levels, np.median(self.last, axis=0))
        self.noise = found.clip(self.least, MOST * self.unit).astype(np.float32)


def deviation(blocks: np.ndarray) -> np.ndarray:
    """Deviation of each block's Laplacian: [N, 16, 16] -> [N]."""
    down = blocks[:, :-2] - 2 * blocks[:, 1:-1] + blocks[:, 2:]
    both = down[:, :, :-2] - 2 * down[:, :, 1:-1] + down[:, :, 2:]
    return np.sqrt(np.square(both).mean(axis=(1, 2))) / 6
