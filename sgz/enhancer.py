"""Image in, image out, on the fastest path of the device.

enhancer = Enhancer()
bright = enhancer(dark)  # [H, W, 3] RGB, uint8, uint16 or float in [0, 1]
"""

from pathlib import Path

import numpy as np

from sgz.look.exposure import fit_strength
from sgz.machine import choose_device, count_cores
from sgz.method import ITERATIONS, SCALE_FACTOR, small_size
from sgz.pixels import as_image, as_stack
from sgz.processor import PACKAGED, ProcessorPath


class Enhancer:
    """Enhances pictures with one set of weights; safe to call from several threads.

    Args:
        weight: a checkpoint of EnhanceNet (ours, the authors' or Zero-DCE++'s); None for the one
            in the package.
        scale_factor: the network sees the image shrunk by this whole number; 12 in the paper.
        iterations: how often the curve is applied; 8 in the paper. More brightens more.
        strength: multiplies the factor map, which is then clamped to [-1, 1]; 0 returns the input.
        device: a torch device by name, or "auto" for a GPU where there is one, else the CPU.
        conv_type: of the checkpoint: "dsc", "tc" or "dc".
        threads: on the CPU; None takes all cores.
        auto_exposure: give each picture's map the strength that its mean asks for (exposure.py);
            `strength` then multiplies that.

    Raises:
        CheckpointError: the checkpoint cannot be used.
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
        auto_exposure: bool = False,
    ):
        if scale_factor < 1 or scale_factor != int(scale_factor):
            raise ValueError(f"scale_factor must be a whole number from 1, not {scale_factor}")
        self.scale_factor = int(scale_factor)
        self.iterations = iterations
        self.strength = strength
        self.auto_exposure = auto_exposure
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
            image: uint8 or uint16 over their whole range, or float in [0, 1].

        Raises:
            ValueError: another shape or type, or floats outside [0, 1].
        """
        stack = as_stack(image)
        if self.strength == 0 or self.iterations == 0:
            return image.copy()
        stack = self.path.upload(stack)
        if self.scale_factor > 1 or self.auto_exposure:
            factor = self.find_factor(stack, self.scale_factor)
            factor = self.scaled(factor, stack, self.strength)
            result = self.path.apply(stack, factor, self.scale_factor, self.iterations)
        else:  # the map is as large as the image: applied tile by tile, it is never held whole
            result = self.path.empty_like(stack)
            for part, factor in self.path.factor_tiles(stack, 1):
                tile = self.scaled(factor, stack, self.strength)
                result[part] = self.path.apply(stack[part], tile, 1, self.iterations)
        return as_image(self.path.download(result), image)

    def factor(self, image: np.ndarray) -> np.ndarray:
        """The factor map: [3, ceil(H / scale), ceil(W / scale)] float32 in [-1, 1].

        The network's own, or with auto_exposure as strong as the picture asks for.
        """
        stack = self.path.upload(as_stack(image))
        return self.path.download(self.find_factor(stack, self.scale_factor))

    def factor_of_small(self, small: np.ndarray) -> np.ndarray:
        """The map [3, h, w], times strength, of a picture [h, w, 3] shrunk by the caller."""
        stack = self.path.upload(as_stack(small))
        return self.path.download(self.scaled(self.find_factor(stack, 1), stack, self.strength))

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
            ValueError: as in a call, or the map does not fit the image.
        """
        stack = as_stack(image)
        strength = self.strength if strength is None else strength
        rounds = self.iterations if iterations is None else iterations
        expected = (3, *small_size(stack.shape, self.scale_factor))
        if factor.shape != expected:
            raise ValueError(f"the factor map is {factor.shape}, this image's would be {expected}")
        if strength == 0 or rounds == 0:
            return image.copy()
        stack = self.path.upload(stack)
        factor = self.scaled(self.path.upload(factor), stack, strength)
        result = self.path.apply(stack, factor, self.scale_factor, rounds)
        return as_image(self.path.download(result), image)

    def find_factor(self, stack, scale: int):
        """factor() on the device."""
        factor = self.path.factor(stack, scale)
        if not self.auto_exposure:
            return factor
        small, found = map(self.path.download, (self.path.shrink(stack, scale), factor))
        return (factor * fit_strength(small, found, self.iterations)).clip(-1, 1)

    def scaled(self, factor, stack, strength: float):
        """The map times strength, in [-1, 1]; its mean channel for gray, which so stays gray."""
        if stack.shape[2] == 1:
            factor = factor.mean(axis=0, keepdims=True)
        return factor if strength == 1 else (factor * strength).clip(-1, 1)
