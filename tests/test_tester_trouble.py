"""test.py when things go wrong from outside: Ctrl-C, a full disk, permissions."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pictures import animation, files_under, icc, kinds, png, saved, scene, write_all
from PIL import Image

ROOT = Path(__file__).parents[1]
LIMIT = 100_000, 100_000  # bytes a file
NOISE = np.random.default_rng(0).integers(0, 256, (700, 800, 3), dtype=np.uint8)


@pytest.fixture
def large_folder(tmp_path):
    """Sixty names of one photograph that takes a while."""
    folder = tmp_path / "in"
    write_all(folder, {"000.png": png(NOISE)})
    for number in range(1, 60):
        os.link(folder / "000.png", folder / f"{number:03}.png")
    return folder


def test_interrupted_and_continued(large_folder, tmp_path, weight, enhance):
    output = tmp_path / "out"
    arguments = ["--input_dir", large_folder, "--weight_dir", weight, "--test_dir", output]
    command = [sys.executable, ROOT / "test.py", *arguments]
    started = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while len(list(output.glob("[0-9]*"))) < 3:
        assert started.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    errors = started.communicate(timeout=60)[1]
    assert started.returncode == 130
    assert "Traceback" not in errors
    assert "test.py: interrupted" in errors

    done = files_under(output)
    assert 3 <= len(done) < 60
    assert f"{len(done)} images are done; --skip_existing goes on" in errors
    assert done <= files_under(large_folder)  # nothing half-written, no temporary name
    for name in done:
        with Image.open(output / name) as image:
            image.load()
    before = {name: (output / name).stat().st_mtime_ns for name in done}

    for name in sorted(files_under(large_folder) - done)[4:]:  # the rest would only take time
        (large_folder / name).unlink()
    again = enhance(*arguments, "--skip_existing")
    assert again.returncode == 0
    assert "enhanced 4 images" in again.stdout
    assert f"{len(done)} were already there" in again.stdout
    assert files_under(output) == files_under(large_folder)
    assert before == {name: (output / name).stat().st_mtime_ns for name in done}


@pytest.fixture(params=["full disk", "file size limit"])
def little_room(request, tmp_path):
    """(an output folder where small pictures fit and the large one does not, options, how to run).

    On the disk pictures come one at a time (--reference): while it is written, the large one takes
    the others' room too.
    """
    folder = tmp_path / "out"
    if request.param == "file size limit":
        limited = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, LIMIT)}
        yield folder, (), limited
        return
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "none", folder]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield folder, ("--reference",), {}
    subprocess.run(["umount", folder], check=True)


def test_no_room_for_an_image(little_room, tmp_path, weight, enhance):
    output, options, how = little_room
    files = {f"{name}.png": png(scene(30, 40)) for name in "abxyz"}
    write_all(tmp_path / "in", files | {"large.png": png(NOISE)})
    done = enhance("--input_dir", tmp_path / "in", "--weight_dir", weight, "--test_dir", output,
                   *options, **how)  # fmt: skip
    assert done.returncode == 1
    assert files_under(output) == set(files)
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"not enhanced: {tmp_path}/in/large.png: {output}/large.png cannot")
    assert "No space left on device" in lines[0] or "File too large" in lines[0]
    assert "enhanced 5 images" in done.stdout


@pytest.fixture
def without_privileges():
    """A launcher under which permissions count, for root as well."""
    if os.geteuid():
        return (sys.executable,)
    if not shutil.which("setpriv"):
        pytest.skip("root without setpriv: nothing is forbidden")
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable)


def test_permissions(tmp_path, weight, enhance, without_privileges):
    source, output = tmp_path / "in", tmp_path / "out"
    names = ("a.png", "locked.png", "locked folder/b.png", "read-only/c.png", "read-only/d.ppm")
    write_all(source, dict.fromkeys(names, png(scene(20, 30))))
    (output / "read-only").mkdir(parents=True)
    forbidden = [
        (source / "locked.png", 0o000),
        (source / "locked folder", 0o000),
        (source / "read-only", 0o555),
        (source / "a.png", 0o444),
        (output / "read-only", 0o555),
    ]
    arguments = ["--input_dir", source, "--weight_dir", weight, "--test_dir", output]
    try:
        for path, mode in forbidden:
            path.chmod(mode)
        done = enhance(*arguments, launcher=without_privileges)
    finally:
        for path, _ in forbidden:
            path.chmod(0o755)
    assert done.returncode == 1
    assert files_under(output) == {"a.png"}
    lines = sorted(done.stderr.splitlines())
    start = f"not enhanced: {source}"
    assert lines == [
        f"{start}/locked folder: cannot be searched (Permission denied)",
        f"{start}/locked.png: cannot be read (Permission denied); check its permissions",
        f"{start}/read-only/c.png: {output}/read-only/c.png cannot be written (Permission denied)",
        f"{start}/read-only/d.ppm: {output}/read-only/d.png cannot be written (Permission denied)",
    ]


def test_mutated_files_are_enhanced_or_named(tmp_path, weight, enhance):
    rng = np.random.default_rng(5)
    seeds = {name: content for name, (content, *_) in kinds().items()}
    photograph = Image.fromarray(scene(40, 50))
    seeds["photo.jpg"] = saved(photograph, "JPEG", icc_profile=icc())
    seeds["photo.avif"] = saved(photograph, "AVIF")
    seeds["moving.webp"] = animation("WEBP")
    source, output = tmp_path / "in", tmp_path / "выход"
    for name, content in seeds.items():
        for number in range(4):
            mutated = bytearray(content)
            for _ in range(rng.integers(1, 5)):
                mutated[rng.integers(8, len(mutated))] = rng.integers(256)
            write_all(source, {f"{number}/{name}": bytes(mutated)})
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONWARNINGS": "ignore"}
    done = enhance(
        "--input_dir", source, "--weight_dir", weight, "--test_dir", output,
        "--max_megapixels", "4", env=environment, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    named = [line for line in done.stderr.splitlines() if line.startswith("not enhanced: ")]
    assert len(named) > 10
    assert all("Error: " not in line for line in named)  # a reason, not an exception's name
    assert len(files_under(output)) == 4 * len(seeds) - len(named)
