"""Image in, image out, on the fastest path of the device.

enhancer = Enhancer()
bright = enhancer(dark)  # [H, W, 3] RGB, uint8, uint16 or float in [0, 1]
bright = enhancer("photo.jpg")  # or a PIL image; alpha passes through
"""

from pathlib import Path

import numpy as np

from sgz.inputs import enhance_other, is_plain
from sgz.kernels import rgb
from sgz.look.options import PAPER, choose_look
from sgz.look.treatment import Treatment, adjust_factor, black_of, treat
from sgz.machine import choose_device, count_cores
from sgz.method import ITERATIONS, SCALE_FACTOR, check_iterations, check_strength, small_size
from sgz.pixels import PEAK, as_image, as_stack, check_factor
from sgz.processor import PACKAGED, ProcessorPath


class Enhancer:
    """Enhances pictures with one set of weights; safe to call from several threads.

    It may be pickled and deep-copied, and goes on in a forked process.

    Args:
        weight: a checkpoint of EnhanceNet (ours, the authors' or Zero-DCE++'s); None for the one
            in the package.
        scale_factor: the network sees the image shrunk by this whole number; 12 in the paper.
        iterations: how often the curve is applied; 8 in the paper. More brightens more.
        strength: multiplies the factor map, which is then clamped to [-1, 1]; 0 returns the input.
        device: a torch device by name, or "auto" for a GPU where there is one, else the CPU.
        conv_type: of the checkpoint: "dsc", "tc" or "dc".
        threads: on the CPU; None takes all cores.
        look: "paper", the curve alone, or "natural", with all the parts below (docs/look.md).
        black_point, exposure, map, denoise, hue_preserving: the look's parts, each in place of
            what the look has; see sgz/look/options.py. `strength` multiplies exposure's.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        ValueError: an argument is not what is listed here.
    """

    def __init__(
        self,
        weight: str | Path | None = None,
        scale_factor: int = SCALE_FACTOR,
        iterations: int = ITERATIONS,
        strength: float = 1.0,
        device: str = "auto",
        conv_type: str = "dsc",
        threads: int | None = None,
        look: str = "paper",
        black_point: bool | None = None,
        exposure: bool | None = None,
        map: str | None = None,
        denoise: str | float | None = None,
        hue_preserving: bool | None = None,
    ):
        if scale_factor < 1 or scale_factor != int(scale_factor):
            raise ValueError(f"scale_factor must be a whole number from 1, not {scale_factor}")
        self.scale_factor = int(scale_factor)
        self.iterations = check_iterations(iterations)
        self.strength = check_strength(strength)
        self.look = choose_look(
            look,
            black_point=black_point,
            exposure=exposure,
            map=map,
            denoise=denoise,
            hue_preserving=hue_preserving,
        )
        self.device = choose_device(str(device))
        weight = PACKAGED / "Epoch99.pth" if weight is None else Path(weight)
        if self.device == "cpu":
            self.path = ProcessorPath(weight, conv_type, threads or count_cores())
        else:
            from sgz.device import DevicePath  # late: torch takes a second, and may be absent

            self.path = DevicePath(weight, conv_type, self.device)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Enhance [H, W, 3] RGB or [H, W] gray; the result has its shape and type.

        Args:
            image: uint8 or uint16 over their whole range, or float in [0, 1]. Also [H, W, 4] RGBA
                or [H, W, 2], whose alpha passes through; a PIL image, for a PIL image; the path
                of a photograph, for its pixels as an array, upright.

        Raises:
            ValueError: another shape or type, or floats outside [0, 1].
            ImageError: the path leads to no photograph.
        """
        if not is_plain(image):
            return enhance_other(self, image)
        stack = as_stack(image)
        if self.strength == 0 or self.iterations == 0:
            return image.copy()
        if self.look != PAPER:
            return self.apply_treatment(image, self.treatment(image))
        stack = self.path.upload(stack)
        if self.scale_factor > 1:
            factor = self.path.factor(stack, self.scale_factor)
            factor = scaled(factor, stack.shape[2], self.strength)
            result = self.path.apply(stack, factor, self.scale_factor, self.iterations)
        else:  # the map is as large as the image: applied tile by tile, it is never held whole
            result = self.path.empty_like(stack)
            for part, factor in self.path.factor_tiles(stack, 1):
                tile = scaled(factor, stack.shape[2], self.strength)
                result[part] = self.path.apply(stack[part], tile, 1, self.iterations)
        return as_image(self.path.download(result), image)

    def factor(self, image: np.ndarray) -> np.ndarray:
        """The factor map: [3, ceil(H / scale), ceil(W / scale)] float32 in [-1, 1].

        The network's own; where the look has exposure or keeps hue, as strong as the picture asks
        for, or its three channels equal.
        """
        stack = as_stack(image)
        if self.look != PAPER:
            return self._find_factor(black_of(self.shrink(image), self.look)[1])
        return self.path.download(self.path.factor(self.path.upload(stack), self.scale_factor))

    def factor_of_small(self, small: np.ndarray) -> np.ndarray:
        """The map [3, h, w], times strength, of a picture [h, w, 3] shrunk by the caller.

        The caller subtracts the black point, if there is to be one.
        """
        seen = np.ascontiguousarray(as_stack(small).transpose(2, 0, 1))
        return scaled(self._find_factor(seen), 3, self.strength)

    def apply(
        self,
        image: np.ndarray,
        factor: np.ndarray,
        strength: float | None = None,
        iterations: int | None = None,
    ) -> np.ndarray:
        """Apply a factor map to the image it was made from (or one of the same size).

        Args:
            image: as in a call.
            factor: as factor() returns it.
            strength, iterations: in place of the enhancer's own.

        Raises:
            ValueError: as in a call, or the map does not fit the image or is not in [-1, 1].
        """
        stack = as_stack(image)
        strength = self.strength if strength is None else check_strength(strength)
        rounds = self.iterations if iterations is None else check_iterations(iterations)
        check_factor(factor, (3, *small_size(stack.shape, self.scale_factor)))
        if strength == 0 or rounds == 0:
            return image.copy()
        if self.look != PAPER:
            treatment = self.treatment(image, factor, strength, rounds)
            return self.apply_treatment(image, treatment, rounds)
        stack = self.path.upload(stack)
        factor = scaled(self.path.upload(factor), stack.shape[2], strength)
        result = self.path.apply(stack, factor, self.scale_factor, rounds)
        return as_image(self.path.download(result), image)

    def shrink(self, image: np.ndarray) -> np.ndarray:
        """What the network sees of an image: [C, h, w] float32 in [0, 1]."""
        return rgb.shrink(as_stack(image), self.scale_factor)

    def treatment(
        self,
        image: np.ndarray,
        factor: np.ndarray | None = None,
        strength: float | None = None,
        iterations: int | None = None,
        small: np.ndarray | None = None,
    ) -> Treatment:
        """What the look does to an image: its black point, its map, its noise.

        Args:
            factor: of factor(); left out, the network is asked.
            strength, iterations: in place of the enhancer's own.
            small: of shrink(); given where the image is a preview of another one, whose `small`
                and factor map these are.
        """
        stack = as_stack(image)
        strength = self.strength if strength is None else strength
        rounds = self.iterations if iterations is None else iterations
        small = self.shrink(image) if small is None else small
        black, seen = black_of(small, self.look)
        factor = self._find_factor(seen) if factor is None else factor
        factor = scaled(factor, len(seen), strength)
        return treat(stack, seen, black, factor, self.look, rounds, PEAK[stack.dtype])

    def apply_treatment(
        self, image: np.ndarray, treatment: Treatment, iterations: int | None = None
    ) -> np.ndarray:
        """Enhance an image as a treatment says, whose maps are the image's or of its full size."""
        stack = as_stack(image)
        rounds = self.iterations if iterations is None else iterations
        scale = 1 if treatment.slope.shape[1:] == stack.shape[:2] else self.scale_factor
        result = self.path.apply_look(self.path.upload(stack), treatment, scale, rounds)
        return as_image(self.path.download(result), image)

    def _find_factor(self, seen: np.ndarray) -> np.ndarray:
        """The map [3, h, w] that the look makes of the network's of [C, h, w]."""
        stack = np.ascontiguousarray(seen.transpose(1, 2, 0))
        factor = self.path.download(self.path.factor(self.path.upload(stack), 1))
        return adjust_factor(factor, seen, self.look, self.iterations)


def scaled(factor, channels: int, strength: float):
    """The map times strength, in [-1, 1]; its mean channel for gray, which so stays gray."""
    if channels == 1:
        factor = factor.mean(axis=0, keepdims=True)
    return factor if strength == 1 else (factor * strength).clip(-1, 1)
