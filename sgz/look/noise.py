"""How much noise a picture holds: one standard deviation, from its flattest blocks.

The Laplacian [1 -2 1; -2 4 -2; 1 -2 1] / 6 leaves noise of deviation sigma as it is and takes
smooth shading away (Immerkaer 1996). Its deviation is taken in blocks of 16x16, and the tenth
part of the blocks with the least are taken to show noise alone, so that texture is not noise.
Blocks that are nearly black or white say nothing: there noise is cut off.
"""

import numpy as np

from sgz.kernels.noise import BLOCK, measure_blocks

FLATTEST = 0.1
BLACK, WHITE = 3 / 255, 240 / 255  # mean of a block
FEWEST = 8  # blocks
SAMPLES = 640  # blocks at most; a picture of 2 megapixels has 8,100
QUANTISED = 0.35 / 255  # what rounding to 8 bits leaves; no noise
MOST = 24 / 255


def estimate_sigma(picture: np.ndarray, peak: float) -> float:
    """Standard deviation of the noise in [0, 1], 0 where there is none.

    Args:
        picture: [H, W, C], uint8, uint16 or float32, in 0 to peak.
    """
    height, width = (side // BLOCK for side in picture.shape[:2])
    count = height * width
    chosen = np.arange(count)
    if count > SAMPLES:
        chosen = np.linspace(0, count - 1, SAMPLES).astype(np.int64)
    means, deviations = measure_blocks(picture, chosen, width)
    means, deviations = means / peak, deviations / peak
    told = (means > BLACK) & (means < WHITE)
    if told.sum() < FEWEST:
        return 0.0
    sigma = float(np.quantile(deviations[told], FLATTEST))
    return min(max(sigma**2 - QUANTISED**2, 0.0) ** 0.5, MOST)
