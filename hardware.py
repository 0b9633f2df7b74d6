"""What the machine has and how work gets there: cores, devices, kernels and their threads."""

import os
import platform
import re
import sys
from collections.abc import Callable
from concurrent.futures import Executor
from itertools import pairwise
from pathlib import Path

from utils import UserError


def count_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine(device=None) -> str:
    """The processor, its cores, the GPU if `device` is one, and torch's version, in words."""
    import torch

    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    words = [found[1] if found else platform.processor() or platform.machine()]
    words.append(f"{count_cores()} cores")
    if device is not None and device.type == "cuda":
        words.append(torch.cuda.get_device_name(device))
    return ", ".join([*words, f"torch {torch.__version__}"])


def gpu_in_sight() -> bool:
    """Whether it is worth asking torch for one, which takes a second to import."""
    if sys.platform != "linux":
        return True
    return any(any(Path("/dev").glob(name)) for name in ("nvidia[0-9]*", "kfd", "dxg"))


def has_cuda() -> bool:
    """Whether torch has a CUDA device here."""
    if not gpu_in_sight():
        return False
    import torch

    return torch.cuda.is_available()


def device_word(name: str = "auto") -> str:
    """choose_device's choice in a word; for a processor without importing torch."""
    if name == "cpu" or (name == "auto" and not gpu_in_sight()):
        return "cpu"
    return str(choose_device(name))


def choose_device(name: str = "auto"):
    """A torch.device: "auto" takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        UserError: the named device is not there.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {name} is not available here; try --device cpu") from error
    return device


def start_accelerator(name: str = "auto", mixed_precision: str | None = None):
    """accelerate's Accelerator, and the torch.device of this process.

    Args:
        name: as of choose_device; where several processes were launched, each has its own device.
        mixed_precision: "no", "fp16", "bf16"; None for what accelerate's launcher was told.

    Raises:
        UserError: the device or the precision cannot be had.
    """
    from accelerate import Accelerator

    device = choose_device(name)
    if mixed_precision == "fp16" and device.type == "cpu":
        raise UserError("fp16 needs a GPU; on a processor take --mixed_precision bf16 or no")
    try:
        # device_placement would move batches and network itself; cpu=True chooses gloo.
        accelerator = Accelerator(
            mixed_precision=mixed_precision, cpu=device.type == "cpu", device_placement=False
        )
    except (ValueError, RuntimeError) as error:
        raise UserError(f"cannot start on {device}: {error}") from error
    return accelerator, accelerator.device if accelerator.num_processes > 1 else device


def compile_kernel(function: Callable, signature, **more):
    """numba's compiled function, from its cache on disk where that can be written.

    It runs without Python's lock; `signature` is of numba's types, `more` are numba's options.
    """
    import numba

    options = {"nogil": True, "error_model": "numpy", **more}
    try:
        return numba.njit(signature, cache=True, **options)(function)
    except (RuntimeError, OSError):  # no folder for the cache, or its disk is full
        return numba.njit(signature, **options)(function)


def share_out(
    work: Callable[[int, int], object], length: int, pool: Executor | None, bands: int
) -> None:
    """Run work(first, last) on `bands` parts of 0..length: the first here, the others in the pool.

    Errors come through. Without a pool all of it is done here.
    """
    bands = bands if pool else 1
    spans = list(pairwise(length * band // bands for band in range(bands + 1)))
    others = [pool.submit(work, *span) for span in spans[1:]]
    work(*spans[0])
    for other in others:
        other.result()
