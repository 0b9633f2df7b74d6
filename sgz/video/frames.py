"""The frames of a video enhanced in place, in the paper's way or with the natural look."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field

import av
import numpy as np

from sgz.enhancer import Enhancer
from sgz.kernels import rgb, yuv, yuv_natural
from sgz.kernels.yuv_natural import Memory, Noise, Recipe
from sgz.look.guided_map import fit_guide
from sgz.look.options import PAPER
from sgz.look.treatment import black_of
from sgz.machine import count_cores
from sgz.video.noise import NoiseMeter
from sgz.video.picture import Picture
from sgz.video.smoothing import Smoother, log_light, weigh_by_light, weigh_by_own


@dataclass(frozen=True)
class Checkpoint:
    """After so many frames: what those that follow need of them, arrays by name."""

    frames: int = 0
    memory: dict[str, np.ndarray] = field(default_factory=dict)


CHROMA = 0.8  # codes: least deviation of chroma's noise, which codecs leave as steps


class PaperWay:
    """The paper's curve: a frame's map, and the pass that applies it."""

    weigh = staticmethod(weigh_by_own)

    def __init__(self, enhancer: Enhancer):
        self.enhancer = enhancer

    def look_at(self, planes: yuv.Planes) -> None:
        """Nothing but the map is found."""

    def find(self, small: np.ndarray) -> tuple[float, tuple[np.ndarray, ...]]:
        """Of a picture [h, w, 3] in [0, 1]: the map's mean, and the map."""
        factor = self.enhancer.factor_of_small(small)
        return float(factor.mean()), (factor,)

    def apply(self, planes: yuv.Planes, values: tuple, scene: int, noise, *workers) -> None:
        """Enhance a frame in place."""
        enhancer = self.enhancer
        yuv.apply_factor(planes, *values, enhancer.scale_factor, enhancer.iterations, *workers)

    def recall(self, scene: int, memory: dict[str, np.ndarray]) -> None:
        """Go on after a frame of a scene that was enhanced at another time."""

    def remember(self) -> dict[str, np.ndarray]:
        """What the next frame needs of those before it: nothing."""
        return {}


class NaturalWay:
    """A look's black point, exposure, guided map, and denoising over time."""

    weigh = staticmethod(weigh_by_light)

    def __init__(self, enhancer: Enhancer):
        self.enhancer, self.look = enhancer, enhancer.look
        self.meter: NoiseMeter | None = None
        self.memory: Memory | None = None
        self.scene = -1  # of the frame in memory
        self.recalled: dict[str, np.ndarray] = {}  # a memory of another time

    def look_at(self, planes: yuv.Planes) -> Noise | None:
        """A frame's noise; frames come in order."""
        if self.look.denoise in ("off", 0):
            return None
        if self.look.denoise == "auto":
            self.meter = self.meter or NoiseMeter(planes.bits, planes.levels()[0])
            luma = self.meter.measure(planes.arrays[0], planes.width, planes.height)
            return Noise(luma, CHROMA * (1 << (planes.bits - 8)))
        noise = float(self.look.denoise) * planes.levels()[1] / 255
        return Noise(np.full(1 << planes.bits, noise, np.float32), noise / 2)

    def find(self, small: np.ndarray) -> tuple[float, tuple[np.ndarray, ...]]:
        """Of a picture [h, w, 3] in [0, 1]: its light, as a logarithm; black point, slope, offset.

        The map's mean would not tell one light from another: exposure keeps the result as it is,
        and the black point is what changes.
        """
        black, seen = black_of(np.ascontiguousarray(small.transpose(2, 0, 1)), self.look)
        factor = self.enhancer.factor_of_small(np.ascontiguousarray(seen.transpose(1, 2, 0)))
        if self.look.hue_preserving:
            factor = factor[:1]
        if self.look.map == "guided":
            slope, offset = fit_guide(seen, factor)
        else:
            slope, offset = np.zeros_like(factor), factor
        return log_light(small.mean()), (black, slope, offset)

    def apply(self, planes: yuv.Planes, values: tuple, scene: int, noise, *workers) -> None:
        """Enhance a frame in place; frames come in order."""
        if self.memory is None and noise:
            self.memory = Memory.of(planes)
            for name, plane in zip("yuv", self.memory.planes, strict=True):
                if name in self.recalled:
                    plane[:] = self.recalled[name]
                    self.memory.fresh = False
        if self.memory is not None and scene != self.scene:
            self.memory.fresh = True
        self.scene = scene
        enhancer, recipe = self.enhancer, Recipe(*values, noise)
        yuv_natural.apply_recipe(
            planes, recipe, enhancer.scale_factor, enhancer.iterations, self.memory, *workers
        )

    def recall(self, scene: int, memory: dict[str, np.ndarray]) -> None:
        """Go on after a frame of a scene that was enhanced at another time."""
        self.scene, self.recalled = scene, memory

    def remember(self) -> dict[str, np.ndarray]:
        """What the next frame needs of those before it."""
        if self.memory is None or self.memory.fresh:
            return {}
        return {n: plane.copy() for n, plane in zip("yuv", self.memory.planes, strict=True)}


