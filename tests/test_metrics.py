"""metrics.py against slow versions, hand-made values and properties."""

import itertools
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import metrics

SHARED = Path(__file__).parents[2] / "shared"


def noise_image(seed=0, height=48, width=64):
    """Smooth colour noise with some detail."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((6, 8, 3)).astype(np.float32), (width, height))
    fine = rng.normal(0, 0.05, (height, width, 3))
    return (255 * np.clip(coarse + fine, 0, 1)).astype(np.uint8)


def add_noise(image, deviation, seed=1):
    field = np.random.default_rng(seed).normal(0, 1, image.shape)
    return np.clip(np.round(image + deviation * field), 0, 255).astype(np.uint8)


def slow_mse(a, b):
    total = 0.0
    for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True):
        total += ((x - y) / 255) ** 2
    return total / a.size


def test_errors_against_a_loop():
    a, b = noise_image(1, 13, 17), noise_image(2, 13, 17)
    expected = slow_mse(a, b)
    assert metrics.mse(a, b) == pytest.approx(expected, rel=1e-12)
    assert metrics.psnr(a, b) == pytest.approx(-10 * math.log10(expected), rel=1e-12)
    pairs = zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)
    mean = sum(abs(x - y) for x, y in pairs) / a.size / 255
    assert metrics.mae(a, b) == pytest.approx(mean, rel=1e-12)


def test_an_offset_of_one_level_is_48_13_db():
    image = np.full((8, 8, 3), 100, np.uint8)
    assert metrics.psnr(image, image + 1) == pytest.approx(20 * math.log10(255))


def slow_ssim(a, b, weights, sample):
    """Mean of Wang et al. 2004, eq. 13, over every whole window; `sample`: divide by n - 1."""
    size = len(weights)
    weights = np.outer(weights, weights)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for y, x in itertools.product(range(a.shape[0] - size + 1), range(a.shape[1] - size + 1)):
        p, q = a[y : y + size, x : x + size], b[y : y + size, x : x + size]
        mp, mq = (weights * p).sum(), (weights * q).sum()
        factor = size**2 / (size**2 - 1) if sample else 1
        vp, vq = (factor * (weights * (w - m) ** 2).sum() for w, m in ((p, mp), (q, mq)))
        cov = factor * (weights * (p - mp) * (q - mq)).sum()
        values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return np.mean(values)


def test_ssim_against_a_loop():
    a = noise_image(3, 26, 30)
    b = add_noise(a, 12)
    box = np.full(7, 1 / 7)
    channels = [slow_ssim(*(x[..., c].astype(float) for x in (a, b)), box, True) for c in range(3)]
    assert metrics.ssim(a, b) == pytest.approx(np.mean(channels), abs=1e-9)
    x = np.arange(-5, 6)
    gaussian = np.exp(-(x**2) / (2 * 1.5**2))
    planes = [np.round(v @ (0.299, 0.587, 0.114)) for v in (a, b)]
    expected = slow_ssim(*planes, gaussian / gaussian.sum(), False)
    assert metrics.ssim(a, b, "luma") == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("kind", metrics.SSIM_KINDS)
def test_identity_symmetry_and_noise(kind):
    image = noise_image(4)
    assert metrics.ssim(image, image, kind) == pytest.approx(1)
    assert metrics.psnr(image, image) == math.inf
    assert metrics.mse(image, image) == metrics.mae(image, image) == 0
    other = add_noise(image, 20)
    assert metrics.ssim(image, other, kind) == pytest.approx(metrics.ssim(other, image, kind))
    worse = [add_noise(image, deviation) for deviation in (2, 6, 18, 50)]
    scores = [metrics.ssim(w, image, kind) for w in worse]
    assert scores == sorted(scores, reverse=True) and scores[0] - scores[-1] > 0.3
    assert np.all(np.diff([metrics.psnr(w, image) for w in worse]) < -3)
    assert np.all(np.diff([metrics.mae(w, image) for w in worse]) > 0)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_errors_are_symmetric(first, second):
    a, b = noise_image(first, 9, 11), noise_image(second, 9, 11)
    assert metrics.mse(a, b) == metrics.mse(b, a)
    assert metrics.mae(a, b) == metrics.mae(b, a)
    assert metrics.mae(a, b) ** 2 <= metrics.mse(a, b) + 1e-12


def test_what_cannot_be_compared():
    image = noise_image()
    with pytest.raises(ValueError, match=r"64 x 48 of 3 against 63 x 48 of 3"):
        metrics.psnr(image, image[:, :-1])
    with pytest.raises(ValueError, match=r"of 3 against 64 x 48 of 1 channels"):
        metrics.ssim(image, image[..., 0])
    with pytest.raises(ValueError, match="uint8"):
        metrics.mse(image / 255, image)
    with pytest.raises(ValueError, match="kind must be one of rgb, luma"):
        metrics.ssim(image, image, "yuv")
    with pytest.raises(ValueError, match="kind must be one of step, 100x100"):
        metrics.loe(image, image, "cubic")


def test_rescaling_to_the_mean():
    bright = noise_image(5)
    dark = (bright // 4).astype(np.uint8)
    rescaled = metrics.rescale_to_mean(dark, bright)
    assert metrics.mean_luma(rescaled) == pytest.approx(metrics.mean_luma(bright), abs=1)
    assert metrics.psnr(rescaled, bright) > metrics.psnr(dark, bright) + 10
    black = np.zeros_like(bright)
    assert np.array_equal(metrics.rescale_to_mean(black, bright), black)
    same = metrics.rescale_to_mean(bright, bright)
    assert np.array_equal(same, bright)


def slow_order_errors(one, other):
    a, b = one.ravel().tolist(), other.ravel().tolist()
    count = sum((a[i] >= a[j]) != (b[i] >= b[j]) for i in range(len(a)) for j in range(len(a)))
    return count / len(a)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 256))
def test_order_errors_against_all_pairs(seed, levels):
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, levels, (2, 6, 9)).astype(np.uint8)
    assert metrics.order_errors(one, other) == pytest.approx(slow_order_errors(one, other))


def test_loe_against_its_definition():
    before = noise_image(6, 120, 150)
    after = add_noise(np.clip(before * 2.0, 0, 255).astype(np.uint8), 15)
    small = []
    for image in (before, after):
        lightness = np.pad(image.max(2), 7, mode="reflect")
        rows, columns = range(1, 120, 2), range(1, 150, 2)  # floor(120 / 50) = 2: every second
        small.append(
            np.array([[lightness[y : y + 15, x : x + 15].max() for x in columns] for y in rows])
        )
    assert metrics.loe(after, before) == pytest.approx(slow_order_errors(*small))


@pytest.mark.parametrize("kind", metrics.LOE_KINDS)
def test_loe_properties(kind):
    before = (noise_image(7, 100, 100) // 3).astype(np.uint8)
    assert metrics.loe(before, before, kind) == 0
    monotone = (before * 3).astype(np.uint8)
    assert metrics.loe(monotone, before, kind) == 0  # keeps every order
    noisy = [metrics.loe(add_noise(before, d), before, kind) for d in (3, 10, 40)]
    assert 0 < noisy[0] < noisy[1] < noisy[2]
    other = add_noise(before, 20)
    assert metrics.loe(other, before, kind) == pytest.approx(metrics.loe(before, other, kind))
    assert metrics.loe(255 - before, before, "100x100") > 5000  # of 10,000: nearly all turn over


def test_luma_and_clipping():
    image = np.zeros((2, 4, 3), np.uint8)
    image[0, 0] = (255, 0, 0)
    image[0, 1] = (0, 255, 0)
    image[1] = 100
    assert metrics.mean_luma(image) == pytest.approx((76 + 150 + 4 * 100) / 8)
    before = image.copy()
    image[1, 0, 2] = 249  # not clipped
    image[1, 1, 2] = 250
    image[1, 2] = 255
    image[0, 0] = 255  # was clipped already
    assert metrics.newly_clipped(image, before) == 2 / 8
    assert metrics.newly_clipped(before, before) == 0


def test_class_scores_by_hand():
    label = np.array([[0, 0, 1, 1], [2, 2, 9, 0]])
    prediction = np.array([[0, 1, 1, 1], [2, 0, 3, 0]])
    counts = metrics.confusion(prediction, label, 5, ignore_index=9)
    assert counts.sum() == 7
    accuracy, overlap = metrics.class_scores(counts)
    assert accuracy[:3] == pytest.approx([2 / 3, 1, 1 / 2])
    assert overlap[:3] == pytest.approx([2 / 4, 2 / 3, 1 / 2])
    assert np.isnan(accuracy[3:]).all() and np.isnan(overlap[3:]).all()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 6))
def test_class_scores_against_sets(seed, classes):
    rng = np.random.default_rng(seed)
    label, prediction = rng.integers(0, classes, (2, 7, 5))
    accuracy, overlap = metrics.class_scores(metrics.confusion(prediction, label, classes))
    for number in range(classes):
        true = set(np.flatnonzero(label == number))
        found = set(np.flatnonzero(prediction == number))
        if true:
            assert accuracy[number] == pytest.approx(len(true & found) / len(true))
        if true | found:
            assert overlap[number] == pytest.approx(len(true & found) / len(true | found))
    perfect = metrics.class_scores(metrics.confusion(label, label, classes))
    assert np.nanmin(perfect) == 1


def test_labels_that_are_no_class():
    label = np.array([[0, 1], [1, 11]])
    with pytest.raises(ValueError, match="label holds class 11, but there are classes 0 to 1"):
        metrics.confusion(np.zeros_like(label), label, 2)
    with pytest.raises(ValueError, match="prediction holds class 5"):
        metrics.confusion(label * 0 + 5, label, 2, ignore_index=11)
    with pytest.raises(ValueError, match="label maps differ"):
        metrics.confusion(label, label[:1], 12)


def scene(frames, jitter=0.05, deviation=3.0, seed=0):
    """A static scene with exposure jitter and sensor noise."""
    rng = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(rng.normal(0, 40, (96, 128, 3)).astype(np.float32), (0, 0), 1)
    still = 50 + 40 * np.linspace(0, 1, 128)[None, :, None] + texture
    for _ in range(frames):
        gain = 1 + jitter * rng.standard_normal()
        shot = still * gain + deviation * rng.standard_normal(still.shape)
        yield np.clip(np.round(shot), 0, 255).astype(np.uint8)


def curve(frame, factor):
    """Two steps of the project's curve with one factor."""
    x = frame / 255
    for _ in range(2):
        x = x + factor * (x * x - x)
    return np.round(255 * np.clip(x, 0, 1)).astype(np.uint8)


