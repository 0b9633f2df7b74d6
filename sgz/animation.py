"""An animation enhanced frame by frame, its light steady: one clip, not many photographs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from sgz.enhancer import Enhancer
from sgz.image.animation import LARGE, Animation, Frame
from sgz.image.moving import WRITERS
from sgz.image.photo import FORMAT_OF_SUFFIX, Photo
from sgz.look.options import PAPER
from sgz.look.treatment import Treatment
from sgz.pixels import as_stack
from sgz.video.smoothing import Smoother, log_light, weigh_by_light, weigh_by_own

SECONDS = 0.5  # that black point, exposure, map and noise are averaged over, each way
LEAST = 0.02  # seconds of a frame; viewers show none for less
MOVING_SUFFIXES = frozenset(s for s, kind in FORMAT_OF_SUFFIX.items() if kind in WRITERS)


def enhance_frames(
    enhance: Callable[[np.ndarray], np.ndarray], frames: Iterable[Frame]
) -> Iterator[Frame]:
    """Enhance an animation's frames.

    Args:
        enhance: an Enhancer, whose light is steadied over time; or any image -> image, which is
            given frame after frame.
    """
    if isinstance(enhance, Enhancer) and enhance.strength and enhance.iterations:
        yield from _enhance_steadily(enhance, frames)
    else:
        for frame in frames:
            yield frame.with_pixels(enhance(frame.pixels))


def _enhance_steadily(enhancer: Enhancer, frames: Iterable[Frame]) -> Iterator[Frame]:
    """What is found for each frame is averaged as a video's is."""
    paper = enhancer.look == PAPER

    def find(stack: np.ndarray) -> tuple[float, tuple[np.ndarray, ...]]:
        image = stack if stack.shape[2] == 3 else stack[..., 0]
        factor = enhancer.factor(image)
        if paper:
            return float(factor.mean()), (factor,)
        found = enhancer.treatment(image, factor)
        sigma = np.float32([found.sigma])
        white = 1 if image.dtype.kind == "f" else np.iinfo(image.dtype).max
        return log_light(image.mean() / white), (found.black, found.slope, found.offset, sigma)

    def made(frame: Frame, values: tuple[np.ndarray, ...]) -> Frame:
        if paper:
            return frame.with_pixels(enhancer.apply(frame.pixels, *values))
        *parts, sigma = values
        treatment = Treatment(*parts, float(sigma[0]))
        return frame.with_pixels(enhancer.apply_treatment(frame.pixels, treatment))

    smoother, time = None, 0.0
    for frame in frames:
        if smoother is None:
            large = frame.pixels.shape[0] * frame.pixels.shape[1] > LARGE
            weigh = weigh_by_own if paper else weigh_by_light
            smoother = Smoother(find, SECONDS, weigh, live=large)
        for held, values, _ in smoother.add(frame, as_stack(frame.pixels), time):
            yield made(held, values)
        time += max(frame.milliseconds / 1000, LEAST)
    if smoother is not None:
        for held, values, _ in smoother.finish():
            yield made(held, values)


def write_animation(
    enhance: Callable[[np.ndarray], np.ndarray],
    animation: Animation,
    file: BinaryIO,
    suffix: str,
    prepare: Callable[[Photo], Photo] | None = None,
) -> None:
    """Enhance an animation into a file of another one, with its times and repeats.

    Args:
        enhance: as of enhance_frames.
        suffix: of MOVING_SUFFIXES.
        prepare: what is done to each frame first.

    Raises:
        ImageError: a frame is damaged, or the type cannot hold it.
    """
    writer = WRITERS[FORMAT_OF_SUFFIX[suffix.lower()]](file, animation)
    frames = animation.frames()
    if prepare:
        frames = (prepared(frame, prepare) for frame in frames)
    for frame in enhance_frames(enhance, frames):
        writer.add(frame)
    writer.finish()


def prepared(frame: Frame, prepare: Callable[[Photo], Photo]) -> Frame:
    """What is done to a photograph first, done to a frame."""
    photo = prepare(Photo(frame.pixels, frame.alpha))
    return replace(frame, pixels=photo.pixels, alpha=photo.alpha)
