"""Image in, image out, on the fastest path of the device.

enhancer = Enhancer("weight/Epoch99.pth")
bright = enhancer(dark)  # [H, W, 3] RGB, uint8, uint16 or float in [0, 1]
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import curve
import graph
from exposure import fit_strength
from hardware import count_cores, has_cuda
from utils import remember

if TYPE_CHECKING:  # it takes torch, a second to import that a processor can do without
    from model import EnhanceNet

TILE = 256  # side of the tiles on the CPU in network pixels; at 384 they take 300 MB more
DEVICE_TILE = 2048
BUILDERS = ("graph", "model")  # a change of these makes remembered graphs anew
PEAKS = {"torch.uint8": 255.0, "torch.uint16": 65535.0, "torch.float32": 1.0}
SMALL_IMAGE = 200_000  # values; below, starting threads costs more than they save


class Enhancer:
    """Enhances pictures with one set of weights; safe to call from several threads.

    Args:
        weight: a checkpoint of EnhanceNet (ours, the authors' or Zero-DCE++'s).
        scale_factor: the network sees the image shrunk by this whole number; 12 in the paper.
        iterations: how often the curve is applied; 8 in the paper. More brightens more.
        strength: multiplies the factor map, which is then clamped to [-1, 1]; 0 returns the input.
        device: a torch device, or "auto" for CUDA where there is one, else the CPU.
        conv_type: of the checkpoint: "dsc", "tc" or "dc".
        threads: on the CPU; None takes all cores.
        auto_exposure: give each picture's map the strength that its mean asks for (exposure.py);
            `strength` then multiplies that.

    Raises:
        model.CheckpointError: the checkpoint cannot be used.
    """

    def __init__(
        self,
        weight: str | Path = "weight/Epoch99.pth",
        scale_factor: int = 12,
        iterations: int = 8,
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
        self.device = str(device)
        if device == "auto":
            self.device = "cuda" if has_cuda() else "cpu"
        if self.device.startswith("cpu"):
            network = graph_of(Path(weight), conv_type)
            self.path = ProcessorPath(network, reach(conv_type), threads or count_cores())
        else:
            import torch

            from model import load_model

            net = load_model(weight, scale_factor, conv_type)
            self.path = DevicePath(net, torch.device(self.device))

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
        expected = (3, *small_size(stack, self.scale_factor))
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


class Reference:
    """The plain way, float32 tensors at full size as in EnhanceNet.forward: the yardstick.

    Args:
        net: in evaluation mode, on the CPU.
        strength: as Enhancer's.
    """

    def __init__(self, net: "EnhanceNet", strength: float = 1.0):
        self.net = net
        self.strength = strength

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """As an Enhancer's call."""
        import torch

        from model import apply_curve

        stack = as_stack(image)
        peak = curve.PEAK[stack.dtype]
        with torch.inference_mode():
            x = torch.from_numpy(stack.astype(np.float32) / peak).permute(2, 0, 1)[None]
            factor = self.net.factor(x.expand(-1, 3, -1, -1))
            if stack.shape[2] == 1:
                factor = factor.mean(1, keepdim=True)
            if self.strength != 1:
                factor = (factor * self.strength).clamp(-1, 1)
            y = apply_curve(x, factor, self.net.iterations)[0].permute(1, 2, 0)
            if peak != 1:
                y = y * peak + 0.5
        return as_image(y.numpy().astype(stack.dtype), image)


def as_stack(image: np.ndarray) -> np.ndarray:
    """[H, W, 3] or [H, W] -> [H, W, 3 or 1], uint8, uint16 or float32; ValueError otherwise."""
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or image.size == 0:
        raise ValueError(f"expected an image [H, W, 3] or [H, W], not one of shape {image.shape}")
    if image.dtype.kind == "f":
        low, high = image.min(), image.max()
        if not (low >= 0 and high <= 1):
            raise ValueError(f"expected floats in [0, 1], found {low} to {high}")
        image = image.astype(np.float32, copy=False)
    elif image.dtype not in curve.PEAK:
        raise ValueError(f"expected uint8, uint16 or floats, not {image.dtype}")
    return image if image.ndim == 3 else image[..., None]


