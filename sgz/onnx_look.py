"""The natural look in an ONNX graph of fixed size: each part the formula of its file in sgz/look.

Black point, one factor, exposure and the guided map; denoising is not in it. Operators of opset
11, so conditions are products with 0 and 1, and a sum over segments stands for np.interp.
"""

import numpy as np

from sgz.look import black_point, exposure, guided_map
from sgz.onnx_graph import Graph, add_curve

TINY = 1e-12  # keeps a division by nothing from being one
OUTSIDE = 2.0  # above every value of a picture: sorted behind them

# --- black point


def add_black_point(graph: Graph, small: str, shape: tuple[int, int]) -> str:
    """find_black_point of [1, 3, h, w]: [1, 3, 1, 1].

    A frame's values are moved behind all others, so that the sorted picture begins with what is
    inside it.
    """
    inside, count = _add_inside(graph, small, shape)
    shifted = graph.add("Sub", small, graph.constant(OUTSIDE))
    values = graph.add("Add", graph.add("Mul", shifted, inside), graph.constant(OUTSIDE))
    values = graph.add("Reshape", values, graph.constant([3, -1]))
    ordered = _add_sorted(graph, values, shape[0] * shape[1])

    last = graph.add("Sub", count, graph.constant(1.0))
    dark, pile, light = (
        _add_column(graph, ordered, graph.add(way, graph.add("Mul", last, graph.constant(share))))
        for way, share in (
            ("Floor", black_point.SHARE),
            ("Floor", black_point.PILE),
            ("Ceil", black_point.LIGHT),
        )
    )
    common = graph.add("ReduceMin", dark, keepdims=0)
    span = graph.add("ReduceMax", graph.add("Sub", pile, dark), keepdims=0)
    narrow, wide = black_point.NARROW, black_point.WIDE
    offset = _add_ramp(graph, span, wide / (wide - narrow), -1 / (wide - narrow))
    rest = graph.add("Sub", dark, common)
    fading = graph.add("Relu", graph.add("Sub", graph.constant(2 * black_point.MOST), rest))
    rest = graph.add("Mul", graph.add("Min", rest, fading), offset)
    kept = _add_ramp(graph, common, 2.0, -1 / black_point.MOST)
    black = graph.add("Mul", graph.add("Add", rest, common), kept)
    most = graph.add("Mul", light, graph.constant(black_point.CONTRAST))
    most = graph.add("Div", most, graph.add("Max", black, graph.constant(1e-9)))
    most = graph.add("ReduceMin", most, keepdims=0)
    black = graph.add("Mul", black, graph.add("Min", most, graph.constant(1.0)))
    # A picture that is all frame has no black: what was found is OUTSIDE's.
    black = graph.add("Mul", black, graph.add("Min", count, graph.constant(1.0)))
    return graph.add("Reshape", black, graph.constant([1, 3, 1, 1]))


def _add_inside(graph: Graph, small: str, shape: tuple[int, int]) -> tuple[str, str]:
    """What inside_frame leaves, [1, 1, h, w] of 0 and 1, and how many pixels that are."""
    lightest = graph.add("ReduceMax", small, axes=[1], keepdims=1)
    lit = _add_truth(graph, "Greater", lightest, graph.constant(black_point.FRAME))
    spans = []
    for across, along in ((3, 2), (2, 3)):  # rows, columns: from the first lit one to the last
        line = graph.add("ReduceMax", lit, axes=[across], keepdims=1)
        axis = graph.constant(along)
        begun = graph.add("CumSum", line, axis)
        unfinished = graph.add("CumSum", line, axis, reverse=1)
        both = graph.add("Mul", begun, unfinished)
        span = graph.add("Min", both, graph.constant(1.0))
        # The outermost lit ones may be half the frame's: out, but at the picture's own border.
        places = np.arange(shape[along - 2])
        neighbours = (
            graph.array((places + by).clip(0, len(places) - 1), f"beside {len(places)} {by}")
            for by in (-1, 1)
        )
        beside = (graph.add("Gather", span, at, axis=along) for at in neighbours)
        spans.append(graph.add("Min", span, *beside))
    inside = graph.add("Mul", *spans)
    return inside, graph.add("ReduceSum", inside, keepdims=0)


def add_subtraction(graph: Graph, values: str, black: str) -> str:
    """subtract_black."""
    difference = graph.add("Relu", graph.add("Sub", values, black))
    return graph.add("Div", difference, graph.add("Sub", graph.constant(1.0), black))


# --- exposure


