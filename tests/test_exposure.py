"""Automatic exposure: what it makes of dark, bright and night pictures, on every path."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import png, scene, write_all

from sgz import model
from sgz.device import DevicePath
from sgz.enhancer import Enhancer
from sgz.image.photo import read_photo
from sgz.kernels import rgb
from sgz.look.exposure import fit_strength

pytestmark = pytest.mark.usefixtures("one_thread")
WEIGHTS = Path(__file__).parents[1] / "weight/Epoch99.pth"
PICTURES = {  # mean before, and what is to come of it with a map of -0.25 throughout
    "dark all over": (0.05, 0.42),
    "very dark": (0.004, None),  # as far as twice the map goes
    "as it should be": (0.15, None),
    "too bright": (0.5, 0.6),
    "bright already": (0.7, 0.7),
}


def flat_map(small: np.ndarray, value: float = -0.25) -> np.ndarray:
    return np.full((3, *small.shape[1:]), value, np.float32)


def enhanced_mean(small: np.ndarray, strength: float) -> float:
    factor = np.clip(flat_map(small) * strength, -1, 1)
    return model.apply_curve(torch.from_numpy(small), torch.from_numpy(factor)).mean().item()


def picture_of_mean(mean: float) -> np.ndarray:
    """[3, 40, 50] in [0, 1], uneven, without highlights."""
    rows, columns = np.mgrid[0:40, 0:50]
    wave = 1 + 0.3 * np.sin(rows / 5) * np.cos(columns / 7)
    return (np.stack([wave, wave * 0.95, wave * 1.05]) / wave.mean() * mean).astype(np.float32)


@pytest.mark.parametrize("name", PICTURES)
def test_the_mean_becomes_what_it_should_be(name):
    before, after = PICTURES[name]
    small = picture_of_mean(before)
    strength = fit_strength(small, flat_map(small))
    if name == "as it should be":
        assert 0.42 < enhanced_mean(small, 1) < 0.6
        assert strength == 1
    elif name == "very dark":
        assert strength == 2
    else:
        assert enhanced_mean(small, strength) == pytest.approx(after, abs=0.01)
        assert (strength > 1) == (enhanced_mean(small, 1) < 0.42)


def test_a_night_with_lamps_stays_a_night():
    night = picture_of_mean(0.02)
    assert fit_strength(night, flat_map(night)) > 1.5
    night[:, 10:13, 20:30] = 0.95  # 1.5 % of it
    assert fit_strength(night, flat_map(night)) == 1


@pytest.mark.parametrize("value", [0, 0.3])
def test_what_cannot_be_brightened_is_left_alone(value):
    black, dim = np.zeros((3, 5, 7), np.float32), picture_of_mean(0.1)
    assert fit_strength(black, flat_map(black)) == 1
    assert fit_strength(dim, flat_map(dim, value)) == 1
    assert fit_strength(dim, flat_map(dim), iterations=0) == 1


@pytest.mark.parametrize("scale", [1, 12])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_enhancer_gives_the_map_that_strength(channels, dtype, scale):
    whole = 65535 if dtype == np.uint16 else 255
    image = scene(121, 97, channels, np.uint16) / 65535 * 0.05  # dark all over
    image = image.astype(dtype) if dtype == np.float32 else np.rint(image * whole).astype(dtype)
    plain = Enhancer(WEIGHTS, scale, device="cpu")
    auto = Enhancer(WEIGHTS, scale, device="cpu", auto_exposure=True)
    factor = plain.factor(image)
    stack = image if channels == 3 else image[..., None]
    strength = fit_strength(rgb.shrink(stack, scale), factor)
    assert abs(strength - 1) > 0.05
    expected = plain.apply(image, factor, strength)
    found = auto(image)
    assert (found.shape, found.dtype) == (image.shape, image.dtype)
    np.testing.assert_array_equal(auto.apply(image, auto.factor(image)), found)
    rounding = 1e-6 if dtype == np.float32 else 1  # gray's map is averaged before or after
    assert np.abs(found.astype(float) - expected).max() <= rounding
    auto.path = DevicePath(WEIGHTS, "dsc", "cpu")
    level = {np.uint8: 1, np.uint16: 8, np.float32: 1e-4}[dtype]
    assert np.abs(auto(image).astype(float) - expected).max() <= level


def test_under_exposed_pictures_come_out_alike_with_the_weights_in_the_box():
    darker = [np.rint(scene(240, 360) * share).astype(np.uint8) for share in (0.06, 0.12, 0.25)]
    plain, auto = (
        [Enhancer(WEIGHTS, device="cpu", auto_exposure=on)(image).mean() / 255 for image in darker]
        for on in (False, True)
    )
    assert max(plain) - min(plain) > 0.1
    assert max(auto) - min(auto) < 0.03
    assert min(auto) > 0.4


def test_the_command_line(tmp_path, weight, enhance_each):
    dark = np.rint(scene(60, 80) * 0.2).astype(np.uint8)
    write_all(tmp_path, {"in/a.png": png(dark)})
    common = ["--input_dir", tmp_path / "in", "--weight_dir", weight, "--auto_exposure"]
    good, bad = enhance_each(
        [*common, "--test_dir", tmp_path / "out"],
        [*common, "--test_dir", tmp_path / "none", "--reference"],
    )
    assert good[0] == 0
    expected = Enhancer(weight, device="cpu", auto_exposure=True)(dark)
    found = read_photo(tmp_path / "out/a.png").pixels
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert bad[0] == 1
    assert "--reference is the paper's way; leave out --auto_exposure" in bad[2]
    assert "Traceback" not in bad[2]