def as_image(stack: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The result with the shape and type of the image it was made from."""
    return stack.reshape(image.shape).astype(image.dtype, copy=False)


def tiles(shape: tuple[int, int], scale: int, tile: int, halo: int) -> Iterator[tuple]:
    """Cut a map into tiles: (its part of the map, what to read of the image, where it lies there).

    A part is rows and columns of the map; what is read is wider by `halo` map pixels where the
    image goes on, so that the network sees at a seam what it sees in one piece.
    """
    small = [-(-side // scale) for side in shape]
    for top in range(0, small[0], tile):
        for left in range(0, small[1], tile):
            inner, outer, place = [], [], []
            for start, side in zip((top, left), small, strict=True):
                stop = min(start + tile, side)
                first, last = max(start - halo, 0), min(stop + halo, side)
                inner.append(slice(start, stop))
                outer.append(slice(first * scale, last * scale))
                place.append(slice(start - first, stop - first))
            yield tuple(inner), tuple(outer), tuple(place)


def small_size(stack, scale: int) -> tuple[int, int]:
    """Height and width of the factor map of an image [H, W, C]."""
    return tuple(-(-side // scale) for side in stack.shape[:2])


def reach(conv_type: str) -> int:
    """How many pixels around one the network sees: one, or two where dilated, for each layer."""
    return 14 if conv_type == "dc" else 7


def graph_of(weight: Path, conv_type: str) -> bytes:
    """The checkpoint's network as ONNX: made once, then remembered with the file's content."""

    def build() -> bytes:
        from model import load_model

        return graph.network_to_onnx(load_model(weight, conv_type=conv_type))

    try:
        made_by = [Path(__file__).with_name(f"{name}.py").read_bytes() for name in BUILDERS]
        parts = [weight.read_bytes(), conv_type.encode(), *made_by]
    except OSError:
        return build()  # which says what is wrong with the file
    return remember(hashlib.sha256(b"".join(parts)).hexdigest(), build)


class ProcessorPath:
    """On the CPU: the network in ONNX Runtime, the curve in its own compiled kernel."""

    def __init__(self, network: bytes, halo: int, threads: int):
        self.session = graph.open_session(network, threads)
        self.halo = halo
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def upload(self, array: np.ndarray) -> np.ndarray:
        return array

    download = upload
    empty_like = staticmethod(np.empty_like)
    shrink = staticmethod(curve.shrink)

    def factor(self, stack: np.ndarray, scale: int) -> np.ndarray:
        """The factor map [3, h, w] float32 of [H, W, C]."""
        whole = np.empty((3, *small_size(stack, scale)), np.float32)
        for (rows, columns), factor in self.factor_tiles(stack, scale):
            whole[:, rows, columns] = factor
        return whole

    def factor_tiles(self, stack: np.ndarray, scale: int) -> Iterator[tuple]:
        """(rows, columns) of the map and its values [3, h, w] there, tile by tile."""
        for inner, outer, place in tiles(stack.shape[:2], scale, TILE, self.halo):
            small = curve.shrink(stack[outer], scale)
            if small.shape[0] == 1:
                small = np.repeat(small, 3, axis=0)
            factor = self.session.run(None, {"image": small[None]})[0][0]
            yield inner, factor[:, place[0], place[1]]

    def apply(
        self, stack: np.ndarray, factor: np.ndarray, scale: int, iterations: int
    ) -> np.ndarray:
        """[H, W, C] and its map [C, h, w] -> [H, W, C] enhanced."""
        bands = self.threads if stack.size > SMALL_IMAGE else 1
        return curve.apply_factor(stack, factor, scale, iterations, self.pool, bands)


class DevicePath:
    """On a GPU: pixels go there as they are, once, and a compiled pass does all but the network."""

    def __init__(self, net: "EnhanceNet", device):
        import torch

        self.net = net.to(device)
        self.device = device
        self.halo = reach(net.conv_type)
        self.empty_like = torch.empty_like
        self.curve = apply_on_device
        if device.type == "cuda":
            self.curve = torch.compile(apply_on_device, dynamic=True)

    def upload(self, array: np.ndarray):
        import torch

        return torch.from_numpy(np.require(array, requirements="CW")).to(self.device)

    def download(self, tensor) -> np.ndarray:
        return tensor.cpu().numpy()

    def shrink(self, stack, scale: int):
        """curve.shrink for a tensor: [H, W, C] -> [C, h, w]."""
        import torch

        def read(y: np.ndarray, x: np.ndarray):
            y, x = (torch.from_numpy(positions).to(stack.device) for positions in (y, x))
            return to_unit(stack[y[:, None], x])

        return curve.read_cells(read, stack.shape[:2], scale).permute(2, 0, 1)

    def factor(self, stack, scale: int):
        """The factor map [3, h, w] float32 of [H, W, C]."""
        import torch

        whole = stack.new_empty((3, *small_size(stack, scale)), dtype=torch.float32)
        for (rows, columns), factor in self.factor_tiles(stack, scale):
            whole[:, rows, columns] = factor
        return whole

    def factor_tiles(self, stack, scale: int) -> Iterator[tuple]:
        """As ProcessorPath's, all on the device."""
        import torch

        for inner, outer, place in tiles(stack.shape[:2], scale, DEVICE_TILE, self.halo):
            with torch.inference_mode():
                small = self.shrink(stack[outer], scale)[None]
                factor = self.net.extract(small.expand(1, 3, -1, -1))[0]
            yield inner, factor[:, place[0], place[1]]

    def apply(self, stack, factor, scale: int, iterations: int):
        """As ProcessorPath's, all on the device."""
        import torch

        with torch.inference_mode():
            return self.curve(stack, factor, scale, iterations)


def to_unit(values):
    """A tensor of uint8, uint16 or float32 as float32 in [0, 1]."""
    return values.float() / PEAKS[str(values.dtype)]


def apply_on_device(stack, factor, scale: int, iterations: int):
    """curve.apply_factor for tensors: [H, W, C] and [C, h, w] on one device."""
    import torch

    from model import apply_curve, enlarge

    height, width = stack.shape[:2]
    wide = enlarge(factor[None], scale)[0, :, :height, :width].permute(1, 2, 0)
    x = apply_curve(to_unit(stack), wide, iterations)
    if stack.dtype == torch.float32:
        return x
    return (x * PEAKS[str(stack.dtype)] + 0.5).to(stack.dtype)