def add_spared_highlights(graph: Graph, small: str, factor: str) -> str:
    """spare_highlights of [1, 3, h, w] and its map [1, 1, h, w]."""
    lightest = graph.add("ReduceMax", small, axes=[1], keepdims=1)
    power = lightest
    for _ in range(exposure.SPARED - 1):
        power = graph.add("Mul", power, lightest)
    return graph.add("Mul", factor, graph.add("Sub", graph.constant(1.0), power))


def add_exposure(
    graph: Graph, small: str, factor: str, shape: tuple[int, int], iterations: int
) -> str:
    """fit_strength of [1, 3, h, w] and its map [1, 1, h, w]: a scalar."""
    step = -(-max(shape) // exposure.SIDE)
    count = int(np.prod([-(-side // step) for side in shape]))
    limits = [[0, 0], [np.iinfo(np.int32).max] * 2, [2, 3], [step, step]]
    small, factor = (
        graph.add("Slice", values, *map(graph.constant, limits)) for values in (small, factor)
    )
    strengths = graph.array(exposure.STRENGTHS.reshape(-1, 1, 1, 1), "strengths")
    factors = graph.add("Mul", strengths, factor)
    factors = graph.add("Clip", factors, graph.constant(-1.0), graph.constant(1.0))
    tried = add_curve(graph, small, factors, iterations, "")
    lightness = graph.add("ReduceMax", tried, axes=[1], keepdims=0)
    lightness = graph.add("Reshape", lightness, graph.constant([len(exposure.STRENGTHS), -1]))
    lightness = _add_sorted(graph, lightness, count)

    last = count - 1
    means = graph.add("ReduceMean", lightness, axes=[1], keepdims=0)
    place = graph.constant(round((1 - exposure.BRIGHTEST) * last))
    highlights = graph.add("Gather", lightness, place, axis=1)
    ends = [[0], [1 + int(exposure.DARKEST * last)], [1]]
    darkest = graph.add("Slice", lightness, *map(graph.constant, ends))
    shadows = graph.add("ReduceMean", darkest, axes=[1], keepdims=0)

    limit = _add_reach(graph, highlights, graph.constant(exposure.HIGHLIGHT))
    lift = _add_reach(graph, shadows, graph.constant(exposure.SHADOW))
    low, high = map(float, exposure.LEVELS)
    before = graph.add("Gather", means, graph.constant(0))
    bright = _add_ramp(graph, before, -1.0, 2 / low)
    goal = graph.add("Mul", bright, graph.constant(low - high))
    goals = graph.constant(low), graph.add("Add", goal, graph.constant(high))
    low, high = (_add_held_back(graph, _add_reach(graph, means, goal), limit) for goal in goals)
    strength = graph.add("Min", graph.add("Max", low, graph.constant(1.0)), high)
    lift = graph.add("Min", lift, graph.constant(exposure.LIFT))
    return graph.add("Min", graph.add("Max", strength, lift), graph.constant(exposure.MOST))


def _add_held_back(graph: Graph, strength: str, limit: str) -> str:
    """held_back."""
    share = graph.add("Div", limit, graph.add("Max", strength, graph.constant(TINY)))
    share = graph.add("Clip", share, graph.constant(exposure.AGREEMENT), graph.constant(1.0))
    strength = graph.add("Mul", strength, graph.add("Sqrt", share))
    night = graph.add("Mul", limit, graph.constant(exposure.NIGHT))
    return graph.add("Min", strength, graph.add("Max", night, graph.constant(1.0)))


def _add_reach(graph: Graph, values: str, goal: str) -> str:
    """reach of [strengths]: a scalar."""
    number = len(exposure.STRENGTHS)
    later = np.triu(np.full((number, number), -10, np.float32), 1)  # what comes after counts not
    reached = graph.add("Add", values, graph.array(later, "later"))
    reached = graph.add("ReduceMax", reached, axes=[1], keepdims=0)
    below = graph.add("Gather", reached, graph.constant(list(range(number - 1))))
    above = graph.add("Gather", reached, graph.constant(list(range(1, number))))
    rise = graph.add("Max", graph.add("Sub", above, below), graph.constant(TINY))
    share = graph.add("Div", graph.add("Sub", goal, below), rise)
    share = graph.add("Clip", share, graph.constant(0.0), graph.constant(1.0))
    steps = graph.array(np.diff(exposure.STRENGTHS), "steps of strength")
    found = graph.add("ReduceSum", graph.add("Mul", share, steps), keepdims=0)
    # Where no strength brightens: 1 if the goal is not reached, else the sum's own 0.
    first, final = (graph.add("Gather", reached, graph.constant(at)) for at in (0, number - 1))
    brightens = _add_truth(graph, "Greater", final, first)
    short = _add_truth(graph, "Greater", goal, first)
    still = graph.add("Sub", graph.constant(1.0), brightens)
    return graph.add("Add", graph.add("Mul", found, brightens), graph.add("Mul", short, still))


# --- guided map


def add_fitted_guide(graph: Graph, small: str, factor: str, shape: tuple[int, int]) -> str:
    """fit_guide of [1, 3, h, w] and its map [1, 1, h, w]: slope and offset, [1, 2, h, w]."""

    def box(plane: str, radius: int) -> str:
        return _add_box(graph, plane, shape, radius)

    def product(one: str, other: str) -> str:
        return graph.add("Mul", one, other)

    def difference(one: str, other: str) -> str:
        return graph.add("Sub", one, other)

    reach, radius = guided_map.REACH, guided_map.RADIUS
    guide = add_guide(graph, small)
    square = product(guide, guide)
    mean = box(guide, reach)
    variance = difference(box(square, reach), product(mean, mean))
    weight = graph.add("Add", variance, graph.constant(guided_map.TRUST))
    weight = graph.add("Max", graph.add("Reciprocal", weight), graph.constant(1e-6))
    total = box(weight, radius)

    def weighted(plane: str) -> str:
        return graph.add("Div", box(product(weight, plane), radius), total)

    mean_g, mean_a = weighted(guide), weighted(factor)
    variance = difference(weighted(square), product(mean_g, mean_g))
    variance = graph.add("Add", graph.add("Relu", variance), graph.constant(guided_map.EPS))
    covariance = difference(weighted(product(guide, factor)), product(mean_g, mean_a))
    slope = graph.add("Div", covariance, variance)
    offset = difference(mean_a, product(slope, mean_g))
    again = box(total, radius)
    smooth = [graph.add("Div", box(product(plane, total), radius), again)
              for plane in (slope, offset)]  # fmt: skip
    return graph.add("Concat", *smooth, axis=1)


def add_guide(graph: Graph, picture: str) -> str:
    """guide_of [1, 3, h, w]: [1, 1, h, w]."""
    return graph.add("Sqrt", graph.add("ReduceMax", picture, axes=[1], keepdims=1))


def add_guided_map(graph: Graph, fit: str, picture: str) -> str:
    """A = a g + b in [-1, 1] at full size, of the enlarged fit [1, 2, H, W]: [1, 1, H, W]."""
    slope, offset = (graph.add("Gather", fit, graph.constant([at]), axis=1) for at in (0, 1))
    factor = graph.add("Add", graph.add("Mul", slope, add_guide(graph, picture)), offset)
    return graph.add("Clip", factor, graph.constant(-1.0), graph.constant(1.0))


def _add_box(graph: Graph, plane: str, shape: tuple[int, int], radius: int) -> str:
    """box_mean: one axis after the other, mirrored at the border."""
    for axis, side in ((2, shape[0]), (3, shape[1])):
        places = np.arange(-radius, side + radius) % (2 * side)
        places = np.minimum(places, 2 * side - 1 - places)
        name = graph.array(places, f"mirrored {side} by {radius}")
        plane = graph.add("Gather", plane, name, axis=axis)
        kernel = [2 * radius + 1 if axis == other else 1 for other in (2, 3)]
        plane = graph.add("AveragePool", plane, kernel_shape=kernel)
    return plane


# --- what the parts share


def _add_sorted(graph: Graph, values: str, count: int) -> str:
    """[C, count] in rising order."""
    return graph.add("TopK", values, graph.constant([count]), axis=1, largest=0, results=2)


def _add_column(graph: Graph, ordered: str, place: str) -> str:
    """The column `place`, a float scalar, of [C, n]: [C]."""
    place = graph.add("Max", place, graph.constant(0.0))
    index = graph.add("Cast", place, to=graph.types["int64"])
    return graph.add("Gather", ordered, index, axis=1)


def _add_ramp(graph: Graph, value: str, start: float, slope: float) -> str:
    """start + slope * value in [0, 1]."""
    rising = graph.add("Mul", value, graph.constant(slope))
    rising = graph.add("Add", rising, graph.constant(start))
    return graph.add("Clip", rising, graph.constant(0.0), graph.constant(1.0))


def _add_truth(graph: Graph, comparison: str, *sources: str) -> str:
    """0 or 1 as float32."""
    return graph.add("Cast", graph.add(comparison, *sources), to=graph.types["float"])
