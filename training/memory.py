"""Memory of a training process: blocks that were freed are kept for the next step."""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # parameters of glibc's mallopt, <malloc.h>
NEVER = 0x7FFFFFFF


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
