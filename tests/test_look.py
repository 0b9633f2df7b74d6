"""The natural look on whole pictures: what it must do, and what it must leave alone."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pictures import png, write_all
from PIL import Image, ImageDraw
from scipy import ndimage

from evaluation.metrics import newly_clipped, psnr
from sgz import Enhancer, cli
from sgz.device import DevicePath
from sgz.image.photo import read_photo

WEIGHTS = Path(__file__).parents[1] / "weight/Epoch99.pth"
SIZE = 240, 320
ROWS, COLUMNS = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]


@cache
def natural(**parts) -> Enhancer:
    return Enhancer(WEIGHTS, device="cpu", look="natural", threads=1, **parts)


def levels(values: np.ndarray) -> np.ndarray:
    """[H, W] or [H, W, 3] of levels -> [H, W, 3] uint8."""
    values = values if values.ndim == 3 else np.repeat(values[..., None], 3, 2)
    return values.round().clip(0, 255).astype(np.uint8)


def smooth_scene() -> np.ndarray:
    """A dark room with a bright part, three colours, no noise: [H, W, 3] floats of 0 to 90."""
    light = 12 + 8 * np.sin(COLUMNS / 60) * np.cos(ROWS / 50) + 50 * (COLUMNS > 250) * (ROWS < 90)
    return light[..., None] * np.array([1.2, 1.0, 0.8])


def noisy(sigma: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return levels(smooth_scene() + rng.normal(0, sigma, (*SIZE, 3)))


def with_disk(noise: float = 0) -> np.ndarray:
    """A disk of 200 on ground that rises from 6 to 24 across 800x600."""
    rows, columns = np.mgrid[0:600, 0:800]
    ground = np.repeat((6 + 18 * columns / 799)[..., None], 3, 2)
    ground[(columns - 400) ** 2 + (rows - 300) ** 2 < 60**2] = 200
    return levels(ground + np.random.default_rng(0).normal(0, noise, ground.shape))


def dip_of(bright: np.ndarray) -> float:
    """Largest dip of the ground beside the disk against the same ground far off."""
    luma = ndimage.uniform_filter(bright.astype(np.float64).mean(2), 9)
    rows, columns = np.mgrid[0:600, 0:800]
    distance = np.hypot(columns - 400, rows - 300)
    beside = (distance > 67) & (distance < 160)
    return float((1 - luma / luma[20:60].mean(0).clip(1))[beside].max())


@pytest.mark.parametrize("noise", [0, 2])
def test_no_halo(noise):
    image = with_disk(noise)
    assert dip_of(natural()(image)) < 0.1
    assert dip_of(Enhancer(WEIGHTS, device="cpu")(image)) > 0.2  # what the other one cures


def test_no_veil():
    offset = np.array([14, 6, 12])
    light = smooth_scene() + 90 * (COLUMNS > 260)[..., None]
    image = levels(light * (ROWS > 40)[..., None] * 0.8 + offset)
    black = natural()(image)[:30, :200]
    assert black.max() <= 3
    assert Enhancer(WEIGHTS, device="cpu")(image)[:30, :200].mean() > 30


def test_a_sky_over_dark_ground_keeps_its_shades():
    sky, ground = 190 + 50 * COLUMNS / SIZE[1], 12 + 4 * np.sin(ROWS / 20) * np.sin(COLUMNS / 20)
    image = levels(np.where(ROWS < 130, sky, ground)[..., None] * np.array([0.8, 0.9, 1.0]))
    after = natural()(image)
    assert after[180:].mean() > 1.8 * image[180:].mean()
    assert newly_clipped(after, image) == 0
    assert newly_clipped(natural(exposure=False)(image), image) > 0.05
    assert (np.diff(after[20:80, ::32].mean((0, 2))) > 0).all()


def test_hue_stays():
    image = levels(smooth_scene())
    result = natural(black_point=False)(image).astype(np.float64)
    dark = result.max(2) < 240
    ratio = result[dark] / result[dark].max(1, keepdims=True)
    assert dark.mean() > 0.7
    assert (ratio[:, 0] == 1).all()
    assert ((ratio[:, 1] < 1) & (ratio[:, 2] < ratio[:, 1])).mean() > 0.99


def test_noise_goes_and_edges_stay():
    image, clean = noisy(2.0), smooth_scene()
    enhancer, rough = natural(), natural(denoise="off")
    treatment = enhancer.treatment(image)
    assert treatment.sigma * 255 == pytest.approx(2.0, rel=0.25)
    expected = rough.apply(levels(clean), rough.factor(levels(clean)))
    off, on = (psnr(e(image), expected) for e in (rough, enhancer))
    assert on > off + 5
    edge = enhancer(image)[10:80, 244:256].astype(np.float64).mean((0, 2))
    assert edge[8] - edge[3] > 0.9 * (expected[10:80, 252].mean() - expected[10:80, 247].mean())


def test_a_clean_picture_is_not_denoised():
    image = levels(smooth_scene())
    assert natural().treatment(image).sigma == 0
    np.testing.assert_array_equal(natural()(image), natural(denoise="off")(image))


def test_noise_that_is_not_amplified_stays():
    bright = levels(150 + 60 * np.sin(ROWS / 40) + np.random.default_rng(0).normal(0, 3, SIZE))
    assert natural().treatment(bright).sigma == 0
    np.testing.assert_array_equal(natural()(bright), bright)


def test_noise_that_nobody_will_see_stays():
    noise = np.random.default_rng(0).normal(0, 1, (*SIZE, 3))
    dim, rough = (levels(40 + 10 * np.sin(ROWS / 40)[..., None] + n * noise) for n in (0.6, 2))
    assert natural()(dim).mean() > 1.8 * dim.mean()
    assert natural().treatment(dim).sigma == 0
    assert natural().treatment(rough).sigma * 255 > 1


def test_noise_as_told():
    image = noisy(2.0)
    assert natural(denoise=3.0).treatment(image).sigma == pytest.approx(3 / 255)
    np.testing.assert_array_equal(natural(denoise=0)(image), natural(denoise="off")(image))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("gray", [False, True])
def test_type_and_shape_stay_and_every_path_agrees(gray, dtype):
    image = noisy(2.0)[:121, :97]
    image = image[..., 1] if gray else image
    if dtype == np.uint16:
        image = image.astype(np.uint16) * 257
    elif dtype == np.float32:
        image = image / np.float32(255)
    enhancer = natural()
    result = enhancer(image)
    assert (result.shape, result.dtype) == (image.shape, image.dtype)
    np.testing.assert_array_equal(enhancer.apply(image, enhancer.factor(image)), result)
    if dtype == np.uint16:
        assert len(np.unique(result)) > 1000  # more than 8 bits
    device = Enhancer(WEIGHTS, device="cpu", look="natural")
    device.path = DevicePath(WEIGHTS, "dsc", "cpu")
    unit = {np.uint8: 1, np.uint16: 40, np.float32: 1e-3}[dtype]
    assert np.abs(device(image).astype(np.float64) - result).max() <= unit


def test_gray_stays_gray():
    image = np.repeat(noisy(2.0)[..., 1:2], 3, 2)
    result = natural()(image).astype(int)
    assert np.ptp(result, axis=2).max() <= 1


def test_a_slider_acts_without_the_network():
    image, enhancer = noisy(1.0), natural()
    factor = enhancer.factor(image)
    means = [enhancer.apply(image, factor, strength).mean() for strength in (0, 0.5, 1, 1.3)]
    assert means == sorted(means)
    np.testing.assert_array_equal(enhancer.apply(image, factor, 0), image)
    assert np.ptp(factor, axis=0).max() == 0
    with pytest.raises(ValueError, match="the factor map is"):
        enhancer.apply(image, factor[:, :-1])


def test_parts_alone():
    image = noisy(1.0)
    paper = Enhancer(WEIGHTS, device="cpu")(image)
    alone = [
        {"black_point": True}, {"exposure": True}, {"map": "guided"}, {"denoise": 2.0},
        {"hue_preserving": True},
    ]  # fmt: skip
    results = [Enhancer(WEIGHTS, device="cpu", **part)(image) for part in alone]
    for one, part in zip(results, alone, strict=True):
        assert (one != paper).any(), part
    nothing = {"black_point": False, "exposure": False, "map": "bilinear", "denoise": "off"}
    off = Enhancer(WEIGHTS, device="cpu", look="natural", hue_preserving=False, **nothing)(image)
    np.testing.assert_array_equal(off, paper)


def bad_inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    text = Image.new("L", SIZE[::-1], 250)
    for line in range(12):
        ImageDraw.Draw(text).text((10, 18 * line + 6), "no photograph at all, a page " * 2, 10)
    sky = rng.normal(3, 0.7, (*SIZE, 3)).clip(0)
    stars = rng.integers(0, SIZE[0], 150), rng.integers(0, SIZE[1], 150)
    sky[stars] += rng.uniform(40, 250, (150, 1))
    framed = np.zeros((*SIZE, 3))
    framed[30:-30] = noisy(1.0)[30:-30] + np.array([9, 3, 7])
    return {
        "black": levels(np.zeros(SIZE)),
        "white": levels(np.full(SIZE, 255.0)),
        "one pixel": levels(np.full((1, 1), 40.0)),
        "one row": levels(np.full((1, 50), 40.0)),
        "one colour": levels(np.full((*SIZE, 3), [30.0, 12, 8])),
        "pure noise": rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        "stars": levels(sky),
        "text": levels(np.asarray(text, np.float64)),
        "gradient": levels(COLUMNS / 8),
        "letterbox": levels(framed),
    }


@pytest.mark.parametrize("name", bad_inputs())
def test_any_picture_gives_one(name):
    image = bad_inputs()[name]
    for given in (image, image / np.float32(255)):
        result = natural()(given)
        assert (result.shape, result.dtype) == (given.shape, given.dtype)
        assert np.isfinite(result).all()
        assert result.min() >= 0 and (given.dtype == np.uint8 or result.max() <= 1)


def test_black_and_white_stay():
    for name in ("black", "white"):
        np.testing.assert_array_equal(natural()(bad_inputs()[name]), bad_inputs()[name])


def test_text_stays_readable():
    page = bad_inputs()["text"]
    assert psnr(natural()(page), page) > 25


def test_one_colour_keeps_its_hue():
    result = natural()(bad_inputs()["one colour"]).astype(int)
    assert np.ptp(result, axis=(0, 1)).max() <= 2
    assert result[0, 0, 0] > result[0, 0, 1] > result[0, 0, 2] > 0


def test_stars_are_no_noise():
    sky = bad_inputs()["stars"]
    stars = sky.max(2) > 60
    smooth, rough = (natural(denoise=way)(sky).max(2) for way in ("auto", "off"))
    assert stars.sum() > 100
    assert np.median(smooth[stars] / rough[stars]) > 0.85


def test_a_gradient_shows_no_bands_but_its_own():
    gradient = bad_inputs()["gradient"]
    result = natural()(gradient).astype(int)
    assert len(np.unique(result[0, :, 0])) >= len(np.unique(gradient[0, :, 0])) - 2
    assert (np.diff(result[100, :, 0]) >= -1).all()


def test_a_letterbox_is_not_the_black_point():
    image = bad_inputs()["letterbox"]
    inside = natural().treatment(image[30:-30]).black
    assert inside.min() * 255 > 5
    np.testing.assert_allclose(natural().treatment(image).black, inside, atol=1 / 255)


def test_an_enhanced_picture_changes_less_than_half_as_much_again():
    dark = noisy(1.5)
    once = natural()(dark)
    again = natural()(once)
    first, second = (
        np.sqrt(np.mean((a.astype(float) - b) ** 2)) for a, b in ((once, dark), (again, once))
    )
    assert second < first / 2
    assert (again == 255).mean() <= (once == 255).mean() + 0.001


def test_alpha_is_untouched(tmp_path, weight, enhance_each):
    alpha = (COLUMNS[:60, :80] * 3).astype(np.uint8)
    dark = noisy(1.0)[:60, :80]
    write_all(tmp_path, {"in/a.png": png(np.dstack((dark, alpha)))})
    common = ["--input_dir", tmp_path / "in", "--weight_dir", weight, "--look", "natural"]
    good, bad = enhance_each(
        [*common, "--test_dir", tmp_path / "out", "--denoise", "1.5", "--no-exposure"],
        [*common, "--test_dir", tmp_path / "none", "--reference"],
    )
    assert good[0] == 0
    photo = read_photo(tmp_path / "out/a.png")
    np.testing.assert_array_equal(photo.alpha, alpha)
    expected = Enhancer(weight, device="cpu", look="natural", denoise=1.5, exposure=False)(dark)
    assert np.abs(photo.pixels.astype(int) - expected).max() <= 1
    assert bad[0] == 1
    assert "--reference is the paper's way; leave out --look and its parts" in bad[2]
    assert "Traceback" not in bad[2]


def test_sgz_takes_the_natural_look_and_says_what_it_found(tmp_path, monkeypatch, capsys):
    dark = noisy(2.0)
    write_all(tmp_path, {"dark.png": png(dark)})
    monkeypatch.setattr("sys.argv", ["sgz", str(tmp_path / "dark.png"), "--verbose"])
    assert cli.main() == 0
    expected = Enhancer(look="natural")(dark).astype(int)
    found = read_photo(tmp_path / "dark-bright.png").pixels
    assert np.abs(found - expected).max() <= 1
    assert re.search(r"black [\d. ]+, noise [12]\.\d\d \(levels of 255\)", capsys.readouterr().out)


def test_the_network_in_tiles_gives_the_whole_picture(monkeypatch):
    image = noisy(1.0)
    expected = natural()(image)
    monkeypatch.setattr("sgz.processor.TILE", 7)
    np.testing.assert_allclose(natural()(image), expected, atol=1)
