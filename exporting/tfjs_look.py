"""The natural look in a TensorFlow.js graph of one size: the formulas of sgz/look, NHWC.

As in exporting/natural.py no index is computed: a value at a place that is computed is a sum over
a comparison. Denoising is not in it.
"""

from typing import TYPE_CHECKING

import numpy as np

from sgz.look import black_point, exposure, guided_map

if TYPE_CHECKING:
    from exporting.tfjs import GraphDef

TINY = 1e-12  # keeps a division by nothing from being one
OUTSIDE = 2.0  # above every value of a picture: sorted behind them


def add_black_point(graph: "GraphDef", small: str, shape: tuple[int, int]) -> str:
    """find_black_point of [1, h, w, 3]: [3]."""
    total = shape[0] * shape[1]
    inside = _add_inside(graph, small, shape)
    count = graph.reduce("Sum", graph.reshape(inside, [1, total]), 1)
    values = graph.plus(graph.times(graph.minus(small, OUTSIDE), inside), OUTSIDE)
    values = graph.add("Transpose", graph.reshape(values, [total, 3]), graph.constant([1, 0]))
    ordered = _add_sorted(graph, values, total)
    last = graph.most(graph.minus(count, 1.0), 0.0)
    places = graph.constant(np.arange(total, dtype=np.float32)[None])

    def column(way: str, share: float) -> str:
        place = graph.add(way, graph.times(last, share))
        return graph.reduce("Sum", graph.times(ordered, graph.truth("Equal", places, place)), 1)

    dark, pile = column("Floor", black_point.SHARE), column("Floor", black_point.PILE)
    light = column("Ceil", black_point.LIGHT)
    common = graph.reduce("Min", dark, 0, keep=True)
    span = graph.reduce("Max", graph.minus(pile, dark), 0, keep=True)
    width = black_point.WIDE - black_point.NARROW
    offset = graph.within(graph.minus(black_point.WIDE / width, graph.times(span, 1 / width)))
    rest = graph.minus(dark, common)
    fading = graph.most(graph.minus(2 * black_point.MOST, rest), 0.0)
    rest = graph.times(graph.least(rest, fading), offset)
    kept = graph.within(graph.minus(2.0, graph.times(common, 1 / black_point.MOST)))
    black = graph.times(kept, graph.plus(common, rest))
    most = graph.over(graph.times(light, black_point.CONTRAST), graph.most(black, 1e-9))
    most = graph.least(graph.reduce("Min", most, 0, keep=True), 1.0)
    # A picture that is all frame has no black: what was found is OUTSIDE's.
    return graph.times(graph.times(black, most), graph.least(count, 1.0))


def _add_inside(graph: "GraphDef", small: str, shape: tuple[int, int]) -> str:
    """What inside_frame leaves, [1, h, w, 1] of 0 and 1."""
    lightest = graph.reduce("Max", small, 3, keep=True)
    lit = graph.truth("Greater", lightest, black_point.FRAME)
    spans = []
    for across, along in ((2, 1), (1, 2)):  # rows, columns: from the first lit one to the last
        line = graph.reduce("Max", lit, across, keep=True)
        begun, unfinished = (
            graph.add(
                "Cumsum", line, graph.constant(along), reverse={"b": back}, exclusive={"b": False}
            )
            for back in (False, True)
        )
        span = graph.least(graph.times(begun, unfinished), 1.0)
        # The outermost lit ones may be half the frame's: out, but at the picture's own border.
        places = np.arange(shape[along - 1])
        for by in (-1, 1):
            beside = graph.gather(span, (places + by).clip(0, len(places) - 1), along)
            spans.append(graph.least(span, beside))
    rows, columns = graph.least(*spans[:2]), graph.least(*spans[2:])
    return graph.times(rows, columns)


def _add_sorted(graph: "GraphDef", values: str, count: int) -> str:
    """[C, count] in rising order."""
    falling = graph.add(
        "TopKV2", graph.times(values, -1.0), graph.constant(count), sorted={"b": True}
    )
    return graph.times(f"{falling}:0", -1.0)


def add_without(graph: "GraphDef", values: str, black: str) -> str:
    """subtract_black."""
    return graph.over(graph.most(graph.minus(values, black), 0.0), graph.minus(1.0, black))


def add_spared(graph: "GraphDef", small: str, factor: str) -> str:
    """spare_highlights of [1, h, w, 3] and its map [1, h, w, 1]."""
    lightest = power = graph.reduce("Max", small, 3, keep=True)
    for _ in range(exposure.SPARED - 1):
        power = graph.times(power, lightest)
    return graph.times(factor, graph.minus(1.0, power))


