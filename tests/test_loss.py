"""Every loss against the authors' code, and what a training run needs of it."""

import math

import pytest
import torch
from golden import wave

from loss import (
    ZeroReferenceLoss,
    colour_loss,
    exposure_loss,
    paper_colour_loss,
    paper_exposure_loss,
    paper_spatial_loss,
    paper_total_variation_loss,
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


def means(image, size):
    """Region means of [1, 3, H, W] as nested lists, pixel by pixel."""
    _, _, height, width = image.shape
    rows, columns = height // size, width // size
    out = [[0.0] * columns for _ in range(rows)]
    for y in range(rows * size):
        for x in range(columns * size):
            value = sum(image[0, c, y, x].item() for c in range(3)) / 3
            out[y // size][x // size] += value / size**2
    return out


@pytest.mark.parametrize("patch_size", [3, 4, 5])
def test_paper_spatial_against_a_slow_plain_version(patch_size):
    enhanced, image = torch.rand(2, 1, 3, 17, 20).unbind(0)
    new, old = means(enhanced, patch_size), means(image, patch_size)
    rows, columns, total = len(new), len(new[0]), 0.0
    for row in range(rows):
        for column in range(columns):
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    y, x = row + dy, column + dx
                    if (dy or dx) and 0 <= y < rows and 0 <= x < columns:
                        change = abs(new[row][column] - new[y][x]) - abs(
                            old[row][column] - old[y][x]
                        )
                        total += (0.5 if dy and dx else 1.0) * change**2
    expected = total / (rows * columns)
    assert paper_spatial_loss(enhanced, image, patch_size).item() == pytest.approx(expected, 1e-4)


def test_papers_other_losses_against_slow_plain_versions():
    enhanced, factor = torch.rand(2, 3, 32, 48), torch.rand(2, 3, 6, 7) * 2 - 1
    colour = exposure = variation = 0.0
    for b in range(2):
        y = [enhanced[b, c].double().mean().item() for c in range(3)]
        for i, j in ((0, 1), (0, 2), (1, 2)):
            colour += math.sqrt((y[i] - y[j]) ** 2 + 1e-12) / 2
        bright = [abs(v - 0.6) for row in means(enhanced[b : b + 1], 16) for v in row]
        exposure += sum(bright) / len(bright) / 2
        for c in range(3):
            for row in range(6):
                for column in range(7):
                    here = factor[b, c, row, column].item()
                    if row:
                        variation += (here - factor[b, c, row - 1, column].item()) ** 2
                    if column:
                        variation += (here - factor[b, c, row, column - 1].item()) ** 2
    variation /= 2 * 3 * 6 * 7
    assert paper_colour_loss(enhanced).item() == pytest.approx(colour, rel=1e-4)
    assert paper_exposure_loss(enhanced, 0.6).item() == pytest.approx(exposure, rel=1e-4)
    assert paper_total_variation_loss(factor).item() == pytest.approx(variation, rel=1e-4)


def test_semantic_against_a_slow_plain_version():
    logits = torch.randn(2, 5, 3, 4)
    total = 0.0
    for b in range(2):
        for y in range(3):
            for x in range(4):
                exponents = [math.exp(v) for v in logits[b, :, y, x].tolist()]
                p = max(exponents) / sum(exponents)
                total -= (1 - p) ** 2 * math.log(p)
    assert semantic_loss(logits).item() == pytest.approx(total / 24, rel=1e-4)


def test_the_papers_objective_has_its_parts_and_weights(image, enhanced, factor, logits):
    class Guide(torch.nn.Module):
        def forward(self, _image):
            return logits

    parts = ZeroReferenceLoss(guide=Guide(), objective="paper")(image, enhanced, factor)
    expected = {
        "tv": paper_total_variation_loss(factor),
        "spatial": paper_spatial_loss(enhanced, image),
        "colour": paper_colour_loss(enhanced),
        "exposure": paper_exposure_loss(enhanced),
        "semantic": 0.1 * semantic_loss(logits),
    }
    assert {k: v.item() for k, v in parts.items()} == {k: v.item() for k, v in expected.items()}


def test_the_papers_losses_have_finite_gradients_on_gray():
    gray = torch.full((1, 3, 32, 32), 0.6, requires_grad=True)
    parts = ZeroReferenceLoss(objective="paper")(gray.detach(), gray, gray)
    sum(parts.values()).backward()
    assert gray.grad.isfinite().all()
