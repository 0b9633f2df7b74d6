"""The natural look in torch at one fixed size, of operators that phones' converters know.

Each part is the formula of its file in sgz/look, as in sgz/onnx_look.py. No shape or index is
computed, and nothing sorted, which LiteRT's runtime cannot: the value of a rank is found by
halving. Denoising is not in it.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sgz.look import black_point, exposure, guided_map
from sgz.model import EnhanceNet, apply_curve

TINY = 1e-12  # keeps a division by nothing from being one
OUTSIDE = 2.0  # above every value of a picture
HALVINGS = 24  # of [0, OUTSIDE], which leave a difference of 1e-7


class BlackPoint(nn.Module):
    """find_black_point of [1, 3, h, w]: [1, 3, 1, 1]."""

    def __init__(self, shape: tuple[int, int]):
        super().__init__()
        self.shape = shape

    def forward(self, small: Tensor) -> Tensor:
        inside = inside_frame(small, self.shape)
        count = inside.sum()
        values = (small - OUTSIDE) * inside + OUTSIDE
        values = values.reshape(3, self.shape[0] * self.shape[1])
        last = (count - 1).clamp(min=0)
        dark = of_rank(values, torch.floor(last * black_point.SHARE))
        pile = of_rank(values, torch.floor(last * black_point.PILE))
        light = of_rank(values, torch.ceil(last * black_point.LIGHT))

        common = dark.amin(0, keepdim=True)
        span = (pile - dark).amax(0, keepdim=True)
        narrow, wide = black_point.NARROW, black_point.WIDE
        offset = ((wide - span) / (wide - narrow)).clamp(0, 1)
        rest = dark - common
        rest = torch.minimum(rest, (2 * black_point.MOST - rest).clamp(min=0)) * offset
        kept = (2 - common / black_point.MOST).clamp(0, 1)
        black = kept * (common + rest)
        most = (black_point.CONTRAST * light / black.clamp(min=1e-9)).amin(0, keepdim=True)
        # A picture that is all frame has no black: what was found is OUTSIDE's.
        black = black * most.clamp(max=1) * count.clamp(max=1)
        return black.reshape(1, 3, 1, 1)


def of_rank(values: Tensor, rank: Tensor | float) -> Tensor:
    """[C, n] -> [C]: the least value that more than `rank` of them are not above."""
    low = values[:, :1] * 0
    high = low + OUTSIDE
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        count = (values <= middle).float().sum(1, keepdim=True)
        reached = (count > rank).float()
        high = reached * middle + (1 - reached) * high
        low = reached * low + (1 - reached) * middle
    return high[:, 0]


def inside_frame(small: Tensor, shape: tuple[int, int]) -> Tensor:
    """What inside_frame leaves of [1, 3, h, w]: [1, 1, h, w] of 0 and 1."""
    lit = (small.amax(1, keepdim=True) > black_point.FRAME).float()
    spans = []
    for across, along, side in (
        (3, 2, shape[0]),
        (2, 3, shape[1]),
    ):  # rows, columns: from the first lit one to the last
        line = lit.amax(across, keepdim=True)
        begun = line.cumsum(along)
        unfinished = begun.amax(along, keepdim=True) - begun + line
        span = (begun * unfinished).clamp(max=1)
        # The outermost lit ones may be half the frame's: out, but at the picture's own border.
        before = torch.cat((span.narrow(along, 0, 1), span.narrow(along, 0, side - 1)), along)
        after = torch.cat((span.narrow(along, 1, side - 1), span.narrow(along, side - 1, 1)), along)
        spans.append(torch.minimum(span, torch.minimum(before, after)))
    return spans[0] * spans[1]


class Exposure(nn.Module):
    """fit_strength of [1, 3, h, w] and its map [1, 1, h, w]: a value [1]."""

    def __init__(self, shape: tuple[int, int], iterations: int):
        super().__init__()
        self.iterations, self.step = iterations, -(-max(shape) // exposure.SIDE)
        self.count = int(np.prod([-(-side // self.step) for side in shape]))
        strengths = torch.from_numpy(exposure.STRENGTHS)
        self.register_buffer("strengths", strengths[:, None])
        self.register_buffer("steps", strengths[1:] - strengths[:-1])
        # What comes after counts not, in the highest value so far.
        self.number = len(exposure.STRENGTHS)
        self.register_buffer("later", torch.full((self.number, self.number), -10.0).triu(1))

    def forward(self, small: Tensor, factor: Tensor) -> Tensor:
        light, factor = (
            one[..., :: self.step, :: self.step].reshape(1, self.count)
            for one in (small.amax(1, keepdim=True), factor)
        )
        factors = (self.strengths * factor).clamp(-1, 1)
        lightness = apply_curve(light, factors, self.iterations)  # [strengths, count]
        last = self.count - 1
        means = lightness.mean(1)
        brightest = of_rank(lightness, float(round((1 - exposure.BRIGHTEST) * last)))
        darkest = 1 + int(exposure.DARKEST * last)
        edge = of_rank(lightness, float(darkest - 1))
        cut = torch.minimum(lightness, edge.reshape(self.number, 1))  # the others count as the edge
        shadows = (cut.sum(1) - (self.count - darkest) * edge) / darkest
        limit = self._reach(brightest, exposure.HIGHLIGHT)
        lift = self._reach(shadows, exposure.SHADOW)
        low, high = map(float, exposure.LEVELS)
        bright = (2 * means[:1] / low - 1).clamp(0, 1)
        goals = low, high + bright * (low - high)
        low, high = (held_back(self._reach(means, goal), limit) for goal in goals)
        strength = torch.minimum(low.clamp(min=1), high)
        return torch.maximum(strength, lift.clamp(max=exposure.LIFT)).clamp(max=exposure.MOST)

    def _reach(self, values: Tensor, goal: Tensor | float) -> Tensor:
        """reach of [strengths]: [1]."""
        reached = (values + self.later).amax(1)
        below, above = reached[:-1], reached[1:]
        share = ((goal - below) / (above - below).clamp(min=TINY)).clamp(0, 1)
        found = (share * self.steps).sum(0, keepdim=True)
        # Where no strength brightens: 1 if the goal is not reached, else the sum's own 0.
        brightens = (reached[-1:] > reached[:1]).float()
        short = (reached[:1] < goal).float()
        return found * brightens + short * (1 - brightens)


def held_back(strength: Tensor, limit: Tensor) -> Tensor:
    """held_back of [1]."""
    share = (limit / strength.clamp(min=TINY)).clamp(exposure.AGREEMENT, 1)
    return torch.minimum(strength * torch.sqrt(share), (exposure.NIGHT * limit).clamp(min=1))


class GuidedFit(nn.Module):
    """fit_guide of [1, 3, h, w] and its map [1, 1, h, w]: slope and offset, [1, 2, h, w]."""

    def __init__(self, shape: tuple[int, int]):
        super().__init__()
        for radius in (guided_map.REACH, guided_map.RADIUS):
            for axis, side in zip("yx", shape, strict=True):
                places = np.arange(-radius, side + radius) % (2 * side)
                places = np.minimum(places, 2 * side - 1 - places)
                self.register_buffer(f"mirrored_{axis}_{radius}", torch.from_numpy(places))

    def _box(self, plane: Tensor, radius: int) -> Tensor:
        """box_mean: one axis after the other, mirrored at the border."""
        plane = plane.index_select(2, getattr(self, f"mirrored_y_{radius}"))
        plane = F.avg_pool2d(plane, (2 * radius + 1, 1), 1)
        plane = plane.index_select(3, getattr(self, f"mirrored_x_{radius}"))
        return F.avg_pool2d(plane, (1, 2 * radius + 1), 1)

    def forward(self, small: Tensor, factor: Tensor) -> Tensor:
        reach, radius = guided_map.REACH, guided_map.RADIUS
        guide = guide_of(small)
        square, mean = guide * guide, self._box(guide, reach)
        weight = 1 / (self._box(square, reach) - mean * mean + guided_map.TRUST)
        weight = weight.clamp(min=1e-6)
        total = self._box(weight, radius)

        def weighted(plane: Tensor) -> Tensor:
            return self._box(weight * plane, radius) / total

        mean_g, mean_a = weighted(guide), weighted(factor)
        variance = (weighted(square) - mean_g * mean_g).clamp(min=0) + guided_map.EPS
        slope = (weighted(guide * factor) - mean_g * mean_a) / variance
        offset = mean_a - slope * mean_g
        again = self._box(total, radius)
        return torch.cat([self._box(one * total, radius) / again for one in (slope, offset)], 1)


def guide_of(picture: Tensor) -> Tensor:
    """guide_of [1, 3, h, w]: [1, 1, h, w]."""
    return torch.sqrt(picture.amax(1, keepdim=True))


class NaturalMethod(nn.Module):
    """The natural look for images of one size.

    Args:
        net: in evaluation mode; its scale_factor divides height and width.
    """

    def __init__(self, net: EnhanceNet, height: int, width: int):
        super().__init__()
        self.net, self.size = net, (height, width)
        shape = height // net.scale_factor, width // net.scale_factor
        self.black, self.fit = BlackPoint(shape), GuidedFit(shape)
        self.exposure = Exposure(shape, net.iterations)

    def forward(self, image: Tensor) -> Tensor:
        """[1, 3, height, width] in [0, 1] -> enhanced, the same."""
        scale, small = self.net.scale_factor, image
        if scale > 1:
            first, count = (scale - 1) // 2, 2 - scale % 2  # the middle of each cell, as shrink
            small = F.avg_pool2d(image[..., first:, first:], count, scale)
        black = self.black(small)
        seen = without(small, black)
        factor = self.net.extract(seen).mean(1, keepdim=True)
        lightest = seen.amax(1, keepdim=True)
        power = lightest
        for _ in range(exposure.SPARED - 1):
            power = power * lightest
        factor = factor * (1 - power)
        factor = (factor * self.exposure(seen, factor)).clamp(-1, 1)
        fit = self.fit(seen, factor)
        if scale > 1:
            fit = F.interpolate(fit, size=self.size, mode="bilinear", align_corners=True)
        image = without(image, black)
        factor = (fit[:, :1] * guide_of(image) + fit[:, 1:]).clamp(-1, 1)
        return apply_curve(image, factor, self.net.iterations)


def without(values: Tensor, black: Tensor) -> Tensor:
    """subtract_black."""
    return (values - black).clamp(min=0) / (1 - black)
