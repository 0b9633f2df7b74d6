"""test.py's options, and what a user can get wrong: a sentence and an exit code each."""

import re

import numpy as np
import pytest
import torch
from pictures import deep_png, files_under, png, scene, write_all
from PIL import Image

from sgz.image.photo import read_photo

FORMATS = ("jpg", "png", "tif", "webp", "bmp", "avif")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options") / "in"
    both = np.dstack((scene(29, 31), scene(29, 31, 1)))
    files = {"a.png": png(scene(20, 30)), "a.tif": png(scene(20, 32)), "b/c.jpg": png(both)}
    files["deep.png"] = deep_png(scene(25, 37, 3, np.uint16))
    write_all(folder, files)
    return folder


@pytest.fixture(scope="module")
def runs(source, weight, enhance_each):
    """{name: (exit code, standard output, errors)} of runs into folders beside the source."""
    alone = ["--input_dir", source / "a.png"]
    folder = ["--input_dir", source]
    calls = {suffix: [*folder, "--format", suffix] for suffix in FORMATS}
    calls |= {
        "one": alone,
        "positional": [source / "a.png"],
        "strength 0": [*folder, "--strength", "0"],
        "iterations 0": [*folder, "--iterations", "0"],
        "weaker": [*alone, "--strength", "0.4"],
        "scale 1": [*alone, "--scale_factor", "1"],
        "paper crop": [*folder, "--paper_crop"],
        "nothing left": [*alone, "--paper_crop", "--scale_factor", "24"],
        "too large": [*alone, "--max_megapixels", "0.0005"],
        "large enough": [*alone, "--max_megapixels", "0.0006"],
    }
    common = ["--weight_dir", weight, "--test_dir"]
    lists = [[*call, *common, source.parent / name] for name, call in calls.items()]
    return dict(zip(calls, enhance_each(*lists), strict=True))


