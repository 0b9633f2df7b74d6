"""Black point: what of each channel is no light but the sensor's offset and the lens's veil.

The method multiplies shadows, so an offset of a few levels, often a coloured one, becomes a pale
veil. In most photographs something is black: the darkest half per cent of each channel is taken
for black and subtracted, as raw converters do ("dark-object subtraction", Chavez 1988).

What the three channels have in common of it is subtracted always. The rest has a colour, and may be
the scene's: the darkest of a meadow is green, and taking that away would make its shadows purple.
It is subtracted as well only where it is an offset, at which values pile up: the darkest twentieth
of each channel then spans a few levels.
"""

import numpy as np

SHARE, PILE, LIGHT = 0.005, 0.05, 0.95  # of the pixels: black; in the pile; all but the lights
MOST = 16 / 255  # from here on it is light: the more, the less of it is taken for black
CONTRAST = 0.15  # of what is light (its 95 % quantile) at most: a low contrast is no veil
NARROW, WIDE = 3 / 255, 5 / 255  # spans of an offset's pile, and of none
FRAME = 2.5 / 255  # rows and columns at the border up to here are a letterbox


def find_black_point(small: np.ndarray) -> np.ndarray:
    """Each channel's black, [C] float32, of a shrunken picture [C, h, w] in [0, 1]."""
    values = inside_frame(small)
    values = values.reshape(len(values), -1)
    if not values.size:
        return np.zeros(len(small), np.float32)
    last = values.shape[1] - 1
    places = int(SHARE * last), int(PILE * last), int(np.ceil(LIGHT * last))
    ordered = np.partition(values, places, axis=1)
    dark, pile, light = (ordered[:, place] for place in places)

    common = dark.min()
    offset = np.clip((WIDE - (pile - dark).max()) / (WIDE - NARROW), 0, 1)
    kept = np.clip(2 - common / MOST, 0, 1)
    rest = np.minimum(dark - common, np.maximum(2 * MOST - (dark - common), 0))
    black = kept * (common + offset * rest)
    most = (CONTRAST * light / np.maximum(black, 1e-9)).min()  # in proportion, so that hue stays
    return (black * min(most, 1)).astype(np.float32)


def inside_frame(small: np.ndarray) -> np.ndarray:
    """A picture [C, h, w] without the black rows and columns at its border."""
    lit = small.max(axis=0) > FRAME
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if not rows.size:
        return small[:, :0, :0]
    height, width = lit.shape
    # The outermost lit ones may be half the frame's.
    top, bottom = rows[0] + (rows[0] > 0), rows[-1] + (rows[-1] == height - 1)
    left, right = columns[0] + (columns[0] > 0), columns[-1] + (columns[-1] == width - 1)
    return small[:, top:bottom, left:right]


def subtract_black(values: np.ndarray, black: np.ndarray) -> np.ndarray:
    """max(x - black, 0) / (1 - black) of values in [0, 1]; black is broadcast to them."""
    return np.maximum(values - black, 0) / (1 - black)
