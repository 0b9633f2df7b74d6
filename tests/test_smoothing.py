"""Smoothing over time: less flicker, and no trace of the scene before a cut."""

from itertools import islice

import av
import numpy as np
import pytest
from clips import ROOT, save_weights

from evaluation import metrics
from sgz.enhancer import Enhancer
from sgz.kernels import rgb
from sgz.video.smoothing import HELD, Smoother

RATE = 24


@pytest.fixture(scope="module")
def enhancer(tmp_path_factory):
    """The project's weights or the authors' where they are, else random ones that brighten."""
    for weights in (
        ROOT / "weight" / "Epoch99.pth",
        ROOT.parent / "shared" / "weights" / "sgz_official_Epoch99.pth",
    ):
        if weights.exists():
            return Enhancer(weights, threads=1)
    return Enhancer(save_weights(tmp_path_factory.mktemp("weights") / "w.pth"), threads=1)


def expose(photograph, exposure, rng):
    """uint8 RGB as a camera takes it in so much of the light, with shot and read noise."""
    electrons = rng.poisson((photograph / 255.0) ** 2.2 * 20_000 * exposure)
    read = electrons + rng.normal(0, 8, photograph.shape)
    return np.round(255 * np.clip(read / 20_000, 0, 1) ** (1 / 2.2)).astype(np.uint8)


def scene(name, frames, cut=12, jitter=0.06, seed=0):
    """A static scene whose exposure jitters: frames [240, 360, 3]."""
    data = pytest.importorskip("skimage.data")
    rng = np.random.default_rng(seed)
    photograph = getattr(data, name)()[40:280, 40:400]
    return [
        expose(photograph, (1 + jitter * rng.standard_normal()) / cut, rng) for _ in range(frames)
    ]


def shrink(frame, scale=12):
    """What the network sees of a frame."""

    def read(rows, columns):
        return frame[rows[:, None], columns].astype(np.float32) / 255

    return rgb.read_cells(read, frame.shape[:2], scale)


def smoothed(network, smalls, times, seconds):
    """Each frame's map; frames come out in the order they went in."""
    smoother = Smoother(found_by(network), seconds)
    out = []
    for number, (small, time) in enumerate(zip(smalls, times, strict=True)):
        out += smoother.add(number, small, time)
    out += smoother.finish()
    assert [number for number, *_ in out] == list(range(len(smalls)))
    return [factor for _, (factor,), _ in out]


def found_by(network):
    """A smoother's `find`, of a network."""

    def find(small):
        factor = network(small)
        return float(factor.mean()), (factor,)

    return find


def maps(enhancer, frames, seconds):
    """Each frame's map, smoothed over so many seconds."""
    times = [number / RATE for number in range(len(frames))]
    return smoothed(enhancer.factor_of_small, [shrink(f) for f in frames], times, seconds)


def follow(small):
    """A network whose map is as strong as the picture is dark."""
    return np.full((3, *small.shape[:2]), small.mean() - 0.5, np.float32)


def lit(levels):
    """A still picture [8, 12, 3] in other light each time."""
    scene = np.random.default_rng(0).uniform(0.5, 1.5, (8, 12, 3)).astype(np.float32)
    return [scene / scene.mean() * np.float32(level) for level in levels]


def mean_luma(image):
    return float((image @ np.array([0.299, 0.587, 0.114])).mean())


def added_flicker(enhancer, frames, seconds):
    """Deviation over time of mean luma, beyond what a map that never changes makes of the input."""
    constant = np.mean(maps(enhancer, frames, 0), axis=0)
    added = [
        mean_luma(enhancer.apply(frame, factor)) - mean_luma(enhancer.apply(frame, constant))
        for frame, factor in zip(frames, maps(enhancer, frames, seconds), strict=True)
    ]
    return float(np.std(added))


@pytest.mark.parametrize("name", ["coffee", "astronaut"])
def test_added_flicker_is_at_least_halved(enhancer, name):
    frames = scene(name, 48)
    each_alone, smooth = (added_flicker(enhancer, frames, s) for s in (0, 0.5))
    assert smooth <= 0.5 * each_alone


