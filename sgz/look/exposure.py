"""Exposure: one strength for a picture's factor map, less of it for what is bright already.

The network sees windows of 15x15 of its own pixels, in which a shadow and a picture that is dark
all over look alike; so it leaves the second too dark and lightens daylight more than it need. Two
numbers of the whole picture tell them apart, the mean of the largest channel and its highlights.
Where the network's own strength, 1, brings the mean between LEVELS, it is left at that; else it
becomes the nearest that does, or the geometric mean of it and the one that brings the highlights to
HIGHLIGHT, if that is less. A picture that is bright already is left as it is, and deep shadows are
lifted a little all the same.

Near white the curve keeps (1 + A)^8 of the contrast, a twentieth at A = -0.3: a sky over dark
ground would turn white. So its share of the map falls towards white, as well exposed pixels keep
the input's share in exposure fusion (Ying et al. 2017, BIMEF: weight T^mu, T the lightness).
"""

import numpy as np

LEVELS = 0.45, 0.55  # of the mean of the largest channel
HIGHLIGHT, BRIGHTEST = 0.8, 0.01  # so light is the brightest hundredth
AGREEMENT = 0.8  # the highlights' strength counts from so many parts of the mean's
SHADOW, DARKEST, LIFT = 0.35, 0.3, 0.9  # mean of the darkest third; at most so strong for it
NIGHT = 1.25  # above 1, a strength is at most so many times the highlights'
MOST = 2.5  # largest strength
SPARED = 3  # power of the lightness by which the map falls to 0 at white
STRENGTHS = np.concatenate([[0.0], np.geomspace(0.1, MOST, 13)]).astype(np.float32)
SIDE = 40  # pixels a side that are looked at


def spare_highlights(small: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The map [M, h, w] with less for the bright: A (1 - x^3), x the largest of [C, h, w]."""
    return factor * (1 - small.max(axis=0) ** SPARED)


def fit_strength(small: np.ndarray, factor: np.ndarray, iterations: int = 8) -> float:
    """The strength, 0 to MOST, at which a picture's map brings it to the level that fits.

    Args:
        small: what the network saw, [C, h, w] in [0, 1], its black point subtracted.
        factor: its map, [M, h, w] in [-1, 1], highlights spared.
        iterations: how often the curve is applied.
    """
    if len(factor) == 1:  # the curve keeps the channels' order: the largest stays it
        small = small.max(axis=0, keepdims=True)
    step = -(-max(small.shape[1:]) // SIDE)
    small, factor = small[:, ::step, ::step], factor[:, ::step, ::step]
    tried = brighten(small, factor, STRENGTHS, iterations)
    lightness = np.sort(tried.max(axis=1).reshape(len(STRENGTHS), -1), axis=1)
    last = lightness.shape[1] - 1
    means = lightness.mean(axis=1)
    shadows = lightness[:, : 1 + int(DARKEST * last)].mean(axis=1)
    limit = reach(lightness[:, round((1 - BRIGHTEST) * last)], HIGHLIGHT)
    bright = np.clip(2 * means[0] / LEVELS[0] - 1, 0, 1)  # is it there already?
    levels = LEVELS[0], LEVELS[1] + bright * (LEVELS[0] - LEVELS[1])
    low, high = (held_back(reach(means, level), limit) for level in levels)
    strength = min(max(1.0, low), high)
    return float(min(max(strength, min(reach(shadows, SHADOW), LIFT)), MOST))


def held_back(strength: float, limit: float) -> float:
    """The strength for the mean, with regard to the highlights', `limit`."""
    if strength == 0:
        return strength
    strength *= np.sqrt(min(max(limit / strength, AGREEMENT), 1.0))
    return min(strength, max(NIGHT * limit, 1.0))  # lamps on black: night, which stays one


def reach(values: np.ndarray, goal: float) -> float:
    """The least strength at which values, one for each of STRENGTHS, reach a goal."""
    reached = np.maximum.accumulate(values)
    if reached[-1] <= reached[0]:  # no strength brightens it
        return 0.0 if reached[0] >= goal else 1.0
    return float(np.interp(goal, reached, STRENGTHS))


def brighten(small: np.ndarray, factor: np.ndarray, strengths, iterations: int) -> np.ndarray:
    """The curve x <- x + A (x^2 - x) with the map at each strength: [strengths, C, h, w]."""
    factors = np.multiply.outer(np.asarray(strengths, np.float32), factor).clip(-1, 1)
    x = np.broadcast_to(small, (len(factors), *small.shape))
    for _ in range(iterations):
        x = x + factors * (x * x - x)
    return x
