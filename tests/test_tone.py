"""The lightness a dark picture is to become: against a slow plain version, and what it promises."""

from functools import partial

import numpy as np
import pytest
import torch
from golden import wave

from loss import ZeroReferenceLoss
from option import train_options
from sgz.model import apply_curve
from training.tone import Tone, lightness_of, target_lightness, tone_loss


def plainly(image: np.ndarray, tone: Tone) -> np.ndarray:
    """The target of one image [3, H, W], pixel by pixel."""
    lightness = image.max(0).astype(float)
    height, width = lightness.shape

    def around(values, y, x, side, power=1):
        rows, columns = (slice(max(at - side // 2, 0), at + side // 2 + 1) for at in (y, x))
        return (np.maximum(values[rows, columns], 0.001) ** power).mean() ** (1 / power)

    largest = np.empty_like(lightness)
    for y, x in np.ndindex(height, width):
        largest[y, x] = around(lightness, y, x, 5, power=8)

    def curve(x, factor):
        for _ in range(8):
            x = x + factor * (x * x - x)
        return x

    target = np.empty_like(lightness)
    for y, x in np.ndindex(height, width):
        in_view = around(largest, y, x, 11)
        gamma = np.interp(in_view, (0, 0.03, 0.06, 0.12, 0.25, 0.5, 0.9), tone.gammas)
        nearby = min(around(lightness, y, x, 3, power=4), 0.999)
        factors = np.linspace(-tone.limit, 0, 4001)
        best = factors[np.abs(curve(nearby, factors) - nearby**gamma).argmin()]
        target[y, x] = curve(lightness[y, x], best)
    return target


@pytest.mark.parametrize("top", [0.02, 0.1, 0.4, 1.0])
def test_against_a_slow_plain_version(top):
    image, tone = wave((2, 3, 20, 17), 0.7, 0, top), Tone()
    found = target_lightness(image, tone).numpy()
    for number in range(2):
        assert np.abs(found[number, 0] - plainly(image[number].numpy(), tone)).max() < 2e-3


def test_never_darker_and_never_beyond_the_limit():
    image = wave((1, 3, 40, 40), 0.3, 0, 1) * torch.linspace(0, 1, 40)
    target, tone = target_lightness(image, Tone()), Tone()
    assert (target >= lightness_of(image) - 1e-6).all()
    assert (target <= apply_curve(lightness_of(image), torch.tensor(-tone.limit)) + 1e-6).all()


def test_the_same_shadow_is_lifted_less_beside_a_lamp():
    night = torch.full((1, 3, 20, 40), 0.1)
    street = night.clone()
    street[..., 24:28] = 1
    alone, beside = (target_lightness(x, Tone())[0, 0, 10, 22] for x in (night, street))
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
    enhanced, tone = apply_curve(image, factor), Tone(gammas=(0.7,) * 7)
    only = dict.fromkeys(("tv", "spatial", "colour", "exposure", "semantic"), 0.0)
    parts = ZeroReferenceLoss(only | {"tone": 10}, tone=partial(tone_loss, tone=tone))(
        image, enhanced, factor
    )
    assert list(parts) == ["tone"]
    assert parts["tone"].item() == pytest.approx(10 * tone_loss(enhanced, image, tone).item())
    assert tone_loss(enhanced, image, Tone()).item() != pytest.approx(parts["tone"].item() / 10)


def test_the_options_begin_at_its_defaults():
    options = train_options([])
    assert Tone(tuple(options.tone_gammas), options.tone_limit) == Tone()
