"""Smoothing over time: less flicker, and no trace of the scene before a cut."""

import numpy as np
import pytest
from clips import ROOT, save_weights

import curve
from enhancer import Enhancer
from smoothing import FactorSmoother

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


def maps(enhancer, frames, seconds):
    """Each frame's map, smoothed over so many seconds."""
    smooth = FactorSmoother(seconds)
    for number, frame in enumerate(frames):

        def read(rows, columns, frame=frame):
            return frame[rows[:, None], columns].astype(np.float32) / 255

        small = curve.read_cells(read, frame.shape[:2], enhancer.scale_factor)
        yield smooth(enhancer.factor_of_small(small), small, number / RATE)


def mean_luma(image):
    return float((image @ np.array([0.299, 0.587, 0.114])).mean())


def added_flicker(enhancer, frames, seconds):
    """Deviation over time of mean luma, beyond what a map that never changes makes of the input."""
    constant = np.mean(list(maps(enhancer, frames, 0)), axis=0)
    added = [
        mean_luma(enhancer.apply(frame, factor)) - mean_luma(enhancer.apply(frame, constant))
        for frame, factor in zip(frames, maps(enhancer, frames, seconds), strict=True)
    ]
    return float(np.std(added))


@pytest.mark.parametrize("name", ["coffee", "astronaut"])
def test_added_flicker_is_at_least_halved(enhancer, name):
    frames = scene(name, 48)
    each_alone, smoothed = (added_flicker(enhancer, frames, s) for s in (0, 0.3))
    assert smoothed <= 0.5 * each_alone


@pytest.mark.parametrize("cuts", [(10, 14), (8, 30), (20, 20)])
def test_no_trace_of_the_scene_before_a_cut(enhancer, cuts):
    """From the first frame after a cut on, the map is that of the new scene alone."""
    before, after = scene("coffee", 24, cuts[0]), scene("astronaut", 8, cuts[1], seed=1)
    smoothed = list(maps(enhancer, before + after, 0.3))[24:]
    alone = list(maps(enhancer, after, 0.3))
    for number, (one, other) in enumerate(zip(smoothed, alone, strict=True)):
        assert number == 0 or np.abs(one - other).max() < 1e-6
    assert np.array_equal(smoothed[0], alone[0])


def test_the_light_switched_on_is_followed_at_once():
    """The same scene in other light is no other scene, but its map is another map."""
    smooth, small = FactorSmoother(0.3), np.random.default_rng(0).uniform(0, 0.1, (20, 30, 3))
    dark, bright = (np.full((3, 20, 30), value, np.float32) for value in (-0.4, -0.1))
    for number in range(12):
        smooth(dark, small.astype(np.float32), number / RATE)
    assert np.array_equal(smooth(bright, 5 * small.astype(np.float32), 0.5), bright)


def test_jitter_and_a_slow_pan_are_no_cut(enhancer):
    data = pytest.importorskip("skimage.data")
    rng = np.random.default_rng(0)
    smooth = FactorSmoother(0.3)
    for number in range(30):
        photograph = data.coffee()[40:280, 40 + 3 * number : 400 + 3 * number]
        frame = expose(photograph, (1 + 0.15 * rng.standard_normal()) / 12, rng)
        small = frame[::12, ::12].astype(np.float32) / 255
        smooth(enhancer.factor_of_small(small), small, number / RATE)
        assert smooth.count == number + 1


def test_zero_seconds_and_a_first_frame_change_nothing():
    factor, small = np.full((3, 4, 5), -0.3, np.float32), np.zeros((4, 5, 3), np.float32)
    assert FactorSmoother(0)(factor, small, 0.0) is factor
    assert np.array_equal(FactorSmoother(1)(factor, small, 7.0), factor)


def test_time_counts_not_frames():
    """Two steps of a half weigh as one of the whole: uneven frame rates change nothing."""
    small = np.full((4, 5, 3), 0.2, np.float32)
    old, new = (np.full((3, 4, 5), value, np.float32) for value in (-0.30, -0.25))
    results = []
    for times in ((0.1, 0.2), (0.2,)):
        smooth = FactorSmoother(0.3)
        for number in range(200):  # long enough to be past the even mean at the start
            smooth(old, small, number / 25 - 8)
        smooth(old, small, 0.0)
        for time in times:
            result = smooth(new, small, time)
        results.append(result.mean())
    assert np.isclose(*results, atol=1e-5) and old.mean() < results[0] < new.mean()
