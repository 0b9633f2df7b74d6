"""Factor maps smoothed over time: the map, never the picture, so nothing can ghost."""

import math

import cv2
import numpy as np

GRID = 16  # cells each way in which two pictures are compared: noise averages out in a cell
CUT = 0.5  # change of a picture's light between cells, as a share of that light
JUMP = (
    0.15  # change of the map as a whole: the light is switched on, or a cut between like pictures
)


class FactorSmoother:
    """An exponential mean of one video's factor maps, begun anew at each scene cut.

    Since a map is applied by x + A (x^2 - x), any mean of maps in [-1, 1] is a map. After a cut the
    first maps are averaged evenly, so one noisy map does not stay.

    Args:
        seconds: time after which a map's weight has fallen to 1/e; 0 smooths nothing.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.mean: np.ndarray | None = None
        self.cells: np.ndarray | None = None
        self.time = 0.0
        self.count = 0

    def __call__(self, factor: np.ndarray, small: np.ndarray, time: float) -> np.ndarray:
        """The map to apply to a frame.

        Args:
            factor: [3, h, w] in [-1, 1], the network's map of this frame.
            small: [h, w, 3] in [0, 1], the picture that the network saw.
            time: of the frame, in seconds.
        """
        if not self.seconds:
            return factor
        cells = cv2.resize(small, (GRID, GRID), interpolation=cv2.INTER_AREA)
        if self.mean is None or self.is_cut(factor, cells):
            self.mean, self.count = factor, 1
        else:
            self.count += 1
            elapsed = max(time - self.time, 0.0)
            weight = max(1 - math.exp(-elapsed / self.seconds), 1 / self.count)
            self.mean = self.mean + np.float32(weight) * (factor - self.mean)
        self.cells, self.time = cells, time
        return self.mean

    def is_cut(self, factor: np.ndarray, cells: np.ndarray) -> bool:
        """Whether a frame shows another scene than the last: other light in most places, or a
        map unlike the mean. A change of exposure, which scales all light alike, is no cut."""
        if self.mean.shape != factor.shape:
            return True
        before, now = self.cells / (self.cells.mean() + 1e-6), cells / (cells.mean() + 1e-6)
        change = float(np.abs(now - before).mean())
        return change > CUT or float(np.abs(factor - self.mean).mean()) > JUMP
