"""How light a dark picture is to become, from the picture alone: a gamma that fits its darkness.

Not the paper's. The exposure loss pulls every region to one level, which turns the order of
lightness around where a shadow meets a lamp, and says nothing of pictures that are bright already.
Here each pixel's lightness (the largest channel) has a target of its own: what the curve makes
of it by the factor that takes the largest lightness nearby, l, to l^gamma, with the smaller gamma
the darker all is that the network has in view: the largest lightness of each place there, averaged.
The largest, not the mean: places alike in it get like factors and keep their order, whatever else
is in them. Averaged, lest the end of a lamp's reach be seen as an edge on the road.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sgz.model import apply_curve

NEARBY, NEARBY_POWER = 3, 4  # side and power of the mean that sets a pixel's factor
REGION, REGION_POWER = 5, 8  # the same for the largest lightness of each place in view
REGIONS = 11  # these are averaged over; 15 in all is what seven 3x3 convolutions see
DARKEST, BRIGHTEST = 1e-3, 0.999  # black and white have no gamma
LIGHTNESSES = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 0.9)  # in view, where a Tone's gammas hold
HALVINGS = 10


@dataclass(frozen=True)
class Tone:
    """The gamma for each lightness in view, and how far it may lead.

    gammas: at LIGHTNESSES, linear between them.
    limit: largest brightening factor; it bounds what noise is multiplied by to (1 + limit)^8.
    """

    gammas: tuple[float, ...] = (0.03, 0.05, 0.16, 0.26, 0.37, 0.40, 0.51)
    limit: float = 0.34


def lightness_of(image: Tensor) -> Tensor:
    """The largest channel: [B, 3, H, W] -> [B, 1, H, W]."""
    return image.amax(1, keepdim=True)


def power_mean_around(x: Tensor, side: int, power: float) -> Tensor:
    """The power mean of x [B, C, H, W] >= 0 in a square around each pixel: nearly its largest."""
    powers = x.clamp(min=DARKEST) ** power
    return average_around(powers, side) ** (1 / power)


def average_around(x: Tensor, side: int) -> Tensor:
    """The mean of x [B, C, H, W] in a square around each pixel, of what lies in the image."""
    return F.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)


def interpolate(x: Tensor, places: tuple[float, ...], values: tuple[float, ...]) -> Tensor:
    """The broken line through (places, values) at x; flat beyond its ends."""
    at, value = (
        torch.tensor(numbers, dtype=x.dtype, device=x.device) for numbers in (places, values)
    )
    right = torch.bucketize(x, at[1:-1]) + 1
    share = (x - at[right - 1]) / (at[right] - at[right - 1])
    return torch.lerp(value[right - 1], value[right], share.clamp(0, 1))


@torch.no_grad()
def target_lightness(image: Tensor, tone: Tone) -> Tensor:
    """What the lightness of an image [B, 3, H, W] in [0, 1] is to be: [B, 1, H, W] in [0, 1]."""
    lightness = lightness_of(image)
    nearby = power_mean_around(lightness, NEARBY, NEARBY_POWER).clamp(max=BRIGHTEST)
    in_view = average_around(power_mean_around(lightness, REGION, REGION_POWER), REGIONS)
    gamma = interpolate(in_view, LIGHTNESSES, tone.gammas)
    return apply_curve(lightness, factor_between(nearby, nearby**gamma, tone.limit))


def factor_between(before: Tensor, after: Tensor, limit: float) -> Tensor:
    """The factor in [-limit, 0] whose curve comes closest from before to after, by halving."""
    low, high = torch.full_like(before, -limit), torch.zeros_like(before)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        too_bright = apply_curve(before, middle) > after
        low, high = torch.where(too_bright, middle, low), torch.where(too_bright, high, middle)
    return (low + high) / 2


def tone_loss(enhanced: Tensor, image: Tensor, tone: Tone) -> Tensor:
    """Mean squared distance of the enhanced lightness from its target; a scalar."""
    return (lightness_of(enhanced) - target_lightness(image, tone)).square().mean()
