"""How light a dark picture is to become, from the picture alone: a gamma that fits its darkness.

Not the paper's. The exposure loss pulls every region to one level, which turns the order of
lightness around where a shadow meets a lamp, and says nothing of pictures that are bright already.
Here each pixel's lightness L (the largest channel) has a target of its own, close to L^gamma, with
the smaller gamma the darker all is that the network has in view.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model import apply_curve

NEARBY = 5  # side of the region whose lightness sets a pixel's target: noise is not followed
VIEW = 15  # what the network sees around a pixel: seven 3x3 convolutions
POWER = 4  # of the mean over the view: what is bright in it counts most
HALVINGS = 10


@dataclass(frozen=True)
class Tone:
    """The gammas of a view of darkness and of a bright one, and how the first becomes the second.

    bright: the lightness in view, in (0, 1], from which the second gamma holds.
    limit: largest brightening factor; it bounds what noise is multiplied by to (1 + limit)^8.
    """

    dark_gamma: float = 0.17
    bright_gamma: float = 0.46
    bright: float = 0.2
    limit: float = 0.345


def mean_around(x: Tensor, side: int) -> Tensor:
    """Mean over a square around each pixel, of what lies inside the image: [B, C, H, W]."""
    return F.avg_pool2d(x, side, 1, side // 2, count_include_pad=False)


def lightness_of(image: Tensor) -> Tensor:
    """The largest channel: [B, 3, H, W] -> [B, 1, H, W]."""
    return image.amax(1, keepdim=True)


@torch.no_grad()
def target_lightness(image: Tensor, tone: Tone) -> Tensor:
    """What the lightness of an image [B, 3, H, W] in [0, 1] is to be: [B, 1, H, W] in [0, 1].

    It is the curve's answer to each pixel for the factor that takes the mean nearby to
    mean^gamma; gamma goes from dark_gamma to bright_gamma with the lightness in view.
    """
    lightness = lightness_of(image)
    nearby = mean_around(lightness, NEARBY)
    in_view = mean_around(lightness**POWER, VIEW) ** (1 / POWER)
    share = (in_view / tone.bright).clamp(max=1)
    gamma = tone.dark_gamma + (tone.bright_gamma - tone.dark_gamma) * share
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
