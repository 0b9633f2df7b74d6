"""What frames are given, smoothed over time: the map, never the picture, so nothing can ghost."""

from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

GRID = 16  # cells each way in which two pictures are compared: noise averages out in a cell
CUT = 0.5  # change of a picture's light between cells, as a share of that light
ALIKE = 0.015  # difference of two maps' means that hardly shows, two levels of 255 or so
JITTERS = 4  # differences of so many times the usual one between neighbours are jitter still
LIGHT = 0.02  # change of a picture's light as a whole from which on the last map will not do
STRIDE = 3  # frames from one map to the next while the light stays as it is
SPAN = 5  # maps of one light that a map's level is the mean of
SAME = 0.01  # difference of such levels that does not show, of log_light one in a hundred
DARKEST = 0.001  # light beside which less is none
HELD = 16  # frames held back at most, whatever the frame rate: at 1080p 3 MB each


class Smoother:
    """What each frame is given, as the mean of what its scene's frames around it are.

    Frames are held back until those after them are known. So the mean is centred and does not lag
    behind, and it reaches across no scene cut. A frame's own weighs by Hann's window in time and by
    how much its level differs: jitter is averaged, a step of the light is kept (weigh). As the mean
    reaches over many frames, the network need not see each of them: a third will do while the light
    does not change.
    Since a map is applied by x + A (x^2 - x), any mean of maps in [-1, 1] is a map.

    Args:
        find: (level, values) of a picture [h, w, 3] in [0, 1] as the network sees it: arrays of
            one shape each, and a number that tells jitter from another light.
        seconds: how far the mean reaches each way; 0 gives each frame its own values.
        weigh: weigh_by_own or weigh_by_light.
        live: no frame is held back: the mean reaches back only.
    """

    def __init__(
        self,
        find: Callable[[np.ndarray], tuple[float, tuple[np.ndarray, ...]]],
        seconds: float,
        weigh: Callable | None = None,
        live: bool = False,
    ):
        self.find, self.seconds, self.live = find, seconds, live
        self.weigh = weigh or weigh_by_own
        self.waiting: deque = deque()  # (item, time) of frames held back, all of one scene
        self.found: deque = deque()  # (time, level, values), as far back as is needed
        self.cells = np.zeros(0)  # of the last frame
        self.light, self.age = 0.0, 0  # of the last values: their picture's light, frames since
        self.scene = 0  # scenes before this one

    def add(self, item: object, small: np.ndarray, time: float) -> Iterator[tuple]:
        """Take the next frame; yields (item, values, number of its scene) of each one that need
        wait no longer.

        Args:
            item: whatever stands for the frame.
            small: [h, w, 3] in [0, 1], the frame as the network sees it.
            time: of the frame, in seconds; more than that of the frame before.
        """
        cells = cell_means(small)
        if self.cells.size and is_cut(self.cells, cells):
            yield from self.finish()
        self.cells = cells
        if not self.seconds:
            yield item, self.find(small)[1], self.scene
            return
        if self._needs_values(time):
            self.found.append((time, *self.find(small)))
            self.light, self.age = float(cells.mean()), 0
        self.age += 1
        self.waiting.append((item, time))
        if self.live:
            yield self._release(self.seconds)
        while self.waiting and time - self.waiting[0][1] >= self.seconds:
            yield self._release(self.seconds)
        if len(self.waiting) > HELD:
            yield self._release(time - self.waiting[0][1])

    def finish(self) -> Iterator[tuple]:
        """The scene is over: yields what add does, of the frames that still wait."""
        while self.waiting:
            yield self._release(self.seconds)
        self.found.clear()
        self.scene += 1

    def _needs_values(self, time: float) -> bool:
        """Whether the network must see the last frame added: the last values are old, or the light
        is another."""
        if not self.found or self.age >= STRIDE or time - self.found[-1][0] > self.seconds / STRIDE:
            return True
        return abs(float(self.cells.mean()) - self.light) > LIGHT * self.light

    def _release(self, reach: float) -> tuple:
        """The frame that has waited longest and the mean over `reach` seconds each way."""
        item, time = self.waiting.popleft()
        while self.found[0][0] <= time - self.seconds:
            self.found.popleft()
        near = [entry for entry in self.found if abs(entry[0] - time) < reach]
        if len(near) == 1:
            return item, near[0][2], self.scene
        times, levels, values = zip(*near, strict=True)
        own = int(np.searchsorted(times, time, side="right")) - 1  # the light is as it was then
        weights = 1 + np.cos(np.pi * (np.array(times) - time) / reach)
        weights *= self.weigh(np.array(levels), own)
        weights *= np.gradient(times)  # each stands for the time up to its neighbours
        weights = (weights / weights.sum()).astype(np.float32)
        means = tuple(
            sum(w * one for w, one in zip(weights, ones, strict=True))
            for ones in zip(*values, strict=True)
        )
        return item, means, self.scene


