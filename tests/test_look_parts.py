"""The parts of the natural look, each by its formula."""

import numpy as np
import pytest

from sgz.look.black_point import find_black_point, subtract_black
from sgz.look.denoise import COLOURS, dct_matrix, overlap_window, padded
from sgz.look.exposure import LEVELS, MOST, brighten, fit_strength
from sgz.look.guided_map import fit_guide, guide_of
from sgz.look.noise import estimate_sigma
from sgz.look.options import NATURAL, PAPER, Look, choose_look


def picture_of_mean(mean: float) -> np.ndarray:
    """[3, 40, 50] in [0, 1], uneven, without highlights."""
    rows, columns = np.mgrid[0:40, 0:50]
    wave = 1 + 0.3 * np.sin(rows / 5) * np.cos(columns / 7)
    return (np.stack([wave, wave * 0.95, wave * 1.05]) / wave.mean() * mean).astype(np.float32)


def flat_map(small: np.ndarray, value: float = -0.25) -> np.ndarray:
    return np.full((3, *small.shape[1:]), value, np.float32)


def test_looks():
    assert choose_look("paper") == PAPER
    assert choose_look("natural") == NATURAL
    assert choose_look("natural", denoise="off", map=None).map == "guided"
    assert choose_look("paper", exposure=True) == Look(exposure=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"look": "vivid"}, "look must be one of natural, paper"),
        ({"map": "cubic"}, "map must be one of guided, bilinear"),
        ({"denoise": "much"}, "denoise must be auto, off or a number"),
        ({"denoise": -1}, "denoise must be auto, off or a number"),
    ],
)
def test_no_other_looks(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        choose_look(**arguments)


def test_black_is_each_channels_offset():
    rng = np.random.default_rng(0)
    offset = np.array([10, 2, 6]) / 255
    light = rng.uniform(0, 0.6, (3, 60, 80))
    light[:, :4] = 0  # a fifteenth of it is black: values pile up there
    black = find_black_point(light + offset[:, None, None])
    np.testing.assert_allclose(black, offset, atol=1e-6)
    rest = subtract_black(light + offset[:, None, None], black[:, None, None])
    assert rest.min() == 0
    assert rest.max() <= 1


def test_the_scenes_colour_is_no_offset():
    rng = np.random.default_rng(0)
    darkest = np.array([6, 14, 1]) / 255  # of a meadow, say
    light = rng.uniform(0, 0.6, (3, 60, 80)) + darkest[:, None, None]
    black = find_black_point(light)
    assert np.ptp(black) == 0
    assert black[0] * 255 == pytest.approx(1 + 0.005 * 0.6 * 255, abs=0.5)


def test_a_black_frame_is_not_the_pictures_black():
    rng = np.random.default_rng(0)
    inside = rng.uniform(9, 80, (3, 50, 80)) / 255
    framed = np.zeros((3, 70, 90))
    framed[:, 9:61, 4:86] = 4 / 255  # half frame, half picture
    framed[:, 10:60, 5:85] = inside
    np.testing.assert_allclose(find_black_point(framed), find_black_point(inside))
    assert (find_black_point(inside) * 255 > 8.9).all()


def test_light_is_no_black():
    assert find_black_point(np.full((3, 5, 5), 0.9)).max() == 0
    ramps = np.linspace(20, 250, 300).reshape(3, 10, 10) / 255  # dark red to light blue
    assert (find_black_point(ramps) * 255).max() <= 16
    dim = find_black_point(np.full((3, 5, 5), 0.04))
    np.testing.assert_allclose(dim, 0.006)  # most of it stays
    assert find_black_point(np.zeros((3, 5, 5))).max() == 0


def test_a_map_that_follows_the_guide_is_kept_at_every_pixel():
    rng = np.random.default_rng(0)
    small = rng.uniform(0, 0.5, (3, 30, 40)).astype(np.float32)
    guide = guide_of(small)
    factor = (0.4 * guide - 0.7)[None].astype(np.float32)
    slope, offset = fit_guide(small, factor, eps=1e-8)
    np.testing.assert_allclose(slope * guide + offset, factor, atol=1e-3)
    np.testing.assert_allclose(slope, 0.4, atol=1e-3)


def test_the_ground_beside_a_lamp_gets_the_grounds_factor():
    small = np.full((3, 60, 60), 0.05, np.float32)
    small[:, 25:35, 25:35] = 0.9
    factor = np.full((1, 60, 60), -0.8, np.float32)
    rows, columns = np.mgrid[0:60, 0:60]
    near = np.maximum(np.abs(rows - 29.5), np.abs(columns - 29.5))
    factor[0] += 0.6 * np.clip((12 - near) / 7, 0, 1)  # as a network's layers spread it
    slope, offset = fit_guide(small, factor)
    ground = np.median((slope * guide_of(small) + offset)[0][(near > 5) & (near < 12)])
    assert factor[0][(near > 5) & (near < 12)].max() > -0.3
    assert ground == pytest.approx(-0.8, abs=0.02)


@pytest.mark.parametrize("mean", [0.02, 0.05, 0.15])
def test_a_dark_picture_is_brought_to_one_level(mean):
    small = picture_of_mean(mean)
    strength = fit_strength(small, flat_map(small))
    after = brighten(small, flat_map(small), [strength], 8).max(axis=1).mean()
    assert LEVELS[0] - 0.06 < after < LEVELS[1] + 0.02


def test_what_is_bright_stays_as_it_is():
    for mean in (0.6, 0.9):
        small = picture_of_mean(mean).clip(0, 1)
        assert fit_strength(small, flat_map(small)) == 0


def test_a_night_with_lamps_stays_a_night():
    night = picture_of_mean(0.02)
    before = fit_strength(night, flat_map(night))
    night[:, 10:13, 20:30] = 0.95  # 1.5 % of it
    assert before > 1.3
    assert fit_strength(night, flat_map(night)) == 1


def test_what_cannot_be_brightened_gives_a_strength_all_the_same():
    black, dim = np.zeros((3, 5, 7), np.float32), picture_of_mean(0.1)
    for small, value in ((black, -0.25), (dim, 0), (dim, 0.3)):
        assert 0 <= fit_strength(small, flat_map(small, value)) <= MOST
    assert 0 <= fit_strength(dim, flat_map(dim), iterations=0) <= MOST


@pytest.mark.parametrize("sigma", [1.0, 3.0, 8.0])
def test_noise_is_measured_and_texture_is_not_noise(sigma):
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:240, 0:320]
    texture = 30 * np.sin(rows * columns / 50) * (columns > 100)
    clean = 60 + texture + 0.1 * columns
    noisy = clean[..., None] + rng.normal(0, sigma, (240, 320, 3))
    found = 255 * estimate_sigma(noisy.round().clip(0, 255).astype(np.uint8), 255)
    assert found == pytest.approx(sigma, rel=0.2)


def test_rounding_is_no_noise():
    rows, columns = np.mgrid[0:240, 0:320]
    gradient = np.repeat((20 + 0.05 * columns + 0.03 * rows)[..., None], 3, 2).round()
    assert estimate_sigma(gradient.astype(np.uint8), 255) == 0


def test_transforms_and_windows():
    np.testing.assert_allclose(dct_matrix() @ dct_matrix().T, np.eye(16), atol=1e-12)
    np.testing.assert_allclose(COLOURS @ COLOURS.T, np.eye(3), atol=1e-12)
    for step in (8, 12, 16):
        total = np.zeros(16 * 9)
        for start in range(0, len(total) - 15, step):
            total[start : start + 16] += overlap_window(step)
        np.testing.assert_allclose(total[16:-32], 1, atol=1e-6)


def test_padding_mirrors():
    assert padded(3, 12).tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0]
    assert set(padded(1).tolist()) == {0}
    assert len(padded(33, 8, 16)) % 16 == 0
