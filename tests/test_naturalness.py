"""NIQE against a slow version, published means and properties."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage
from scipy.special import gamma

from evaluation import naturalness

SHARED = Path(__file__).parents[2] / "shared"


def photo_like(seed=0, height=200, width=300):
    """Colour noise with the 1/f spectrum of photographs."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    frequency[0, 0] = 1
    planes = [
        np.fft.ifft2(np.fft.fft2(rng.normal(size=(height, width))) / frequency**1.2).real
        for _ in range(3)
    ]
    values = np.stack(planes, axis=2) * 0.3 + planes[0][..., None]
    return (127 + 45 * (values - values.mean()) / values.std()).clip(0, 255).astype(np.uint8)


def degrade(image, deviation, seed=1):
    field = np.random.default_rng(seed).normal(0, 1, image.shape)
    return np.clip(np.round(image + deviation * field), 0, 255).astype(np.uint8)


# NIQE the slow way: one block, one number at a time, resampling as a matrix.


def slow_fit(values):
    shapes = np.arange(0.2, 10.0005, 0.001)
    ratios = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    left = math.sqrt(np.mean(values[values < 0] ** 2))
    right = math.sqrt(np.mean(values[values > 0] ** 2))
    skew = left / right
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = shapes[np.argmin((ratios - ratio) ** 2)]
    scale = math.sqrt(gamma(1 / shape) / gamma(3 / shape))
    return shape, left * scale, right * scale


def slow_features(block):
    shape, left, right = slow_fit(block)
    features = [shape, (left + right) / 2]
    for rows, columns in ((0, 1), (1, 0), (1, 1), (1, -1)):
        products = block * np.roll(np.roll(block, rows, 0), columns, 1)
        shape, left, right = slow_fit(products)
        mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
        features += [shape, mean, left, right]
    return features


def slow_halving(length):
    """Rows of Matlab's imresize(…, 0.5): a cubic of a = -1/2, widened, mirrored at the ends."""
    matrix = np.zeros((length // 2, length))
    for row in range(length // 2):
        for tap in range(2 * row - 3, 2 * row + 5):
            x = abs(tap - (2 * row + 0.5)) / 2
            inner, outer = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
            place = -tap - 1 if tap < 0 else min(tap, 2 * length - 1 - tap)
            matrix[row, place] += inner if x <= 1 else outer
    return matrix / matrix.sum(1, keepdims=True)


def slow_niqe(image, border=0):
    plane = 16 + image.astype(float) @ np.array([65.481, 128.553, 24.966]) / 255
    plane = plane[border : plane.shape[0] - border, border : plane.shape[1] - border]
    rows, columns = plane.shape[0] // 96, plane.shape[1] // 96
    plane = plane[: rows * 96, : columns * 96]
    x = np.arange(-3, 4)
    window = np.exp(-(x[:, None] ** 2 + x[None] ** 2) / (2 * (7 / 6) ** 2))
    window /= window.sum()
    table = []
    for size in (96, 48):
        mean = ndimage.convolve(plane, window, mode="nearest")
        square = ndimage.convolve(plane**2, window, mode="nearest")
        values = (plane - mean) / (np.sqrt(np.abs(square - mean**2)) + 1)
        table.append(
            [
                slow_features(values[r * size : (r + 1) * size, c * size : (c + 1) * size])
                for r in range(rows)
                for c in range(columns)
            ]
        )
        plane = slow_halving(plane.shape[0]) @ plane @ slow_halving(plane.shape[1]).T
    features = np.hstack(table)
    with np.load(naturalness.NIQE_MODEL) as model:
        gap = model["mean"] - features.mean(0)
        pooled = (model["covariance"] + np.cov(features.T)) / 2
    return math.sqrt(gap @ np.linalg.pinv(pooled) @ gap)


@pytest.mark.parametrize("border", [0, 5])
def test_niqe_against_the_slow_version(border):
    image = photo_like(2)
    assert naturalness.niqe(image, border=border) == pytest.approx(
        slow_niqe(image, border), rel=1e-6
    )


def test_niqe_properties():
    image = photo_like(3)
    assert naturalness.niqe(image) == naturalness.niqe(image.copy())
    mirrored = naturalness.niqe(np.ascontiguousarray(image[:192, 287::-1]))
    assert mirrored == pytest.approx(naturalness.niqe(image[:192, :288]), rel=0.05)
    scores = [naturalness.niqe(degrade(image, deviation)) for deviation in (0, 15, 40, 100)]
    assert scores == sorted(scores) and scores[-1] > 2 * scores[0]
    blurred = naturalness.niqe(cv2.GaussianBlur(image, (0, 0), 4))
    assert blurred > scores[0] + 1


def test_niqe_colours_differ_but_a_little():
    image = photo_like(4)
    values = [naturalness.niqe(image, colour) for colour in naturalness.NIQE_COLOURS]
    assert len(set(values)) == 3
    assert np.ptp(values) < 0.15 * np.mean(values)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    assert naturalness.niqe(gray, "full") == pytest.approx(values[2], rel=1e-3)


def test_niqe_where_it_is_not_defined():
    assert math.isnan(naturalness.niqe(np.full((200, 200, 3), 90, np.uint8)))
    with pytest.raises(ValueError, match="two blocks of 96x96 pixels, not 100x150"):
        naturalness.niqe(photo_like(0, 150, 100))
    with pytest.raises(ValueError, match="not 98x186"):
        naturalness.niqe(photo_like(0, 200, 112), border=7)
    with pytest.raises(ValueError, match="two blocks"):
        naturalness.niqe(photo_like(0, 20, 20), border=15)
    with pytest.raises(ValueError, match="colour must be one of"):
        naturalness.niqe(photo_like(), "lab")


def test_the_model_names_its_source_and_is_a_covariance():
    with np.load(naturalness.NIQE_MODEL) as model:
        assert "Mittal" in str(model["source"])
        assert model["mean"].shape == (36,)
        covariance = model["covariance"]
    assert np.allclose(covariance, covariance.T)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9


def test_the_model_is_the_published_one():
    path = SHARED / "iqa/niqe_pris_params.npz"
    if not path.is_file():
        pytest.skip("../shared/iqa is absent")
    mean, covariance = naturalness.niqe_model()
    with np.load(path) as published:
        assert np.array_equal(mean, published["mu_pris_param"][0])
        assert np.array_equal(covariance, published["cov_pris_param"])


def test_niqe_of_dicm_is_within_a_percent_of_the_reference():
    folder, weights = SHARED / "data/dicm", SHARED / "weights/sgz_official_Epoch99.pth"
    if not (folder.is_dir() and weights.is_file()):
        pytest.skip("../shared/data/dicm or ../shared/weights is absent")
    import torch

    from sgz.image.photo import read_photo
    from sgz.model import load_model

    net = load_model(weights, 12)
    before, after = [], []
    for path in sorted(folder.iterdir()):
        pixels = read_photo(path).pixels
        batch = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
        with torch.inference_mode():
            output = net(batch)[0].clamp(0, 1).mul(255).round().byte()
        before.append(naturalness.niqe(pixels))
        after.append(naturalness.niqe(output[0].permute(1, 2, 0).numpy()))
    assert len(before) == 64
    assert np.mean(before) == pytest.approx(4.37, rel=0.01)
    assert np.mean(after) == pytest.approx(3.89, rel=0.01)
