"""What the machine has: cores and devices."""

import importlib.util
import os
import platform
import re
import sys
from contextlib import suppress
from pathlib import Path

from sgz.errors import UserError


def count_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Bytes of memory that are free for this process now; 4 GiB where the system does not tell."""
    found = [4 << 30]
    with suppress(OSError, AttributeError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable"))
        found = [int(kilobytes) * 1024]
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # a container's limit; "max" where it has none
        limit = int((group / "memory.max").read_text())
        found.append(limit - int((group / "memory.current").read_text()))
    return max(min(found), 0)


def describe_machine(device: str = "cpu") -> str:
    """The processor, its cores, the GPU if `device` is one, and torch's version, in words."""
    import torch  # the package itself does without

    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    words = [found[1] if found else platform.processor() or platform.machine()]
    words.append(f"{count_cores()} cores")
    if device.startswith("cuda"):
        words.append(torch.cuda.get_device_name(device))
    return ", ".join([*words, f"torch {torch.__version__}"])


def is_gpu_in_sight() -> bool:
    """Whether it is worth asking torch for one, which takes a second to import."""
    if importlib.util.find_spec("torch") is None:
        return False
    if sys.platform != "linux":
        return True
    return any(any(Path("/dev").glob(name)) for name in ("nvidia[0-9]*", "kfd", "dxg"))


def choose_device(name: str = "auto") -> str:
    """A torch device by name: "auto" takes CUDA, then Apple's MPS, then the CPU.

    torch is not imported where it is plain that there is the CPU alone.

    Raises:
        UserError: the named device is not there.
    """
    if name == "cpu" or (name == "auto" and not is_gpu_in_sight()):
        return "cpu"
    try:
        import torch  # late: it takes a second, which a processor can do without
    except ImportError as error:
        raise UserError(f"device {name} needs PyTorch; pip install torch, or take cpu") from error
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=torch.device(name))
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {name} is not available here", "device") from error
    return name
