"""Automatic exposure: how strongly a factor map is to act, from the picture as a whole.

Not the paper's, and off unless asked for. The network sees windows of 15x15 of its own pixels, in
which a shadow and a picture that is dark all over look alike; so it leaves the second too dark, and
lightens daylight more than it need. The mean of the whole picture tells them apart. It asks for one
number, so the map stays as even as it was.
"""

import numpy as np

USUAL = 0.42  # mean of the 2,002 training images; what comes out darker is lifted to it
BRIGHT = 0.6  # the paper's level E: what comes out brighter is lowered to it, or to its input's
PALE, LIGHTEST = 0.8, 0.01  # but only till that share of it reaches PALE: lamps mean night
MOST = 2.0  # largest strength
TRIED = 9  # strengths; between them means are taken as straight
SIDE = 64  # of what is looked at


def fit_strength(small: np.ndarray, factor: np.ndarray, iterations: int = 8) -> float:
    """The strength, 0 to 2, at which a picture's map brings it to the mean it should have.

    Args:
        small: what the network saw, [3 or 1, h, w] in [0, 1].
        factor: its map, [3, h, w] in [-1, 1].
        iterations: how often the curve is applied.

    Returns:
        1.0 where the mean is between USUAL and BRIGHT already, or more strength does not brighten.
    """
    step = -(-max(small.shape[1:]) // SIDE)
    small, factor = small[:, ::step, ::step], factor[:, ::step, ::step]
    mean = brighten(small, factor, [1.0], iterations).mean()
    goal = np.clip(mean, USUAL, max(BRIGHT, small.mean()))
    if goal == mean:
        return 1.0
    strengths = np.linspace(1, MOST, TRIED) if goal > mean else np.linspace(0, 1, TRIED)
    tried = brighten(small, factor, strengths, iterations)
    means = tried.mean(axis=(1, 2, 3))
    if (np.diff(means) <= 0).any():
        return 1.0
    found = np.interp(goal, means, strengths)
    if goal > mean:
        lightness = tried.max(axis=1).reshape(TRIED, -1)
        found = min(found, np.interp(PALE, np.quantile(lightness, 1 - LIGHTEST, 1), strengths))
    return float(found)


def brighten(small: np.ndarray, factor: np.ndarray, strengths, iterations: int) -> np.ndarray:
    """The curve x <- x + A (x^2 - x) with the map at each strength: [strengths, 3, h, w]."""
    factors = np.multiply.outer(np.asarray(strengths, np.float32), factor).clip(-1, 1)
    x = np.broadcast_to(small, factors.shape)
    for _ in range(iterations):
        x = x + factors * (x * x - x)
    return x
