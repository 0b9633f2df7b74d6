"""Every loss against the authors' code, and what a training run needs of it."""

import pytest
import torch

from golden import wave
from loss import (
    ZeroReferenceLoss,
    colour_loss,
    exposure_loss,
    semantic_loss,
    spatial_loss,
    total_variation_loss,
)


@pytest.fixture
def image():
    return wave((2, 3, 64, 48), 0.1, 0, 0.4)


@pytest.fixture
def enhanced():
    channels = torch.tensor([1, 0.8, 0.5]).view(1, 3, 1, 1)
    return wave((2, 3, 64, 48), 1.7, 0, 1) * channels * torch.linspace(0.3, 1, 64).view(1, 1, 64, 1)


@pytest.fixture
def factor():
    return wave((2, 3, 64, 48), 2.9, -0.9, 0.1)


@pytest.fixture
def logits():
    return wave((2, 21, 16, 12), 0.3, -3, 3).requires_grad_()


@pytest.mark.parametrize(
    ("patch_size", "value"),
    [(3, 0.10296090692281723), (4, 0.03821777552366257), (5, 0.013761425390839577)],
)
def test_spatial(image, enhanced, patch_size, value):
    assert spatial_loss(enhanced, image, patch_size).item() == pytest.approx(value, rel=1e-5)


def test_colour(enhanced):
    assert colour_loss(enhanced).item() == pytest.approx(0.028309617191553116, rel=1e-5)


@pytest.mark.parametrize(
    ("level", "value"),
    [(0.5, 0.06874137371778488), (0.6, 0.12892459332942963), (0.7, 0.20910777151584625)],
)
def test_exposure(enhanced, level, value):
    assert exposure_loss(enhanced, level).item() == pytest.approx(value, rel=1e-5)


def test_total_variation(factor):
    assert total_variation_loss(factor).item() == pytest.approx(0.8584200143814087, rel=1e-5)


def test_semantic_and_its_gradient(logits):
    loss = semantic_loss(logits)
    loss.backward()
    assert loss.item() == pytest.approx(1.1792577505111694, rel=1e-5)
    assert logits.grad.abs().sum().item() == pytest.approx(1.936417579650879, rel=1e-5)


def test_total_is_the_sum_of_named_parts(image, enhanced, factor, logits):
    class Guide(torch.nn.Module):
        def forward(self, _image):
            return logits

    parts = ZeroReferenceLoss(guide=Guide())(image, enhanced, factor)
    assert set(parts) == {"tv", "spatial", "colour", "exposure", "semantic"}
    assert sum(parts.values()).item() == pytest.approx(1375.0589605800808, rel=1e-5)


def test_a_part_of_weight_zero_is_left_out(image, enhanced, factor):
    parts = ZeroReferenceLoss({"colour": 0.0})(image, enhanced, factor)
    assert set(parts) == {"tv", "spatial", "exposure"}
    with pytest.raises(ValueError, match="no loss is called color"):
        ZeroReferenceLoss({"color": 1.0})


def test_gray_images_have_finite_gradients():
    gray = torch.full((2, 3, 8, 8), 0.3, requires_grad=True)
    loss = colour_loss(gray)
    loss.backward()
    assert loss.item() == 0
    assert gray.grad.isfinite().all()


def test_losses_vanish_where_they_should():
    image = torch.rand(1, 3, 32, 32)
    assert spatial_loss(image, image).item() == 0
    assert exposure_loss(torch.full((1, 3, 32, 32), 0.6)).item() == pytest.approx(0, abs=1e-12)
    assert total_variation_loss(torch.full((1, 3, 8, 8), -0.4)).item() == 0


def test_spatial_against_a_slow_plain_version():
    enhanced, image = torch.rand(2, 1, 3, 12, 16).unbind(0)
    pooled = [x.mean((0, 1)).reshape(3, 4, 4, 4).mean((1, 3)) for x in (enhanced, image)]

    def at(x, row, column):
        return x[row, column] if 0 <= row < 3 and 0 <= column < 4 else torch.tensor(0.0)

    total = 0.0
    for row in range(3):
        for column in range(4):
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    weight = {0: 0.0, 1: 1.0, 2: 0.5}[abs(dy) + abs(dx)]
                    y, i = (at(x, row, column) - at(x, row + dy, column + dx) for x in pooled)
                    total += weight * (y - i).item() ** 2
    assert spatial_loss(enhanced, image).item() == pytest.approx(total / 12, rel=1e-4)