def test_a_handheld_clip_flickers_less(enhancer):
    """By both measures of metrics.py; the camera's exposure steps within the clip."""
    clip = ROOT.parent / "shared" / "data" / "video" / "dim_room.mp4"
    if not clip.exists():
        pytest.skip("the clip is not at hand")
    with av.open(str(clip)) as container:
        decoded = list(islice(container.decode(video=0), 60))
    frames = [frame.reformat(424, 240, "rgb24").to_ndarray() for frame in decoded]
    times = [frame.time for frame in decoded]
    smalls = [shrink(frame, 6) for frame in frames]  # as large as of the whole frame
    fine = Enhancer(ROOT / "weight" / "Epoch99.pth", 6, threads=1)
    results = []
    for seconds in (0, 0.5):
        factors = smoothed(fine.factor_of_small, smalls, times, seconds)
        pairs = [(f, fine.apply(f, a)) for f, a in zip(frames, factors, strict=True)]
        results.append((metrics.luma_flicker(pairs).added, metrics.warped_error(pairs).added))
    assert results[1][0] < results[0][0] and results[1][1] < results[0][1]


@pytest.mark.parametrize("cuts", [(10, 14), (8, 30), (20, 20)])
def test_a_cut_leaves_no_trace_on_either_side(enhancer, cuts):
    """Every map is that of its own scene alone, from the first frame after a cut on."""
    before, after = scene("coffee", 24, cuts[0]), scene("astronaut", 8, cuts[1], seed=1)
    together = maps(enhancer, before + after, 0.5)
    apart = maps(enhancer, before, 0.5) + maps(enhancer, after, 0.5)
    assert np.array_equal(together, apart)


def test_the_light_switched_on_is_followed_at_once():
    """The same scene in other light is no other scene, but its map is another map."""
    levels = [0.05] * 12 + [0.3] * 12
    factors = smoothed(follow, lit(levels), np.arange(24) / RATE, 0.5)
    assert np.allclose([factor.mean() for factor in factors], np.array(levels) - 0.5)


def test_a_change_of_exposure_is_followed_without_lag():
    """A step of the light amid jitter is followed when it comes; the jitter is averaged."""
    rng = np.random.default_rng(0)
    levels = np.array([0.4] * 20 + [0.37, 0.35, 0.33] + [0.3] * 20)
    jittered = levels * (1 + 0.01 * rng.standard_normal(43))
    factors = smoothed(follow, lit(jittered), np.arange(43) / RATE, 0.5)
    error = np.array([factor.mean() for factor in factors]) - (levels - 0.5)
    assert np.abs(error).max() < 0.02  # a fifth of the step; a mean in time alone: half
    assert np.std(np.diff(error[:15])) < 0.2 * np.std(np.diff(jittered[:15]))


def test_jitter_and_a_slow_pan_are_no_cut(enhancer):
    """A cut would let all frames go that wait, many at a time."""
    data = pytest.importorskip("skimage.data")
    rng = np.random.default_rng(0)
    smoother = Smoother(found_by(enhancer.factor_of_small), 10.0)
    for number in range(30):
        photograph = data.coffee()[40:280, 40 + 3 * number : 400 + 3 * number]
        frame = expose(photograph, (1 + 0.15 * rng.standard_normal()) / 12, rng)
        gone = list(smoother.add(number, shrink(frame), number / RATE))
        assert len(gone) == (number >= HELD)


def test_no_more_frames_wait_at_a_high_rate():
    smoother = Smoother(found_by(follow), 0.5)
    for number, small in enumerate(lit([0.3] * 100)):
        list(smoother.add(number, small, number / 1000))
        assert len(smoother.waiting) <= HELD


def test_zero_seconds_and_a_single_frame_change_nothing():
    smalls = lit([0.3, 0.31, 0.2])
    for seconds in (0, 0.5):
        count = 3 if not seconds else 1
        factors = smoothed(follow, smalls[:count], [0.0, 0.04, 0.08][:count], seconds)
        assert np.array_equal(factors, [follow(small) for small in smalls[:count]])


def test_time_counts_not_frames():
    """The same light filmed at two rates gives the same maps at the same moments."""
    results = []
    for rate in (15, 30):
        times = np.arange(3 * rate + 1) / rate
        factors = smoothed(follow, lit(0.3 + 0.05 * np.sin(2 * times)), times, 0.4)
        results.append([factor.mean() for factor in factors][:: rate // 15])
    assert np.abs(np.subtract(*results)).max() < 1e-3 < np.ptp(results[0])


def test_the_network_looks_again_when_the_light_changes():
    """At a third of the frames while it does not, at each one where it does."""
    seen = []

    def network(small):
        seen.append(float(small.mean()))
        return follow(small)

    smoothed(network, lit([0.3] * 30 + [0.31, 0.32, 0.33]), np.arange(33) / RATE, 0.5)
    assert len(seen) == 13 and np.allclose(seen[-3:], [0.31, 0.32, 0.33])