@pytest.mark.parametrize("suffix", FORMATS)
def test_format(suffix, source, runs):
    code, _, errors = runs[suffix]
    output = source.parent / suffix
    assert files_under(output) == {f"a.{suffix}", f"b/c.{suffix}", f"deep.{suffix}"}
    assert code == 1  # two inputs have one output: one is refused, not overwritten
    assert len(errors.splitlines()) == 1
    if suffix in ("png", "tif"):  # the one of that name has it by right
        other = {"png": "tif", "tif": "png"}[suffix]
        reason = f"{source}/a.{other}: a.{suffix} is already the output of {source}/a.{suffix}"
        assert reason in errors
    with Image.open(output / f"b/c.{suffix}") as image:
        assert image.size == (31, 29)
        assert image.format == {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    deep = read_photo(output / f"deep.{suffix}").pixels
    assert deep.dtype == (np.uint16 if suffix in ("png", "tif") else np.uint8)


def test_one_file(source, runs, plainly):
    assert runs["one"][0] == runs["positional"][0] == 0
    assert files_under(source.parent / "positional") == {"a.png"}
    assert "enhanced 1 image in" in runs["one"][1]
    output = source.parent / "one"
    assert files_under(output) == {"a.png"}
    found = read_photo(output / "a.png").pixels.astype(int)
    assert np.abs(found - plainly(scene(20, 30))).max() <= 1


@pytest.mark.parametrize("name", ["strength 0", "iterations 0"])
def test_no_enhancement_is_the_input_bit_for_bit(name, source, runs):
    assert runs[name][0] == 0
    for file in ("a.png", "a.tif", "deep.png"):
        before, after = read_photo(source / file), read_photo(source.parent / name / file)
        np.testing.assert_array_equal(after.pixels, before.pixels)


def test_strength_and_scale(source, runs, plainly):
    for name, options in (("weaker", {"strength": 0.4}), ("scale 1", {"scale": 1})):
        assert runs[name][0] == 0
        found = read_photo(source.parent / name / "a.png").pixels.astype(int)
        assert np.abs(found - plainly(scene(20, 30), **options)).max() <= 1


def test_paper_crop(source, runs, plainly):
    assert runs["paper crop"][0] == 0
    found = read_photo(source.parent / "paper crop/a.png").pixels.astype(int)
    assert np.abs(found - plainly(scene(20, 30)[:12, :24])).max() <= 1
    with Image.open(source.parent / "paper crop/b/c.jpg") as image:
        assert image.size == (24, 24)
    assert read_photo(source.parent / "paper crop/deep.png").pixels.shape == (24, 36, 3)
    code, _, errors = runs["nothing left"]
    assert code == 1
    assert "--paper_crop leaves nothing of it" in errors


def test_the_flag_raises_the_limit_of_pixels(runs):
    code, _, errors = runs["too large"]
    assert code == 1
    assert "30x20 is over the limit of 0.0005 megapixels; raise it with --max_megapixels" in errors
    assert runs["large enough"][0] == 0


def mistakes(folder, weight, weights):
    """{what: (arguments, exit code, what must be said)}."""
    write_all(folder, {"in/a.png": png(scene(20, 30)), "file": b"", "bytes.pth": b"PK\x03\x04 no"})
    write_all(folder, {"text/readme.txt": b"", "text/deeper/x.md": b"", "text/.hid.png": b""})
    write_all(folder, {"out/in/in/b.png": png(scene(20, 30)), "out/in/b.png": b"precious"})
    (folder / "empty").mkdir()
    (folder / "link").symlink_to(folder / "in")
    torch.save({"conv1.weight": torch.zeros(3)}, folder / "foreign.pth")
    torch.save(torch.nn.Linear(2, 2), folder / "pickled.pth")
    photos, good = ["--input_dir", folder / "in"], ["--weight_dir", weight]
    target = ["--test_dir", folder / "result"]
    start = [*photos, *target, "--weight_dir"]
    return {
        "missing input": (["--input_dir", folder / "none", *good, *target], 1, "no such file or"),
        "empty folder": (["--input_dir", folder / "empty", *good, *target], 1, "no images under"),
        "no image": (["--input_dir", folder / "text", *good, *target], 1, "no images under"),
        "no photograph": (["--input_dir", folder / "file", *good, *target], 1, "not an image"),
        "no checkpoint": ([*start, folder / "none.pth"], 1, "no checkpoint at .*none.pth"),
        "a folder": ([*start, folder], 1, "no checkpoint at"),
        "noise": ([*start, folder / "bytes.pth"], 1, "bytes.pth is no checkpoint"),
        "empty file": ([*start, folder / "file"], 1, "file is no checkpoint"),
        "foreign": ([*start, folder / "foreign.pth"], 1, "of another architecture"),
        "pickled": ([*start, folder / "pickled.pth"], 1, "no checkpoint that torch can read"),
        "other kind": ([*start, weights["tc"]], 1, "it fits conv_type tc"),
        "output a file": ([*photos, *good, "--test_dir", folder / "file"], 1, "cannot write into"),
        "output below a file": (
            [*photos, *good, "--test_dir", folder / "file/x"], 1, "cannot write into",
        ),
        "output in /proc": ([*photos, *good, "--test_dir", "/proc/none"], 1, "cannot write into"),
        "output = input": ([*photos, *good, "--test_dir", folder / "in"], 1, "be overwritten"),
        "output = link": ([*photos, *good, "--test_dir", folder / "link"], 1, "be overwritten"),
        "output = folder of the file": (
            ["--input_dir", folder / "in/a.png", *good, "--test_dir", folder / "in"], 1,
            "be overwritten",
        ),
        "output onto another input": (
            ["--input_dir", folder / "out/in", *good, "--test_dir", folder / "out"], 1,
            "in/b.png is among the inputs",
        ),
        "no such device": ([*photos, *good, *target, "--device", "cuda:99"], 1, "not available"),
        "scale 0": ([*photos, *good, *target, "--scale_factor", "0"], 2, "invalid positive int"),
        "strength": ([*photos, *good, *target, "--strength", "nan"], 2, "invalid non-negative"),
        "format": ([*photos, *good, *target, "--format", "exe"], 2, "invalid choice"),
    }  # fmt: skip


def test_mistakes_get_a_sentence_and_an_exit_code(tmp_path, weight, weights, enhance_each):
    cases = mistakes(tmp_path, weight, weights)
    before = (tmp_path / "in/a.png").read_bytes()
    results = enhance_each(*(arguments for arguments, *_ in cases.values()))
    assert len(results) == len(cases)
    for (name, (_, code, said)), (found, _, errors) in zip(cases.items(), results, strict=True):
        assert found == code, (name, errors)
        assert re.search(said, errors), (name, errors)
        assert "Traceback" not in errors, (name, errors)
        if code == 1:
            assert len(errors.splitlines()) <= 2, (name, errors)
    assert not (tmp_path / "result").exists() or not files_under(tmp_path / "result")
    assert (tmp_path / "in/a.png").read_bytes() == before
    assert (tmp_path / "out/in/b.png").read_bytes() == b"precious"
