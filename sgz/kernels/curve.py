"""The guided map and the curve, over a chunk of n pixels: what all kernels of the looks share."""

import numpy as np
from numba.extending import register_jitable

from sgz.kernels.compile import FAST

ZERO, HALF, ONE, TWO, THREE = (np.float32(value) for value in (0, 0.5, 1, 2, 3))

inline = register_jitable(fastmath=FAST, error_model="numpy")


@inline
def read_map(upper, lower, w0, w1, guide, a, n):
    """A = a g + b of a chunk, from (a, b) of the rows above and below it."""
    above_a, above_b = upper
    below_a, below_b = lower
    for i in range(n):
        value = (w0 * above_a[i] + w1 * below_a[i]) * guide[i]
        value += w0 * above_b[i] + w1 * below_b[i]
        a[i] = min(max(value, -ONE), ONE)


@inline
def brighten(x, a, n, iterations):
    """x <- x + A (x^2 - x), so many times."""
    for _ in range(iterations // 4):  # four at a time stay in registers
        for i in range(n):
            value = x[i]
            value += a[i] * (value * value - value)
            value += a[i] * (value * value - value)
            value += a[i] * (value * value - value)
            x[i] = value + a[i] * (value * value - value)
    for _ in range(iterations % 4):
        for i in range(n):
            x[i] += a[i] * (x[i] * x[i] - x[i])


@inline
def brighten_noise(x, a, gain, n, iterations):
    """The same, and gain <- gain prod (1 + A (2 x - 1))."""
    for _ in range(iterations // 2):  # two at a time stay in registers
        for i in range(n):
            value, times = x[i], gain[i]
            times *= ONE + a[i] * (TWO * value - ONE)
            value += a[i] * (value * value - value)
            gain[i] = times * (ONE + a[i] * (TWO * value - ONE))
            x[i] = value + a[i] * (value * value - value)
    for _ in range(iterations % 2):
        for i in range(n):
            gain[i] *= ONE + a[i] * (TWO * x[i] - ONE)
            x[i] += a[i] * (x[i] * x[i] - x[i])