def weigh_by_own(levels: np.ndarray, own: int) -> np.ndarray:
    """As in a bilateral filter: a Gaussian of how much each level differs from one of them."""
    usual = np.median(np.abs(np.diff(levels)))
    return np.exp(-(((levels - levels[own]) / (JITTERS * usual + ALIKE)) ** 2) / 2)


def log_light(mean: float) -> float:
    """The level of a picture by its light: of a mean in [0, 1], so that steps are shares of it."""
    return float(np.log(mean + DARKEST))


def weigh_by_light(levels: np.ndarray, own: int) -> np.ndarray:
    """The same by levels, of log_light, from which jitter is gone: by far smaller differences.

    Each level becomes the mean of that run of SPAN neighbours with it in which levels differ least
    (Kuwahara's filter): of a step of the light, its own side. So both sides do not mix, and the
    output does not overshoot before and after the step. What belongs to neither side, as on the way
    from one to the other, stays as it is.
    """
    if len(levels) < 2:
        return np.ones(1)
    span = min(SPAN, len(levels) // 2)  # so short that one side of a step holds it
    runs = np.lib.stride_tricks.sliding_window_view(levels, span)
    spreads, means = runs.std(axis=1), runs.mean(axis=1)
    calm = np.empty(len(levels))
    for k in range(len(levels)):
        first, last = max(k - span + 1, 0), min(k, len(runs) - 1)
        calm[k] = means[first + int(np.argmin(spreads[first : last + 1]))]
    # Twice the lower quartile, near a Gaussian's median, which a step in a short window would lift.
    usual = 2 * np.quantile(np.abs(np.diff(levels)), 0.25)
    calm = np.where(np.abs(levels - calm) > JITTERS * usual + SAME, levels, calm)
    return np.exp(-(((calm - calm[own]) / (usual + SAME)) ** 2) / 2)


def is_cut(before: np.ndarray, now: np.ndarray) -> bool:
    """Whether cells [GRID, GRID, 3] show another scene: other light in most places.

    A change of exposure, which scales all light alike, is no cut.
    """
    change = now / (now.mean() + 1e-6) - before / (before.mean() + 1e-6)
    return float(np.abs(change).mean()) > CUT


def cell_means(picture: np.ndarray) -> np.ndarray:
    """[h, w, C] float32 -> [GRID, GRID, C]: means over cells, border pixels by their share."""
    rows, columns = (_shares(length) for length in picture.shape[:2])
    # einsum: BLAS would wake threads for it, which then wait on the cores of decoder and encoder
    return np.einsum("kw,gwc->gkc", columns, np.einsum("gh,hwc->gwc", rows, picture))


def _shares(length: int) -> np.ndarray:
    """[GRID, length]: the share of each pixel of a side in the mean of each cell."""
    edges = np.linspace(0, length, GRID + 1)
    pixels = np.arange(length)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (overlap.clip(0) * (GRID / length)).astype(np.float32)
