"""How much noise a video's luma holds, from a few blocks of each frame and of the one before."""

import numpy as np

BLOCK = 16
BLOCKS = 240  # that are looked at
EVERY = 3  # frames
QUIET = 0.4  # share of the blocks that are taken to show noise alone
ROUNDED = 1.0  # codes: what rounding and a codec leave, which is noise where it is amplified
MOST = 12.0  # levels of 255
RUN = 9  # estimates that the median is taken of


class NoiseMeter:
    """The standard deviation of luma's noise, in codes, as frames go by.

    The Laplacian [1 -2 1; -2 4 -2; 1 -2 1] / 6 keeps white noise's deviation and takes shading away
    (Immerkaer 1996). Of each block it is taken of the frame and, over sqrt(2), of the change since
    the frame before; the lesser of the two counts: texture that stands still does not change, and
    what moves smoothly has no Laplacian. Of the blocks, the quiet ones tell, and of the last
    estimates the median.
    """

    def __init__(self):
        self.before: np.ndarray | None = None
        self.last: list[float] = []
        self.age = 0

    def measure(self, luma: np.ndarray, width: int, height: int, bits: int) -> float:
        """Take the next frame's luma [rows, line]; ROUNDED at least.

        The frame's own width and height are looked at, not what pads it.
        """
        if self.age % EVERY < 2:  # two that follow one another
            blocks = self._cut(luma, width, height)
            if self.age % EVERY == 1 and self.before is not None and len(blocks):
                self._compare(blocks, float(1 << (bits - 8)))
            self.before = blocks
        self.age += 1
        if not self.last:
            return ROUNDED
        return float(np.median(self.last))

    def _cut(self, luma: np.ndarray, width: int, height: int) -> np.ndarray:
        """Blocks [N, 16, 16] float32, evenly over the frame."""
        down, across = height // BLOCK, width // BLOCK
        count = down * across
        chosen = np.arange(count)
        if count > BLOCKS:
            chosen = np.linspace(0, count - 1, BLOCKS).astype(int)
        view = luma[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK)
        return view[chosen // max(across, 1), :, chosen % max(across, 1)].astype(np.float32)

    def _compare(self, blocks: np.ndarray, unit: float) -> None:
        """Estimate from blocks and those of the frame before."""
        means = blocks.mean(axis=(1, 2)) / unit
        told = (means > 18) & (means < 230)  # else noise is cut off
        if told.sum() < 8:
            return
        still = deviation(blocks[told])
        change = deviation(blocks[told] - self.before[told]) / np.sqrt(2)
        noise = float(np.quantile(np.minimum(still, change), QUIET))
        self.last = [*self.last[1 - RUN :], min(max(noise, ROUNDED), MOST * unit)]


def deviation(blocks: np.ndarray) -> np.ndarray:
    """Deviation of each block's Laplacian: [N, 16, 16] -> [N]."""
    down = blocks[:, :-2] - 2 * blocks[:, 1:-1] + blocks[:, 2:]
    both = down[:, :, :-2] - 2 * down[:, :, 1:-1] + down[:, :, 2:]
    return np.sqrt(np.square(both).mean(axis=(1, 2))) / 6
