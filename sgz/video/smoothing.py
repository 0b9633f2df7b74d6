"""Factor maps smoothed over time: the map, never the picture, so nothing can ghost."""

from collections import deque
from collections.abc import Callable, Iterator

import cv2
import numpy as np

GRID = 16  # cells each way in which two pictures are compared: noise averages out in a cell
CUT = 0.5  # change of a picture's light between cells, as a share of that light
ALIKE = 0.015  # difference of two maps' means that hardly shows, two levels of 255 or so
JITTERS = 4  # differences of so many times the usual one between neighbours are jitter still
LIGHT = 0.02  # change of a picture's light as a whole from which on the last map will not do
STRIDE = 3  # frames from one map to the next while the light stays as it is
HELD = 16  # frames held back at most, whatever the frame rate: at 1080p 3 MB each


class FactorSmoother:
    """Each frame's factor map as the mean of its scene's maps around it.

    Frames are held back until those after them are known. So the mean is centred and does not lag
    behind, and it reaches across no scene cut. A map weighs by Hann's window in time and, as in a
    bilateral filter, by a Gaussian of how much its mean differs from the frame's own: jitter is
    averaged, a step of the light is kept. As the mean reaches over many frames, the network need
    not see each of them: a third will do while the light does not change.
    Since a map is applied by x + A (x^2 - x), any mean of maps in [-1, 1] is a map.

    Args:
        network: the map [3, h, w] in [-1, 1] of a picture [h, w, 3] in [0, 1].
        seconds: how far the mean reaches each way; 0 gives each frame the network's map of itself.
    """

    def __init__(self, network: Callable[[np.ndarray], np.ndarray], seconds: float):
        self.network, self.seconds = network, seconds
        self.waiting: deque = deque()  # (item, time) of frames held back, all of one scene
        self.maps: deque = deque()  # (time, mean, map) in that scene, as far back as is needed
        self.cells = np.zeros(0)  # of the last frame
        self.light, self.age = 0.0, 0  # of the last map: its picture's light, frames since

    def add(self, item: object, small: np.ndarray, time: float) -> Iterator[tuple]:
        """Take the next frame; yields (item, map) of each one that need wait no longer.

        Args:
            item: whatever stands for the frame.
            small: [h, w, 3] in [0, 1], the frame as the network sees it.
            time: of the frame, in seconds; more than that of the frame before.
        """
        if not self.seconds:
            yield item, self.network(small)
            return
        cells = cv2.resize(small, (GRID, GRID), interpolation=cv2.INTER_AREA)
        if self.maps and is_cut(self.cells, cells):
            yield from self.finish()
        self.cells = cells
        if self.needs_map(time):
            factor = self.network(small)
            self.maps.append((time, float(factor.mean()), factor))
            self.light, self.age = float(cells.mean()), 0
        self.age += 1
        self.waiting.append((item, time))
        while time - self.waiting[0][1] >= self.seconds:
            yield self.release(self.seconds)
        if len(self.waiting) > HELD:
            yield self.release(time - self.waiting[0][1])

    def finish(self) -> Iterator[tuple]:
        """The scene is over: yields (item, map) of the frames that still wait."""
        while self.waiting:
            yield self.release(self.seconds)
        self.maps.clear()

    def needs_map(self, time: float) -> bool:
        """Whether the network must see the last frame added: the last map is old, or the light
        is another."""
        if not self.maps or self.age >= STRIDE or time - self.maps[-1][0] > self.seconds / STRIDE:
            return True
        return abs(float(self.cells.mean()) - self.light) > LIGHT * self.light

    def release(self, reach: float) -> tuple:
        """The frame that has waited longest and its map, the mean over `reach` seconds each way."""
        item, time = self.waiting.popleft()
        while self.maps[0][0] <= time - self.seconds:
            self.maps.popleft()
        near = [entry for entry in self.maps if abs(entry[0] - time) < reach]
        if len(near) == 1:
            return item, near[0][2]
        times, means, maps = zip(*near, strict=True)
        usual = np.median(np.abs(np.diff(means)))
        own = means[np.searchsorted(times, time, side="right") - 1]  # the light is as it was then
        unlike = (np.array(means) - own) / (JITTERS * usual + ALIKE)
        weights = 1 + np.cos(np.pi * (np.array(times) - time) / reach)
        weights *= np.exp(-(unlike**2) / 2)
        weights *= np.gradient(times)  # each stands for the time up to its neighbours
        weights = (weights / weights.sum()).astype(np.float32)
        return item, sum(w * factor for w, factor in zip(weights, maps, strict=True))


def is_cut(before: np.ndarray, now: np.ndarray) -> bool:
    """Whether cells [GRID, GRID, 3] show another scene: other light in most places.

    A change of exposure, which scales all light alike, is no cut.
    """
    change = now / (now.mean() + 1e-6) - before / (before.mean() + 1e-6)
    return float(np.abs(change).mean()) > CUT