def enhanced(frames, smoothing, seed=3):
    """Pairs under a factor that follows the frame's mean and trembles, smoothed over time."""
    rng = np.random.default_rng(seed)
    smooth = None
    for frame in frames:
        factor = -0.5 + 3 * (frame.mean() / 255 - 0.27) + 0.03 * rng.standard_normal()
        smooth = factor if smooth is None else smoothing * smooth + (1 - smoothing) * factor
        yield frame, curve(frame, smooth)


@pytest.mark.parametrize("measure", [metrics.luma_flicker, metrics.warped_error])
def test_flicker_tells_a_trembling_curve_from_a_fixed_one(measure):
    fixed = measure((f, curve(f, -0.5)) for f in scene(24))
    per_frame = measure(enhanced(scene(24), 0))
    smoothed = measure(enhanced(scene(24), 0.9))
    assert fixed.before == per_frame.before > 0
    assert fixed.after > 0
    assert smoothed.added < per_frame.added
    assert fixed.added < per_frame.added
    if measure is metrics.luma_flicker:
        assert fixed.added < 0.15 * per_frame.added
        assert smoothed.added < 0.5 * per_frame.added


def test_flicker_of_the_input_itself_is_all_explained():
    flicker = metrics.luma_flicker((f, f) for f in scene(8))
    assert flicker.before == flicker.after > 1
    assert flicker.added == pytest.approx(0, abs=1e-4)
    error = metrics.warped_error((f, f) for f in scene(4))
    assert error.before == error.after > 0
    assert error.added == pytest.approx(0, abs=1e-6)


