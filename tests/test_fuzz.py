"""Mutated files of every kind: a result or a reason, and never laxer than Pillow."""

import io
import random
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
import torch
from clips import make_clip
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import animation, bomb, exif, icc, kinds, saved, scene
from PIL import Image

from fuzz.readers import check_checkpoint, check_photo, check_resume, check_video
from sgz.model import EnhanceNet
from training.snapshots import Snapshots

SEEDS = [content for content, *_ in kinds().values()] + [
    animation("GIF"), animation("WEBP"), animation("PNG"), bomb(5000),
    saved(Image.fromarray(scene(20, 30)), "AVIF"),
    saved(Image.fromarray(scene(20, 30)), "JPEG", exif=exif(6), icc_profile=icc()),
    saved(Image.fromarray(scene(20, 30)), "JPEG", progressive=True),
    saved(Image.fromarray(scene(20, 30)).convert("CMYK"), "JPEG"),
]  # fmt: skip
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4), st.integers(0, 6)), max_size=6
)


def test_the_seeds_themselves_are_read(tmp_path):
    assert sum(check_photo(content, tmp_path) is not None for content in SEEDS) == len(SEEDS) - 1


@settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from(SEEDS), EDITS, st.floats(0, 1) | st.just(1.0))
@pytest.mark.filterwarnings("ignore")
def test_mutated_files_give_a_photo_or_a_reason(tmp_path, seed, edits, part):
    content = bytearray(seed)
    for place, new, removed in edits:
        start = int(place * min(len(content), 400 if removed % 2 else len(content)))
        content[start : start + removed] = new  # heads, where the meaning is, more often
    signal.alarm(20)  # a hang ends the test run
    try:
        check_photo(bytes(content[: int(part * len(content))]), tmp_path)
    finally:
        signal.alarm(0)


def mutations(seed: bytes, count: int, number: int) -> Iterator[bytes]:
    """A file with bits flipped, bytes replaced or taken out, or cut short; heads and ends more."""
    rng = random.Random(number)
    for _ in range(count):
        content = bytearray(seed)
        for _ in range(rng.choice((1, 1, 2, 4))):
            near = rng.choice((len(seed), 600))
            place = rng.randrange(min(near, len(content)))
            place = rng.choice((place, len(content) - 1 - place))
            way = rng.random()
            if way < 0.5:
                content[place] ^= 1 << rng.randrange(8)
            elif way < 0.8:
                content[place : place + 4] = rng.choice((bytes(4), b"\xff" * 4, rng.randbytes(4)))
            else:
                del content[place : place + rng.choice((1, 100, len(seed))) or 1]
        yield bytes(content or b"x")


def outcomes(check: Callable, seed: bytes, count: int, number: int, folder: Path) -> list:
    """What a check makes of mutations; a hang ends the test run."""
    signal.alarm(60)
    try:
        return [check(content, folder) for content in mutations(seed, count, number)]
    finally:
        signal.alarm(0)


CLIPS = {
    "a.mp4": {"sound": True},
    "b.mkv": {"sound": True, "metadata": {"title": "x"}},
    "c.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "d.ts": {"sound": True},
    "e.avi": {"codec": "mpeg4"},
    "f.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


@pytest.mark.parametrize("name", CLIPS)
def test_mutated_videos_give_a_video_or_a_reason(name, tmp_path):
    seed = make_clip(tmp_path / name, frames=4, size=(48, 32), **CLIPS[name]).read_bytes()
    av.logging.set_level(None)
    (tmp_path / "work").mkdir()
    assert check_video(seed, tmp_path / "work") == 4
    frames = outcomes(check_video, seed, 25, 0, tmp_path / "work")
    assert 0 in frames
    assert any(frames)


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory):
    """The folder of a run that was saved: x.pth and x.resume."""
    folder = tmp_path_factory.mktemp("run")
    net = EnhanceNet()
    optimizer = torch.optim.Adam(net.parameters())
    state = {
        "optimizer": optimizer.state_dict(), "random": torch.get_rng_state(), "seed": 1,
        "position": {"first_epoch": 0, "epoch": 1, "step": 0}, "data": "x",
        "options": {"num_epochs": 2},
    }  # fmt: skip
    Snapshots(folder).save(0, net.state_dict(), state)
    for suffix in (".pth", ".resume"):
        (folder / f"Epoch0{suffix}").rename(folder / f"x{suffix}")
    return folder


def test_mutated_weights_are_refused_or_the_same(saved_run, tmp_path):
    seed = (saved_run / "x.pth").read_bytes()
    whole = check_checkpoint(seed, tmp_path)
    found = outcomes(check_checkpoint, seed, 250, 0, tmp_path)
    assert sum(state is None for state in found) > 200
    for state in found:
        assert state is None or all(torch.equal(state[name], whole[name]) for name in whole)


def test_a_tensor_marked_as_a_folder_is_not_read_as_nothing(saved_run, tmp_path):
    """torch reads such a member as whatever the memory holds, and no checksum tells."""
    content = bytearray((saved_run / "x.pth").read_bytes())
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [i for i in range(len(content)) if content[i : i + 4] == b"PK\1\2"]
        assert len(entries) == len(archive.infolist())
    content[entries[-4] + 38] ^= 0x10
    assert check_checkpoint(bytes(content), tmp_path) is None


def test_mutated_run_states_are_refused_or_the_same(saved_run):
    seed = (saved_run / "x.resume").read_bytes()
    try:
        assert check_resume(seed, saved_run)["position"]["epoch"] == 1
        found = outcomes(check_resume, seed, 150, 0, saved_run)
    finally:
        (saved_run / "x.resume").write_bytes(seed)
    assert sum(state is None for state in found) > 120
    assert all(state is None or state["seed"] == 1 for state in found)
