"""Memory of a training process: freed blocks are kept for the next step; none left is told."""

import ctypes
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sgz.errors import UserError

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # parameters of glibc's mallopt, <malloc.h>
NEVER = 0x7FFFFFFF
# CUDA, torch's processor allocator, OpenCV; a killed reader, mostly by the kernel for its memory.
OUT_OF_MEMORY = (
    r"out of memory|can't allocate memory|not enough memory|insufficient (shared )?memory"
    r"|DataLoader worker .* (killed|exited)"
)


def keep_freed_memory() -> None:
    """Have the C library hand out freed blocks again in place of returning them to the kernel.

    A step frees hundreds of megabytes and asks for them again. glibc gives large blocks back at
    once, and every page of the next ones is zeroed by the kernel at its first touch: a third of
    the network's time on a processor. Elsewhere than under glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt:
        mallopt(MMAP_MAX, 0)
        mallopt(TRIM_THRESHOLD, NEVER)


@contextmanager
def running_out_told() -> Iterator[None]:
    """Turn the many ways in which torch, NumPy and OpenCV run out of memory into one sentence.

    Raises:
        UserError: they did.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or re.search(OUT_OF_MEMORY, str(error), re.IGNORECASE):
            reason = str(error).strip().splitlines() or ["no room"]
            raise UserError(f"out of memory ({reason[0]})", "memory") from error
        raise
