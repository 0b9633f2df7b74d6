"""The natural look in video: noise goes, and nothing else does."""

from concurrent.futures import ThreadPoolExecutor

import av
import numpy as np
import pytest
from clips import decode_all, make_clip, save_weights
from test_kernel_yuv import LAYOUTS, make_planes, mean_of_pixels

from sgz.enhancer import Enhancer
from sgz.kernels.yuv_natural import Memory, Noise, Recipe, apply_recipe
from sgz.look.treatment import Treatment, apply_plainly
from sgz.video.noise import NoiseMeter
from sgz.video.smoothing import Smoother, weigh_by_light
from sgz.video.stream import enhance_video

WIDTH, HEIGHT = 192, 96
NOISE = 2.0  # codes


def even_noise(luma, chroma, bits=8):
    """The same at each code."""
    return Noise(np.full(1 << bits, luma, np.float32), chroma)


def recipe_of(layout, scale=12, maps=1, noise=None, level=-0.35):
    rng = np.random.default_rng(1)
    small = maps, -(-layout[0] // scale), -(-layout[1] // scale)
    slope = rng.uniform(0, 0.3, small).astype(np.float32)
    offset = (level + rng.uniform(0, 0.1, small)).astype(np.float32)
    return Recipe(np.array([0.03, 0.02, 0.04], np.float32), slope, offset, noise)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("maps", [1, 3])
def test_equals_the_picture_path(layout, maps):
    """Without noise to take out: the plain formulas of the look, on the same planes as RGB."""
    planes, recipe = make_planes(layout), recipe_of(layout, maps=maps)
    picture = planes.to_rgb(planes.read(np.arange(planes.height), np.arange(planes.width)))
    treatment = Treatment(recipe.black, recipe.slope, recipe.offset, 0.0)
    bright = apply_plainly(picture.astype(np.float64), treatment, 12, 8)
    red, blue = planes.shares
    luma = bright @ np.array([red, 1 - red - blue, blue])
    black, luma_step, gray, chroma_step = planes.levels()
    expected = [luma * luma_step + black]
    for channel, share in ((2, blue), (0, red)):
        difference = (bright[..., channel] - luma) / (2 * (1 - share))
        expected.append(mean_of_pixels(difference, planes) * chroma_step + gray)
    apply_recipe(planes, recipe, 12)
    peak = (1 << planes.bits) - 1
    for plane, values in zip(planes.arrays, expected, strict=True):
        written = plane[: values.shape[0], : values.shape[1]].astype(float)
        assert np.abs(written - values.clip(0, peak)).max() <= 0.5 + 4e-3 * (1 << planes.bits - 8)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bands_do_not_show(layout):
    results = []
    with ThreadPoolExecutor(3) as pool:
        for workers in ((), (pool, 3)):
            memory = Memory.of(make_planes(layout))
            recipe = recipe_of(layout, noise=even_noise(1.0, 0.8, layout[2]))
            for _ in range(2):
                planes = make_planes(layout)
                apply_recipe(planes, recipe, 12, 8, memory, *workers)
            results.append([plane.copy() for plane in planes.arrays])
    assert all(np.array_equal(one, other) for one, other in zip(*results, strict=True))


def make_scene(number, bar=None, level=40.0, noise=NOISE, contrast=120):
    """Luma [HEIGHT, WIDTH] in codes: even dark ground with noise, a light bar from column `bar`."""
    ground = level + np.random.default_rng(number).normal(0, noise, (HEIGHT, WIDTH))
    if bar is not None:
        ground[:, max(bar, 0) : bar + 8] += contrast
    return ground.round().clip(16, 235).astype(np.uint8)


NOISY = even_noise(NOISE, 0.8)


def run_frames(lumas, noise=NOISY, fresh=()):
    """Luma of each frame after the kernel with one even map; `fresh` frames begin a scene."""
    layout = (HEIGHT, WIDTH, 8, (2, 2), (0.299, 0.114), False, False)
    recipe = recipe_of(layout, noise=noise)
    memory, out = None, []
    for number, luma in enumerate(lumas):
        planes = make_planes(layout)
        planes.arrays[0][:HEIGHT, :WIDTH] = luma
        for plane in planes.arrays[1:]:
            plane[:] = 128
        memory = memory or Memory.of(planes)
        memory.fresh |= number in fresh
        apply_recipe(planes, recipe, 12, 8, memory)
        out.append(planes.arrays[0][:HEIGHT, :WIDTH].astype(float))
    return np.array(out)


def test_a_still_scene_is_calm():
    """Deviation over time of flat ground: at most 0.4 of what it was."""
    lumas = [make_scene(number) for number in range(40)]
    noisy, calm = run_frames(lumas, None), run_frames(lumas)
    ratio = calm[15:].std(axis=0).mean() / noisy[15:].std(axis=0).mean()
    assert ratio <= 0.4
    assert abs(calm[15:].mean() - noisy[15:].mean()) < 0.3


@pytest.mark.parametrize("step", [1, 4, 16])
@pytest.mark.parametrize("contrast", [120, 8])
def test_a_moving_bar_leaves_no_trail(step, contrast):
    """Behind it the ground is as it is without the bar: within the noise of the mean, and for one
    that hardly stands out of the noise within that."""
    count = 100 // step
    lumas = [make_scene(number, 20 + step * number, contrast=contrast) for number in range(count)]
    plain = [make_scene(number) for number in range(count)]
    moved, still = run_frames(lumas), run_frames(plain)
    noise = run_frames(plain[-1:], None).std()
    place = 20 + step * (count - 1)
    behind = slice(max(place - 4 * step - 8, 0), place - 2)
    trail = (moved[-1] - still[-1])[:, behind].mean(axis=0)
    assert np.abs(trail).max() < (3 * noise / np.sqrt(HEIGHT) + 0.5 if contrast > 99 else noise)
    bar = slice(place + 2, place + 6)
    expected = run_frames(lumas[-1:])[0][:, bar].mean()
    assert abs(moved[-1][:, bar].mean() - expected) < (1 if contrast > 99 else noise)


def test_a_cut_shows_at_once():
    before, after = (
        [make_scene(n) for n in range(8)],
        [make_scene(50 + n, level=48) for n in range(3)],
    )
    together = run_frames([*before, *after], fresh=(8,))
    assert np.array_equal(together[8], run_frames(after)[0])


def test_frames_without_noise_pass_plainly():
    """A clean picture is not mixed with another one, however alike where nothing is amplified."""
    bright = [make_scene(number, level=150, noise=0) for number in range(3)]
    assert np.array_equal(run_frames(bright), run_frames(bright, None))


def test_the_meter_knows_noise_from_what_stands_and_moves():
    x = np.arange(320) / 320
    still = 60 + 40 * np.random.default_rng(0).integers(0, 2, (240, 400))
    for name, make in {
        "still texture": lambda n: still[:, :320],
        "moving texture": lambda n: still[:, 2 * n : 2 * n + 320],
        "smooth and moving": lambda n: np.tile(80 + 40 * np.sin(6 * x + n / 9), (240, 1)),
    }.items():
        meter = NoiseMeter(8, 16.0)
        clean = [meter.measure(make(n).astype(np.uint8), 320, 240) for n in range(9)][-1]
        assert clean[80] < 0.5, name
        meter, rng = NoiseMeter(8, 16.0), np.random.default_rng(1)
        for n in range(14):
            noisy = (make(n) + rng.normal(0, 4, (240, 320))).astype(np.uint8)
            found = meter.measure(noisy, 320, 240)
        # Where all is texture that moves, noise counts as a codec's, which comes back for frames.
        assert 3.2 < found[80] < (8 if name == "moving texture" else 4.6), name


@pytest.mark.parametrize(("jitter", "limit"), [(0.0, 0.0004), (0.01, 0.003), (0.03, 0.01)])
def test_a_step_of_the_light_does_not_overshoot(jitter, limit):
    """Each frame's level is that of its own side of the step, but for some jitter."""
    rng = np.random.default_rng(3)
    levels = np.where(np.arange(60) < 30, 0.40, 0.28)
    seen = levels * (1 + jitter * rng.standard_normal(60))
    picture = rng.uniform(0.5, 1.5, (8, 12, 3)).astype(np.float32)
    picture /= picture.mean()

    def find(small):
        return float(small.mean() - 0.5), (np.full((1, 2, 2), small.mean() - 0.5, np.float32),)

    smoother = Smoother(find, 0.5, weigh_by_light)
    found = []
    for number, level in enumerate(seen):
        found += smoother.add(number, picture * np.float32(level), number / 24)
    found += smoother.finish()
    got = np.array([values[0].mean() + 0.5 for _, values, _ in found])
    assert np.abs(got - levels).max() < limit


def test_a_frame_on_the_way_to_another_light_keeps_its_own():
    """The levels of a hand-held clip's frames: its camera has begun to darken in the fifth."""
    levels = np.array([-1.503, -1.503, -1.501, -1.501, -1.538, -1.591, -1.676, -1.675, -1.68,
                       -1.693, -1.687])  # fmt: skip
    for own in (4, 5):
        weights = weigh_by_light(levels, own)
        assert weights[own] == 1 and np.delete(weights, own).max() < 0.1
    assert weigh_by_light(levels, 6)[6:].min() > 0.5  # there it has arrived
    assert weigh_by_light(levels, 0)[:4].min() > 0.5


def test_no_flash_where_a_camera_changes_its_exposure(tmp_path):
    """Over three frames, as cameras do: from one light's level to the other's and not beyond."""
    rng = np.random.default_rng(3)
    scene = np.kron(rng.uniform(0.01, 0.14, (8, 12, 3)), np.ones((16, 16, 1)))
    exposures = [*[1.0] * 20, 0.92, 0.80, *[0.66] * 20]

    def picture(number, width, height):
        return np.rint(255 * (scene * exposures[number]) ** (1 / 2.2)).astype(np.uint8)

    size = {"frames": len(exposures), "size": (192, 128)}
    source = make_clip(tmp_path / "a.mkv", codec="ffv1", pix_fmt="bgr0", picture=picture, **size)
    enhance_video(Enhancer(threads=1, look="natural", denoise="off"), source, tmp_path / "b.mkv")
    luma = np.array([frame.mean() for frame in decode_all(tmp_path / "b.mkv")])
    assert luma[0] < luma[-1]
    assert luma[0] - 0.5 < luma.min() and luma.max() < luma[-1] + 0.5


@pytest.fixture(scope="module")
def natural(tmp_path_factory):
    weights = save_weights(tmp_path_factory.mktemp("weights") / "w.pth")
    return Enhancer(weights, threads=1, look="natural")


@pytest.mark.parametrize(
    "make",
    [
        {"frames": 1},
        {"frames": 4, "times": [0, 1, 1, 2]},
        {"frames": 6, "picture": lambda n, w, h: np.zeros((h, w, 3), np.uint8)},
        {"frames": 12, "picture": lambda n, w, h: np.full((h, w, 3), 5 * n, np.uint8)},
        {"frames": 6, "codec": "ffv1", "pix_fmt": "yuv420p10le"},
        {"frames": 6, "codec": "ffv1", "pix_fmt": "yuva420p"},
        {"frames": 6, "codec": "ffv1", "pix_fmt": "bgr0"},
        {"frames": 6, "codec": "ffv1", "pix_fmt": "gray"},
        {"frames": 6, "size": (97, 61), "codec": "ffv1"},
        {"frames": 6, "interlaced": True},
    ],
    ids=["one", "twice", "black", "fade", "10 bits", "alpha", "rgb", "gray", "odd", "interlaced"],
)
def test_all_kinds_of_video(natural, tmp_path, make):
    source = make_clip(tmp_path / "a.mkv", **make)
    assert enhance_video(natural, source, tmp_path / "b.mkv", note=lambda _: None) == make["frames"]
    dark, bright = decode_all(source), decode_all(tmp_path / "b.mkv")
    assert len(bright) == make["frames"] and bright[-1].shape == dark[-1].shape
    assert bright[-1].mean() >= dark[-1].mean() - 4


def test_fields_are_not_mixed(natural, tmp_path):
    """A bar that is in one field alone stays there."""

    def picture(number, width, height):
        frame = np.full((height, width, 3), 20, np.uint8)
        frame[1::2, 30:50] = 90
        return frame

    source = make_clip(
        tmp_path / "a.mkv", 6, picture=picture, interlaced=True, options={"crf": "0"}
    )
    enhance_video(natural, source, tmp_path / "b.mp4", note=lambda _: None)
    with av.open(str(tmp_path / "b.mp4")) as after:
        luma = [frame.to_ndarray(format="gray") for frame in after.decode(video=0)][-1].astype(int)
    assert (luma[1::2, 36:44].mean() - luma[::2, 36:44].mean()) > 60
