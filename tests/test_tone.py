"""The lightness a dark picture is to become: against a slow plain version, and what it promises."""

from functools import partial

import numpy as np
import pytest
import torch

from golden import wave
from loss import ZeroReferenceLoss
from model import apply_curve
from tone import Tone, lightness_of, target_lightness, tone_loss


def plainly(image: np.ndarray, tone: Tone) -> np.ndarray:
    """The target of one image [3, H, W], pixel by pixel."""
    lightness = image.max(0).astype(float)
    height, width = lightness.shape

    def around(values, y, x, reach):
        return values[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1].mean()

    def curve(x, factor):
        for _ in range(8):
            x = x + factor * (x * x - x)
        return x

    target = np.empty_like(lightness)
    for y, x in np.ndindex(height, width):
        nearby = around(lightness, y, x, 2)
        in_view = around(lightness**4, y, x, 7) ** (1 / 4)
        share = min(in_view / tone.bright, 1)
        gamma = tone.dark_gamma + (tone.bright_gamma - tone.dark_gamma) * share
        factors = np.linspace(-tone.limit, 0, 4001)
        best = factors[np.abs(curve(nearby, factors) - nearby**gamma).argmin()]
        target[y, x] = curve(lightness[y, x], best)
    return target


@pytest.mark.parametrize("top", [0.1, 0.4, 1.0])
def test_against_a_slow_plain_version(top):
    image, tone = wave((2, 3, 20, 17), 0.7, 0, top), Tone(bright=0.3)
    found = target_lightness(image, tone).numpy()
    for number in range(2):
        assert np.abs(found[number, 0] - plainly(image[number].numpy(), tone)).max() < 2e-3


def test_never_darker_and_never_beyond_the_limit():
    image = wave((1, 3, 40, 40), 0.3, 0, 1) * torch.linspace(0, 1, 40)
    target, tone = target_lightness(image, Tone()), Tone()
    assert (target >= lightness_of(image) - 1e-6).all()
    assert (target <= apply_curve(lightness_of(image), torch.tensor(-tone.limit)) + 1e-6).all()


def test_the_same_shadow_is_lifted_less_beside_a_lamp():
    night = torch.full((1, 3, 20, 40), 0.05)
    street = night.clone()
    street[..., 24:28] = 0.9
    alone, beside = (target_lightness(x, Tone())[0, 0, 10, 18] for x in (night, street))
    assert alone > 1.5 * beside > 0


def test_the_loss_vanishes_at_its_target_and_trains_on_black_and_gray():
    gray = wave((2, 1, 24, 24), 0.7, 0, 0.5).expand(-1, 3, -1, -1)
    target = target_lightness(gray, Tone()).expand(-1, 3, -1, -1)
    assert tone_loss(target, gray, Tone()).item() == pytest.approx(0, abs=1e-9)
    assert tone_loss(gray, gray, Tone()).item() > 1e-3
    for image in (gray, torch.zeros_like(gray), torch.ones_like(gray)):
        factor = torch.zeros_like(image).requires_grad_()
        tone_loss(apply_curve(image, factor), image, Tone()).backward()
        assert factor.grad.isfinite().all()


def test_it_is_a_named_part_of_the_loss():
    image, factor = wave((1, 3, 24, 24), 0.7, 0, 0.5), torch.full((1, 3, 24, 24), -0.1)
    enhanced, tone = apply_curve(image, factor), Tone(bright_gamma=0.7)
    only = dict.fromkeys(("tv", "spatial", "colour", "exposure", "semantic"), 0.0)
    parts = ZeroReferenceLoss(only | {"tone": 10}, tone=partial(tone_loss, tone=tone))(
        image, enhanced, factor
    )
    assert list(parts) == ["tone"]
    assert parts["tone"].item() == pytest.approx(10 * tone_loss(enhanced, image, tone).item())
    assert tone_loss(enhanced, image, Tone()).item() != pytest.approx(parts["tone"].item() / 10)
