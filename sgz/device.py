"""The path of a GPU: pixels go there once, as they are; a compiled pass does the curve."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sgz.kernels import rgb
from sgz.kernels.denoise import Shrinkage
from sgz.look.denoise import COLOURS, SIDE, dct_matrix, shrinkage_of
from sgz.look.treatment import Treatment
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
        self.arguments = (weight, conv_type, device)
        self.device = torch.device(device)
        self.net = load_model(weight, conv_type=conv_type, device=self.device)
        self.halo = receptive_radius(conv_type)
        self.empty_like = torch.empty_like
        self.curve, self.look = apply_on_device, look_on_device
        if self.device.type == "cuda":
            self.look = torch.compile(look_on_device, dynamic=True)
            self.curve = torch.compile(apply_on_device, dynamic=True)

    def __reduce__(self):
        return DevicePath, self.arguments  # a compiled pass cannot be pickled

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

    def apply_look(
        self, stack: Tensor, treatment: Treatment, scale: int, iterations: int
    ) -> Tensor:
        """As ProcessorPath's, all on the device."""
        with torch.inference_mode():
            values = to_unit(stack)
            if treatment.sigma:
                values = denoise_on_device(values, shrinkage_of(treatment.sigma, stack.shape))
            parts = (treatment.black, treatment.slope, treatment.offset)
            tensors = (torch.from_numpy(part).to(self.device) for part in parts)
            return self.look(values, *tensors, scale, iterations, stack.dtype)


def to_unit(values: Tensor) -> Tensor:
    """A tensor of uint8, uint16 or float32 as float32 in [0, 1]."""
    return values.float() / PEAK[values.dtype]


def apply_on_device(stack: Tensor, factor: Tensor, scale: int, iterations: int) -> Tensor:
    """rgb.apply_factor for tensors: [H, W, C] and [C, h, w] on one device."""
    height, width = stack.shape[:2]
    wide = enlarge(factor[None], scale)[0, :, :height, :width].permute(1, 2, 0)
    x = apply_curve(to_unit(stack), wide, iterations)
    return from_unit(x, stack.dtype)


def from_unit(x: Tensor, dtype: torch.dtype) -> Tensor:
    """float32 in [0, 1] as uint8, uint16 or float32, rounded."""
    return x if dtype == torch.float32 else (x * PEAK[dtype] + 0.5).to(dtype)


def look_on_device(
    values: Tensor,
    black: Tensor,
    slope: Tensor,
    offset: Tensor,
    scale: int,
    iterations: int,
    dtype: torch.dtype,
) -> Tensor:
    """natural.apply_look for tensors: [H, W, C] float32 in [0, 1] -> [H, W, C] of the type."""
    height, width = values.shape[:2]
    maps = enlarge(torch.cat((slope, offset))[None], scale)[0, :, :height, :width]
    a, b = maps.permute(1, 2, 0).chunk(2, dim=2)  # [H, W, M]
    x = (values - black).clamp(min=0) / (1 - black)
    factor = (a * x.amax(2, keepdim=True).sqrt() + b).clamp(-1, 1)
    return from_unit(apply_curve(x, factor, iterations), dtype)


def denoise_on_device(values: Tensor, shrinkage: Shrinkage) -> Tensor:
    """natural.denoise for a tensor: [H, W, C] float32 in [0, 1]; see look/denoise.py."""
    height, width, channels = values.shape
    kind = {"dtype": values.dtype, "device": values.device}
    step, pad = shrinkage.step, SIDE - shrinkage.step
    rows, columns = (
        torch.as_tensor(positions, device=values.device)
        for positions in (shrinkage.rows, shrinkage.columns)
    )
    scale, limits = (
        torch.tensor(table, **kind).unflatten(-1, (SIDE, SIDE))
        for table in (shrinkage.scale, shrinkage.limits)
    )
    colours = torch.tensor(COLOURS if channels == 3 else np.eye(1), **kind)
    planes = (values @ colours.T).permute(2, 0, 1)[:, rows[:, None], columns]
    basis = torch.tensor(dct_matrix(), **kind)
    blocks = planes.unfold(1, SIDE, step).unfold(2, SIDE, step)  # [C, R, S, 16, 16]
    coefficients = basis @ blocks @ basis.T
    kept = 1 - (limits * scale)[:, None, None] / coefficients.square().clamp(min=1e-20)
    floors = torch.tensor(shrinkage.floors, **kind)[:, None, None, None, None]
    window = torch.tensor(np.multiply.outer(shrinkage.window, shrinkage.window), **kind)
    blocks = basis.T @ (coefficients * kept.maximum(floors)) @ basis * window
    parts = blocks.permute(0, 3, 4, 1, 2).reshape(channels, SIDE * SIDE, -1)
    size = planes.shape[1:]
    covered = [(side - SIDE) // step * step + SIDE for side in size]
    whole = F.fold(parts, covered, SIDE, stride=step)[:, 0, pad : pad + height, pad : pad + width]
    return (whole.permute(1, 2, 0) @ colours).clamp(0, 1)