def add_exposure(
    graph: "GraphDef", small: str, factor: str, shape: tuple[int, int], iterations: int
) -> str:
    """fit_strength of [1, h, w, 3] and its map [1, h, w, 1]: a value [1]."""
    step = -(-max(shape) // exposure.SIDE)
    number, picked = len(exposure.STRENGTHS), [np.arange(0, side, step) for side in shape]
    count = len(picked[0]) * len(picked[1])
    light = graph.reduce("Max", small, 3, keep=True)
    for axis, places in enumerate(picked, 1):
        light, factor = (graph.gather(one, places, axis) for one in (light, factor))
    light, factor = (graph.reshape(one, [1, count]) for one in (light, factor))
    strengths = graph.constant(exposure.STRENGTHS[:, None])
    factors = graph.within(graph.times(factor, strengths), -1.0)
    lightness = _add_sorted(graph, graph.curve(light, factors, iterations), count)
    last = count - 1
    brightest = graph.gather(lightness, [round((1 - exposure.BRIGHTEST) * last)], 1)
    darkest = graph.gather(lightness, np.arange(1 + int(exposure.DARKEST * last)), 1)
    means = graph.reduce("Mean", lightness, 1)
    shadows = graph.reduce("Mean", darkest, 1)
    limit = _add_reach(graph, graph.reshape(brightest, [number]), exposure.HIGHLIGHT)
    lift = _add_reach(graph, shadows, exposure.SHADOW)
    low, high = map(float, exposure.LEVELS)
    bright = graph.within(graph.minus(graph.times(graph.gather(means, [0], 0), 2 / low), 1.0))
    goals = low, graph.plus(graph.times(bright, low - high), high)
    low, high = (_add_held_back(graph, _add_reach(graph, means, goal), limit) for goal in goals)
    strength = graph.least(graph.most(low, 1.0), high)
    lift = graph.least(lift, exposure.LIFT)
    return graph.least(graph.most(strength, lift), exposure.MOST)


def _add_reach(graph: "GraphDef", values: str, goal: str | float) -> str:
    """reach of [strengths]: [1]."""
    number = len(exposure.STRENGTHS)
    later = np.triu(np.full((number, number), -10, np.float32), 1)  # what comes after counts not
    reached = graph.reduce("Max", graph.plus(values, graph.constant(later)), 1)
    below, above = (graph.gather(reached, np.arange(number - 1) + by, 0) for by in (0, 1))
    rise = graph.most(graph.minus(above, below), TINY)
    share = graph.within(graph.over(graph.minus(goal, below), rise))
    steps = graph.constant(np.diff(exposure.STRENGTHS))
    found = graph.reduce("Sum", graph.times(share, steps), 0, keep=True)
    # Where no strength brightens: 1 if the goal is not reached, else the sum's own 0.
    first, final = (graph.gather(reached, [at], 0) for at in (0, number - 1))
    brightens = graph.truth("Greater", final, first)
    short = graph.truth("Greater", goal, first)
    still = graph.minus(1.0, brightens)
    return graph.plus(graph.times(found, brightens), graph.times(short, still))


def _add_held_back(graph: "GraphDef", strength: str, limit: str) -> str:
    """held_back of [1]."""
    share = graph.over(limit, graph.most(strength, TINY))
    share = graph.within(share, exposure.AGREEMENT)
    strength = graph.times(strength, graph.add("Sqrt", share))
    return graph.least(strength, graph.most(graph.times(limit, exposure.NIGHT), 1.0))


def add_fitted_guide(graph: "GraphDef", small: str, factor: str, shape: tuple[int, int]) -> str:
    """fit_guide of [1, h, w, 3] and its map [1, h, w, 1]: slope and offset, [1, h, w, 2]."""
    reach, radius = guided_map.REACH, guided_map.RADIUS

    def box(plane: str, size: int) -> str:
        return _add_box(graph, plane, shape, size)

    guide = add_guide(graph, small)
    square, mean = graph.times(guide, guide), box(guide, reach)
    variance = graph.minus(box(square, reach), graph.times(mean, mean))
    weight = graph.over(1.0, graph.plus(variance, guided_map.TRUST))
    weight = graph.most(weight, 1e-6)
    total = box(weight, radius)

    def weighted(plane: str) -> str:
        return graph.over(box(graph.times(weight, plane), radius), total)

    mean_g, mean_a = weighted(guide), weighted(factor)
    variance = graph.minus(weighted(square), graph.times(mean_g, mean_g))
    variance = graph.plus(graph.most(variance, 0.0), guided_map.EPS)
    covariance = graph.minus(weighted(graph.times(guide, factor)), graph.times(mean_g, mean_a))
    slope = graph.over(covariance, variance)
    offset = graph.minus(mean_a, graph.times(slope, mean_g))
    again = box(total, radius)
    smooth = [graph.over(box(graph.times(one, total), radius), again) for one in (slope, offset)]
    return graph.join(*smooth)


def add_guide(graph: "GraphDef", picture: str) -> str:
    """guide_of [1, h, w, 3]: [1, h, w, 1]."""
    return graph.add("Sqrt", graph.reduce("Max", picture, 3, keep=True))


def add_guided_map(graph: "GraphDef", fit: str, picture: str) -> str:
    """A = a g + b in [-1, 1] at full size, of the enlarged fit [1, H, W, 2]: [1, H, W, 1]."""
    slope, offset = (graph.gather(fit, [at], 3) for at in (0, 1))
    return graph.within(graph.plus(graph.times(slope, add_guide(graph, picture)), offset), -1.0)


def _add_box(graph: "GraphDef", plane: str, shape: tuple[int, int], radius: int) -> str:
    """box_mean: one axis after the other, mirrored at the border."""
    for axis, side in enumerate(shape, 1):
        places = np.arange(-radius, side + radius) % (2 * side)
        plane = graph.gather(plane, np.minimum(places, 2 * side - 1 - places), axis)
        plane = graph.mean_of(plane, [2 * radius + 1 if axis == other else 1 for other in (1, 2)])
    return plane
