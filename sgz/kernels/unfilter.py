"""PNG's filters undone (ISO/IEC 15948, section 9), compiled."""

from functools import lru_cache

import numpy as np

from sgz.kernels.compile import compile_kernel


@lru_cache(maxsize=1)
def unfilter_kernel():
    """The compiled unfilter: (filtered, pixels, first row, bytes of a pixel) -> success."""
    import numba

    filtered = numba.types.Array(numba.uint8, 2, "C")
    whole = numba.int64
    return compile_kernel(unfilter, numba.boolean(filtered, filtered, whole, whole))


def unfilter(filtered, pixels, top, channels):
    """Undo the filters of rows [n, 1 + W * C] into rows top to top + n of pixels [H, W * C].

    C is the bytes of a pixel: of 16 bits a channel each byte is filtered by itself.
    """

    def paeth(left, above, corner):
        to_left = abs(above - corner)
        to_above = abs(left - corner)
        to_corner = abs(left + above - corner - corner)
        other = above if to_above <= to_corner else corner
        return left if to_left <= min(to_above, to_corner) else other

    length = pixels.shape[1]
    nothing = np.zeros(length, np.uint8)
    low = np.int32(255)
    for y in range(filtered.shape[0]):
        kind = filtered[y, 0]
        source = filtered[y, 1:]
        target = pixels[top + y]
        above = pixels[top + y - 1] if top + y else nothing
        if kind == 0:
            target[:] = source
        elif kind == 1:  # less the pixel to the left
            target[:channels] = source[:channels]
            for i in range(channels, length):
                target[i] = np.uint8(source[i] + target[i - channels])
        elif kind == 2:  # less the one above
            for i in range(length):
                target[i] = np.uint8(source[i] + above[i])
        elif kind == 3:  # less the mean of both
            for i in range(channels):
                target[i] = np.uint8(source[i] + (above[i] >> 1))
            for i in range(channels, length):
                mean = (np.int32(target[i - channels]) + np.int32(above[i])) >> 1
                target[i] = np.uint8(source[i] + mean)
        elif kind == 4:  # less Paeth's choice of left, above and the one between
            c = 0
            if channels > 2:  # three channels side by side: each waits for its pixel to the left
                r = g = b = rc = gc = bc = np.int32(0)
                for i in range(0, length, channels):
                    ra, ga, ba = (
                        np.int32(above[i]),
                        np.int32(above[i + 1]),
                        np.int32(above[i + 2]),
                    )
                    r = (np.int32(source[i]) + paeth(r, ra, rc)) & low
                    g = (np.int32(source[i + 1]) + paeth(g, ga, gc)) & low
                    b = (np.int32(source[i + 2]) + paeth(b, ba, bc)) & low
                    target[i], target[i + 1], target[i + 2] = r, g, b
                    rc, gc, bc = ra, ga, ba
                c = 3
            while c < channels:
                left = corner = np.int32(0)
                for i in range(c, length, channels):
                    up = np.int32(above[i])
                    left = (np.int32(source[i]) + paeth(left, up, corner)) & low
                    target[i] = left
                    corner = up
                c += 1
        else:
            return False
    return True
