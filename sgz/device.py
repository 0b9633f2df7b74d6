"""The path of a GPU: pixels go there once, as they are; a compiled pass does the curve."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sgz.kernels import rgb
from sgz.method import receptive_radius, small_size
from sgz.model import apply_curve, enlarge, load_model
from sgz.tiling import tiles

TILE = 2048  # side of the tiles in network pixels
PEAK = {torch.uint8: 255.0, torch.uint16: 65535.0, torch.float32: 1.0}


class DevicePath:
    """Factor maps and enhanced pixels, all as tensors of one device.

    Args:
        weight, conv_type: as Enhancer's.
        device: a torch device by name.

    Raises:
        CheckpointError: the checkpoint cannot be used.
    """

    def __init__(self, weight: Path, conv_type: str, device: str):
        self.device = torch.device(device)
        self.net = load_model(weight, conv_type=conv_type, device=self.device)
        self.halo = receptive_radius(conv_type)
        self.empty_like = torch.empty_like
        self.curve = apply_on_device
        if self.device.type == "cuda":
            self.curve = torch.compile(apply_on_device, dynamic=True)

    def upload(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.require(array, requirements="CW")).to(self.device)

    def download(self, tensor: Tensor) -> np.ndarray:
        return tensor.cpu().numpy()

    def shrink(self, stack: Tensor, scale: int) -> Tensor:
        """rgb.shrink for a tensor: [H, W, C] -> [C, h, w]."""

        def read(y: np.ndarray, x: np.ndarray):
            y, x = (torch.from_numpy(positions).to(stack.device) for positions in (y, x))
            return to_unit(stack[y[:, None], x])

        return rgb.read_cells(read, stack.shape[:2], scale).permute(2, 0, 1)

    def factor(self, stack: Tensor, scale: int) -> Tensor:
        """The factor map [3, h, w] float32 of [H, W, C]."""
        whole = stack.new_empty((3, *small_size(stack.shape, scale)), dtype=torch.float32)
        for (rows, columns), factor in self.factor_tiles(stack, scale):
            whole[:, rows, columns] = factor
        return whole

    def factor_tiles(self, stack: Tensor, scale: int) -> Iterator[tuple]:
        """As ProcessorPath's, all on the device."""
        for inner, outer, place in tiles(stack.shape[:2], scale, TILE, self.halo):
            with torch.inference_mode():
                small = self.shrink(stack[outer], scale)[None]
                factor = self.net.extract(small.expand(1, 3, -1, -1))[0]
            yield inner, factor[:, place[0], place[1]]

    def apply(self, stack: Tensor, factor: Tensor, scale: int, iterations: int) -> Tensor:
        """As ProcessorPath's, all on the device."""
        with torch.inference_mode():
            return self.curve(stack, factor, scale, iterations)


def to_unit(values: Tensor) -> Tensor:
    """A tensor of uint8, uint16 or float32 as float32 in [0, 1]."""
    return values.float() / PEAK[values.dtype]


def apply_on_device(stack: Tensor, factor: Tensor, scale: int, iterations: int) -> Tensor:
    """rgb.apply_factor for tensors: [H, W, C] and [C, h, w] on one device."""
    height, width = stack.shape[:2]
    wide = enlarge(factor[None], scale)[0, :, :height, :width].permute(1, 2, 0)
    x = apply_curve(to_unit(stack), wide, iterations)
    if stack.dtype == torch.float32:
        return x
    return (x * PEAK[stack.dtype] + 0.5).to(stack.dtype)
