"""The path of a processor: the network in ONNX Runtime, the curve in a compiled kernel."""

import ctypes
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sgz import __version__, onnx_graph
from sgz.errors import CheckpointError
from sgz.files import cached
from sgz.kernels import natural, rgb
from sgz.look.denoise import shrinkage_of
from sgz.look.treatment import Treatment
from sgz.method import receptive_radius, small_size
from sgz.pixels import PEAK
from sgz.tiling import tiles

TILE = 256  # side of the tiles in network pixels; at 384 they take 300 MB more
SMALL_IMAGE = 200_000  # values; below, starting threads costs more than they save
PACKAGED = Path(__file__).parent / "weights"  # the weights in the box, and their network as ONNX


def network_of(weight: Path, conv_type: str) -> bytes:
    """A checkpoint's network as ONNX: the packaged one, or built once and cached.

    Raises:
        CheckpointError: the file cannot be used, or there is no torch to read it with.
    """
    try:
        content = weight.read_bytes()
    except OSError:
        content = b""  # load_model says what is wrong with the file
    if conv_type == "dsc" and content == (PACKAGED / "Epoch99.pth").read_bytes():
        return (PACKAGED / "Epoch99.onnx").read_bytes()

    def build() -> bytes:
        try:
            from sgz.model import load_model  # late: torch takes a second, and may be absent
        except ImportError as error:
            raise CheckpointError(
                f"reading {weight} needs PyTorch; pip install 'sgz[export]'"
            ) from error
        return onnx_graph.network_to_onnx(load_model(weight, conv_type=conv_type))

    parts = (content, conv_type.encode(), __version__.encode())
    return cached(hashlib.sha256(b"\0".join(parts)).hexdigest(), build) if content else build()


class ProcessorPath:
    """Factor maps and enhanced pixels, all as NumPy arrays.

    Args:
        weight, conv_type: as Enhancer's.
        threads: that share the work.

    Raises:
        CheckpointError: as of network_of.
    """

    def __init__(self, weight: Path, conv_type: str, threads: int):
        self._set(network_of(weight, conv_type), receptive_radius(conv_type), threads)

    def _set(self, network: bytes, halo: int, threads: int) -> None:
        self.network, self.halo, self.threads = network, halo, threads
        self._workers = self._start()

    def _start(self) -> tuple:
        """This process's own (process, session, pool): all that has threads."""
        session = onnx_graph.open_session(self.network, self.threads)
        pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        return os.getpid(), session, pool

    def _current(self) -> tuple:
        """The same, anew where this process is a fork of the one that started them."""
        if self._workers[0] != os.getpid():
            # The parent's threads are not here; closing its session would wait for them.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._workers[1]))
            self._workers = self._start()
        return self._workers

    @property
    def session(self):
        return self._current()[1]

    @property
    def pool(self) -> ThreadPoolExecutor | None:
        return self._current()[2]

    def __getstate__(self) -> tuple:
        return self.network, self.halo, self.threads

    def __setstate__(self, state: tuple) -> None:
        self._set(*state)

    def upload(self, array: np.ndarray) -> np.ndarray:
        return array

    download = upload
    empty_like = staticmethod(np.empty_like)

    def factor(self, stack: np.ndarray, scale: int) -> np.ndarray:
        """The factor map [3, h, w] float32 of [H, W, C]."""
        whole = np.empty((3, *small_size(stack.shape, scale)), np.float32)
        for (rows, columns), factor in self.factor_tiles(stack, scale):
            whole[:, rows, columns] = factor
        return whole

    def factor_tiles(self, stack: np.ndarray, scale: int) -> Iterator[tuple]:
        """(rows, columns) of the map and its values [3, h, w] there, tile by tile."""
        for inner, outer, place in tiles(stack.shape[:2], scale, TILE, self.halo):
            small = rgb.shrink(stack[outer], scale)
            if small.shape[0] == 1:
                small = np.repeat(small, 3, axis=0)
            factor = self.session.run(None, {"image": small[None]})[0][0]
            yield inner, factor[:, place[0], place[1]]

    def apply(
        self, stack: np.ndarray, factor: np.ndarray, scale: int, iterations: int
    ) -> np.ndarray:
        """[H, W, C] and its map [C, h, w] -> [H, W, C] enhanced."""
        return rgb.apply_factor(stack, factor, scale, iterations, self.pool, self._bands(stack))

    def apply_look(
        self, stack: np.ndarray, treatment: Treatment, scale: int, iterations: int
    ) -> np.ndarray:
        """[H, W, C] -> [H, W, C] with a look."""
        shrinkage = None
        if treatment.sigma:
            shrinkage = shrinkage_of(treatment.sigma * PEAK[stack.dtype], stack.shape)
        parts = treatment.black, treatment.slope, treatment.offset
        bands = self._bands(stack)
        return natural.apply_look(stack, *parts, scale, iterations, shrinkage, self.pool, bands)

    def _bands(self, stack: np.ndarray) -> int:
        return self.threads if stack.size > SMALL_IMAGE else 1