def test_flicker_grows_with_the_tremble():
    def tremble(size):
        rng = np.random.default_rng(5)
        return ((f, curve(f, -0.5 + size * rng.standard_normal())) for f in scene(16, jitter=0))

    added = [metrics.luma_flicker(tremble(size)).added for size in (0, 0.02, 0.06, 0.2)]
    assert added[0] < 0.1 and added == sorted(added) and added[3] > 5 * added[1]
    warped = [metrics.warped_error(tremble(size)).added for size in (0, 0.06, 0.2)]
    assert warped == sorted(warped) and warped[2] > 2 * warped[0]


def test_luma_flicker_is_of_the_static_part():
    def walk(tremble):
        for time, frame in enumerate(scene(20, jitter=0)):
            frame[40:60, 5 * time : 5 * time + 25] = 220  # something bright passes
            yield frame, np.clip(frame + tremble * (-1.0) ** time, 0, 255).astype(np.uint8)

    assert metrics.luma_flicker(walk(0)).before < 0.3
    assert metrics.luma_flicker(walk(4)).added == pytest.approx(4, rel=0.05)


def test_warped_error_follows_motion_and_skips_cuts():
    canvas = next(iter(scene(1)))
    canvas = cv2.resize(canvas, None, fx=2, fy=2)
    pan = [np.ascontiguousarray(canvas[20:140, 3 * t : 3 * t + 160]) for t in range(8)]
    moving = metrics.warped_error((f, curve(f, -0.5)) for f in pan)
    unaligned = np.mean([np.abs(a.astype(float) - b).mean() for a, b in itertools.pairwise(pan)])
    assert moving.before * 80 < 0.5 * unaligned  # the flow explains the motion
    inverted = [255 - f for f in pan]
    cut = metrics.warped_error((f, curve(f, -0.5)) for f in (*pan, *inverted))
    assert cut.after < 3 * moving.after


def test_clips_that_are_too_short():
    frames = list(scene(2))
    with pytest.raises(ValueError, match="three frames"):
        metrics.luma_flicker((f, f) for f in frames)
    with pytest.raises(ValueError, match="two of a scene"):
        metrics.warped_error((f, f) for f in frames[:1])
    with pytest.raises(ValueError, match="differ"):
        metrics.luma_flicker([(frames[0], frames[1][:-1])])


def test_flicker_takes_frames_one_at_a_time():
    alive = []

    def stream():
        for frame in scene(6):
            alive.append(frame.nbytes)
            yield frame, frame

    metrics.warped_error(stream())
    assert len(alive) == 6


@pytest.mark.skipif(not (SHARED / "data/pairs").is_dir(), reason="../shared/data/pairs is absent")
def test_real_pairs_read_as_scikit_image_reads_them():
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    low, high = (cv2.imread(str(SHARED / f"data/pairs/{d}/113.png")) for d in ("low", "high"))
    assert metrics.psnr(low, high) == pytest.approx(peak_signal_noise_ratio(high, low))
    assert metrics.ssim(low, high) == pytest.approx(
        structural_similarity(high, low, channel_axis=2)
    )
