"""numba, with its cache on disk where that can be written."""

from collections.abc import Callable


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
