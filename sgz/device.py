"""The path of a GPU: pixels go there once, as they are; a compiled pass does the curve.

Where its memory runs out, the pixels are worked on in strips of rows and the network's in smaller
tiles. What is found out about a picture (map, black point, noise) is the whole picture's as ever,
and a row's values do not depend on the strip it lies in, so that the result is the same.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sgz.errors import UserError
from sgz.kernels import rgb
from sgz.kernels.denoise import Shrinkage
from sgz.look.denoise import COLOURS, SIDE, dct_matrix, shrinkage_of
from sgz.look.treatment import Treatment
from sgz.method import receptive_radius, small_size
from sgz.model import apply_curve, load_model
from sgz.tiling import tiles

TILE = 2048  # side of the tiles in network pixels
SMALLEST_TILE = 128
LEAST_ROWS = 64  # of a strip; a multiple of the denoiser's step, as all but the last have to be
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
        self.curve, self.look = curve_on_device, look_on_device
        if self.device.type == "cuda":
            # Each step of the curve has the one before in it three times: written out, the compiler
            # would take minutes. Few operations at a time; it fuses them in the end.
            options = {"realize_opcount_threshold": 8}
            self.look = torch.compile(look_on_device, dynamic=True, options=options)
            self.curve = torch.compile(curve_on_device, dynamic=True, options=options)

    def __reduce__(self):
        return DevicePath, self.arguments  # a compiled pass cannot be pickled

    def upload(self, array: np.ndarray) -> Tensor:
        """The array on the device; what is too large for it stays, and goes there in parts."""
        tensor = torch.from_numpy(np.require(array, requirements="CW"))
        try:
            return tensor.to(self.device)
        except RuntimeError as error:
            give_way(error, self.device)
        return tensor

    def download(self, tensor: Tensor) -> np.ndarray:
        return tensor.cpu().numpy()

    def empty_like(self, stack: Tensor) -> Tensor:
        """Where a picture's tiles come together: not on the device, which needs its memory."""
        return torch.empty_like(stack, device="cpu")

    def shrink(self, stack: Tensor, scale: int) -> Tensor:
        """rgb.shrink for a tensor: [H, W, C] -> [C, h, w]."""

        def read(y: np.ndarray, x: np.ndarray):
            y, x = (torch.from_numpy(positions).to(stack.device) for positions in (y, x))
            return to_unit(stack[y[:, None], x].to(self.device))

        return rgb.read_cells(read, stack.shape[:2], scale).permute(2, 0, 1)

    def factor(self, stack: Tensor, scale: int) -> Tensor:
        """The factor map [3, h, w] float32 of [H, W, C]."""
        whole = stack.new_empty((3, *small_size(stack.shape, scale)), dtype=torch.float32)
        for (rows, columns), factor in self.factor_tiles(stack, scale):
            whole[:, rows, columns] = factor
        return whole

    def factor_tiles(self, stack: Tensor, scale: int) -> Iterator[tuple]:
        """As ProcessorPath's, all on the device; again from the first, smaller, on a shortage."""
        tile = TILE
        while True:
            try:
                for inner, outer, place in tiles(stack.shape[:2], scale, tile, self.halo):
                    with torch.inference_mode():
                        small = self.shrink(stack[outer], scale)[None]
                        factor = self.net.extract(small.expand(1, 3, -1, -1))[0]
                    yield inner, factor[:, place[0], place[1]]
                return
            except RuntimeError as error:
                give_way(error, self.device, tile <= SMALLEST_TILE)
            tile //= 2

    def apply(self, stack: Tensor, factor: Tensor, scale: int, iterations: int) -> Tensor:
        """As ProcessorPath's, on the device; in strips that meet on the host if need be."""

        def work(first: int, last: int) -> Tensor:
            part = stack[first:last].to(self.device)
            return self.curve(part, self._rows(factor, scale, first, last), scale, iterations)

        return by_strips(work, len(stack), self.device)

    def apply_look(
        self, stack: Tensor, treatment: Treatment, scale: int, iterations: int
    ) -> Tensor:
        """As apply, with a look."""
        black = torch.from_numpy(treatment.black).to(self.device)
        slope, offset = torch.from_numpy(treatment.slope), torch.from_numpy(treatment.offset)
        shrinkage = shrinkage_of(treatment.sigma, stack.shape) if treatment.sigma else None

        def work(first: int, last: int) -> Tensor:
            if shrinkage:
                values = denoise_on_device(stack, shrinkage, self.device, first, last)
            else:
                values = to_unit(stack[first:last].to(self.device))
            rows = (self._rows(part, scale, first, last) for part in (slope, offset))
            return self.look(values, black, *rows, scale, iterations, stack.dtype)

        return by_strips(work, len(stack), self.device)

    def _rows(self, small: Tensor, scale: int, first: int, last: int) -> Tensor:
        """Rows first to last of a map [M, h, w] enlarged downwards, corners aligned: [M, n, w]."""
        places, weight = rgb.positions(last, small.shape[1], scale)
        above = torch.from_numpy(places[first:]).to(small.device)
        below = (above + 1).clamp(max=small.shape[1] - 1)
        weight = torch.from_numpy(weight[first:]).to(self.device)
        return torch.lerp(
            small[:, above].to(self.device), small[:, below].to(self.device), weight[:, None]
        )