def enhance_frames(
    enhancer: Enhancer,
    items: Iterable,
    picture: Picture,
    smoothing: float,
    live: bool = False,
    reached: Checkpoint | None = None,
    every: int = 0,
) -> Iterator:
    """Enhance the frames among `items` in place; the rest passes by.

    Args:
        reached: the frames up to there are looked at, but neither enhanced nor yielded.
        every: a Checkpoint comes after each so many frames, and after the last; 0: none.
    """
    way = (PaperWay if enhancer.look == PAPER else NaturalWay)(enhancer)
    shares = yuv.shares_of_matrix(picture.matrix, picture.height)
    bands = count_cores() if live else max(count_cores() // 2, 1)  # decoder and encoder want some
    reached, count = reached or Checkpoint(), 0
    found = find_values(way, items, picture, Smoother(way.find, smoothing, way.weigh, live))
    with closing(items), ThreadPoolExecutor(bands) as pool:
        for (item, noise), values, scene in found:
            is_frame = isinstance(item, av.VideoFrame)
            count += is_frame
            if is_frame and count <= reached.frames:
                way.recall(scene, reached.memory)
                continue
            if values is not None:
                item.make_writable()  # the decoder may go on to read it
                planes = planes_of(item, picture, shares)
                way.apply(planes, values, scene, noise, pool, bands)
            yield item
            if is_frame and every and count % every == 0:
                yield Checkpoint(count, way.remember())
        if every and count % every:
            yield Checkpoint(count)


def find_values(way, items: Iterable, picture: Picture, smoother: Smoother) -> Iterator[tuple]:
    """((item, its noise), its values, its scene) of each frame; None for what is to pass."""
    enhancer, shares = way.enhancer, yuv.shares_of_matrix(picture.matrix, picture.height)
    for item in items:
        if isinstance(item, av.VideoFrame) and enhancer.strength and enhancer.iterations:
            planes = planes_of(item, picture, shares)
            size = planes.height, planes.width
            cells = rgb.read_cells(planes.read, size, enhancer.scale_factor)
            noise = way.look_at(planes)
            time = float(item.pts * item.time_base)
            yield from smoother.add((item, noise), planes.to_rgb(cells), time)
        else:
            yield (item, None), None, 0
    yield from smoother.finish()


def planes_of(frame, picture: Picture, shares: tuple[float, float]) -> yuv.Planes:
    """A view of a planar YUV frame of 8 to 16 bits."""
    form = frame.format
    bits = form.components[0].bits
    kind = np.dtype(np.uint8 if bits == 8 else np.uint16)
    arrays = tuple(
        np.frombuffer(plane, kind).reshape(-1, plane.line_size // kind.itemsize)
        for plane in frame.planes
    )
    return yuv.Planes(
        arrays,
        frame.width,
        frame.height,
        bits,
        (16 // form.chroma_width(16), 16 // form.chroma_height(16)),
        shares,
        picture.colour_range == 2,
        picture.interlaced,
    )
