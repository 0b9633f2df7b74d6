"""Mutated files of every kind: a photograph or a reason, and never laxer than Pillow."""

import signal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import animation, bomb, exif, icc, kinds, saved, scene
from PIL import Image

from fuzz.readers import check_photo

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