def give_way(error: RuntimeError, device: torch.device, is_least: bool = False) -> None:
    """Warn that parts are next, where an error of torch's says that there is no memory left.

    Args:
        is_least: there are no smaller parts.

    Raises:
        UserError: there is no memory left, and no smaller part.
        RuntimeError: the error itself, where it is another one.
    """
    # CUDA's has a type of its own, MPS's and the processor's have not.
    if not re.search("out of memory|not enough memory|can't allocate memory", str(error)):
        raise error
    if is_least:
        raise UserError(f"there is too little free memory on {device}", "device") from error
    warnings.warn(
        f"a picture does not fit into the free memory of {device} and is enhanced part by part, "
        "which takes longer and gives the same",
        stacklevel=2,
    )


def by_strips(work: Callable[[int, int], Tensor], height: int, device: torch.device) -> Tensor:
    """work(0, height), or where the device's memory runs out, fewer rows at a time.

    Args:
        work: gives rows first to last of the result, on the device.

    Returns:
        The result on the device; on the host where it was made in strips.

    Raises:
        UserError: not even a few rows fit.
    """
    rows, parts = height, []
    while (first := len(parts) * rows) < height:
        try:
            with torch.inference_mode():
                part = work(first, min(first + rows, height))
            if rows == height:
                return part
            parts.append(part.cpu())
            continue
        except RuntimeError as error:
            give_way(error, device, rows <= LEAST_ROWS)
        # Out of the handler, which holds on to what the attempt had on the device.
        rows, parts = -(-rows // (2 * LEAST_ROWS)) * LEAST_ROWS, []
    return torch.cat(parts)


def to_unit(values: Tensor) -> Tensor:
    """A tensor of uint8, uint16 or float32 as float32 in [0, 1]."""
    return values.float() / PEAK[values.dtype]


def curve_on_device(stack: Tensor, rows: Tensor, scale: int, iterations: int) -> Tensor:
    """rgb.apply_factor for tensors: [H, W, C] and its map, enlarged downwards, [C, H, w]."""
    wide = enlarge_across(rows, scale, stack.shape[1])
    return from_unit(apply_curve(to_unit(stack), wide, iterations), stack.dtype)


def enlarge_across(rows: Tensor, scale: int, width: int) -> Tensor:
    """[M, H, w] -> [H, W, M], bilinear, corners aligned."""
    size = rows.shape[1], rows.shape[2] * scale
    wide = F.interpolate(rows[None], size, mode="bilinear", align_corners=True)[0]
    return wide[:, :, :width].permute(1, 2, 0)


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
    """natural.apply_look for tensors: [H, W, C] float32 in [0, 1] -> [H, W, C] of the type.

    slope and offset are enlarged downwards: [M, H, w].
    """
    maps = enlarge_across(torch.cat((slope, offset)), scale, values.shape[1])
    a, b = maps.chunk(2, dim=2)  # [H, W, M]
    x = (values - black).clamp(min=0) / (1 - black)
    factor = (a * x.amax(2, keepdim=True).sqrt() + b).clamp(-1, 1)
    return from_unit(apply_curve(x, factor, iterations), dtype)


def denoise_on_device(
    stack: Tensor, shrinkage: Shrinkage, device: torch.device, first: int, last: int
) -> Tensor:
    """natural.denoise for a tensor: [H, W, C] -> its rows first to last, float32 in [0, 1].

    See look/denoise.py. first: a multiple of the step, where the picture's own blocks begin.
    """
    channels = stack.shape[2]
    kind = {"dtype": torch.float32, "device": device}
    step, pad, height = shrinkage.step, SIDE - shrinkage.step, last - first
    needed = shrinkage.rows[first : (last - 1 + pad) // step * step + SIDE]
    rows, columns = (
        torch.as_tensor(positions, device=stack.device) for positions in (needed, shrinkage.columns)
    )
    scale, limits = (
        torch.tensor(table, **kind).unflatten(-1, (SIDE, SIDE))
        for table in (shrinkage.scale, shrinkage.limits)
    )
    colours = torch.tensor(COLOURS if channels == 3 else np.eye(1), **kind)
    values = to_unit(stack[rows[:, None], columns].to(device))
    planes = (values @ colours.T).permute(2, 0, 1)
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
    whole = F.fold(parts, covered, SIDE, stride=step)[:, 0, pad : pad + height]
    return (whole[:, :, pad : pad + stack.shape[1]].permute(1, 2, 0) @ colours).clamp(0, 1)
