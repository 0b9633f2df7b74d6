"""numba, with its cache on disk where that can be written."""

import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

FAST = {"contract", "nsz", "arcp"}  # of LLVM's liberties those that keep the order of sums


def compile_kernel(function: Callable, signature, **more):
    """numba's compiled function, from its cache on disk where that can be written.

    It runs without Python's lock; `signature` is of numba's types, `more` are numba's options.
    """
    import numba

    # The cache goes by the kernel's own file and name; the steps it calls lie in others.
    function.__qualname__ = f"{function.__name__}_{state_of_kernels():08x}"
    options = {"nogil": True, "error_model": "numpy", **more}
    try:
        return numba.njit(signature, cache=True, **options)(function)
    except numba.core.errors.NumbaError:
        raise  # the function itself does not compile
    except Exception:  # no folder for the cache, its disk is full, or a file in it is cut short
        return numba.njit(signature, **options)(function)


@cache
def state_of_kernels() -> int:
    """A checksum of all files of this folder."""
    checksum = 0
    for path in sorted(Path(__file__).parent.glob("*.py")):
        checksum = zlib.crc32(path.read_bytes(), checksum)
    return checksum


def fixed(kind, dimensions: int):
    """numba's type of a read-only array, which takes writable ones as well."""
    import numba

    return numba.types.Array(kind, dimensions, "C", readonly=True)
