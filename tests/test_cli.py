"""The command sgz as a person runs it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pictures import bomb, files_under, png, scene, write_all

from sgz import __version__
from sgz.image.photo import read_photo


def test_a_photograph_goes_beside_itself_and_never_over_another_file(sgz, tmp_path):
    write_all(tmp_path, {"dark.png": png(scene(60, 80))})
    target = tmp_path / "dark-bright.png"
    assert sgz(tmp_path / "dark.png") == (0, f"{target}\n", "")
    assert read_photo(target).pixels.mean() > 1.2 * scene(60, 80).mean()
    target.write_bytes(b"precious")
    code, _, errors = sgz(tmp_path / "dark.png")
    assert (code, target.read_bytes()) == (1, b"precious")
    assert "is there already; add --overwrite" in errors
    assert sgz(tmp_path / "dark.png", "--overwrite")[0] == 0
    assert read_photo(target).pixels.shape == (60, 80, 3)
    code, _, errors = sgz(tmp_path / "dark.png", tmp_path / "dark.png", "--overwrite")
    assert code == 1
    assert "is the input itself" in errors
    np.testing.assert_array_equal(read_photo(tmp_path / "dark.png").pixels, scene(60, 80))


def test_a_folder_is_mirrored_and_its_failures_named(sgz, tmp_path):
    files = {"in/a.png": png(scene(20, 30)), "in/b/c.jpg": png(scene(20, 31)), "in/x.gif": b"no"}
    write_all(tmp_path, files)
    code, out, errors = sgz(tmp_path / "in", tmp_path / "out")
    assert code == 1
    assert "enhanced 2 images" in out
    assert f"not enhanced: {tmp_path}/in/x.gif: not an image" in errors
    assert {path.name for path in (tmp_path / "out").rglob("*.*")} == {"a.png", "c.jpg"}
    code, _, errors = sgz(tmp_path / "in", tmp_path / "out")
    assert code == 1
    assert "is not empty" in errors


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [([], 2, "arguments are required: IN (see"), (["gone.jpg"], 1, "no such file or folder")],
)
def test_what_is_missing_is_named(arguments, code, said):
    command = [sys.executable, "-m", "sgz", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert run.returncode == code
    assert run.stderr.startswith("sgz: ") and said in run.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.jpg", None, "no such file or folder"),
        ("text.jpg", b"hello", "not an image"),
        ("clip.jpg", b"\0\0\0\x18ftypisom" + bytes(99), "a video; give it a video's name"),
        ("\x1b[31m.jpg", b"hello", r"\x1b[31m.jpg: not an image"),
    ],
)
def test_mistakes_are_a_sentence(name, content, said, sgz, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    code, out, errors = sgz(tmp_path / name)
    assert (code, out, len(errors.splitlines())) == (1, "", 1)
    assert said in errors
    assert not list(tmp_path.glob("*bright*"))


def test_a_photograph_larger_than_the_memory_is_refused_before_it_is_read(sgz, tmp_path):
    write_all(tmp_path, {"vast.png": bomb()})
    code, out, errors = sgz(tmp_path / "vast.png", "--max_megapixels", "1e6")
    assert (code, out, len(errors.splitlines())) == (1, "", 1)
    assert "it takes about 240.0 GB of memory, and" in errors
    assert "is over the limit of 300 megapixels; raise it with" in sgz(tmp_path / "vast.png")[2]


def test_version_help_and_a_misspelt_option(sgz):
    assert sgz("--version")[:2] == (0, f"sgz {__version__}\n")
    code, out, _ = sgz("--help")
    assert code == 0
    assert "--overwrite" in out
    code, _, errors = sgz("x.png", "--overwrit3")
    assert code == 2
    assert "did you mean --overwrite?" in errors


def test_help_imports_nothing_heavy():
    program = "import sys, sgz.cli; sgz.cli.cli_parser().format_help(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          cwd=Path(__file__).parents[1], check=True)  # fmt: skip
    heavy = {"numpy", "torch", "cv2", "PIL", "av", "numba", "onnxruntime", "tqdm"}
    assert not heavy & set(done.stdout.split())


@pytest.fixture
def watching(tmp_path):
    """`sgz watch in out` in a process of its own."""
    (tmp_path / "in").mkdir()
    command = [sys.executable, "-m", "sgz.cli", "watch", tmp_path / "in", tmp_path / "out"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([*command, "--every", "0.1"], cwd=Path(__file__).parents[1], **pipes)
    yield process
    process.kill()
    process.communicate()


def test_a_watched_folder_is_enhanced_as_photographs_arrive_whole(watching, tmp_path):
    content, out = png(scene(60, 80)), tmp_path / "out"

    def until(true) -> None:
        stop = time.monotonic() + 60
        while not true():
            assert watching.poll() is None
            assert time.monotonic() < stop
            time.sleep(0.02)

    assert watching.stderr.readline() == f"watching {tmp_path / 'in'}; Ctrl-C ends it\n"
    write_all(tmp_path / "in", {"a.png": content, "deeper/b.png": content})
    until(lambda: files_under(out) == {"a.png", "deeper/b.png"})
    with (tmp_path / "in/slow.png").open("wb") as file:  # as a camera's card is copied
        for part in range(4):
            file.write(content[part * len(content) // 4 : (part + 1) * len(content) // 4])
            file.flush()
            time.sleep(0.05)
    until(lambda: (out / "slow.png").exists())
    first = (out / "a.png").read_bytes()
    write_all(tmp_path / "in", {"a.png": png(scene(60, 90)), "bad.png": content[:500]})
    until(lambda: (out / "a.png").read_bytes() != first)
    assert read_photo(out / "a.png").pixels.shape == (60, 90, 3)
    named = watching.stderr.readline()
    while "slow.png" in named:  # a machine so busy that a part of it looked whole
        named = watching.stderr.readline()
    assert "bad.png: truncated; replace or remove it" in named
    watching.send_signal(signal.SIGINT)
    printed, errors = watching.communicate(timeout=60)
    assert sorted(printed.split()) == sorted(
        str(out / name) for name in ("a.png", "deeper/b.png", "slow.png", "a.png")
    )
    assert errors.endswith("\nno longer watched; 4 images are done\n")
    assert watching.returncode == 1  # of the one that was not enhanced
    assert files_under(out) == {"a.png", "deeper/b.png", "slow.png"}


def test_what_cannot_be_watched_is_a_sentence(sgz, tmp_path):
    code, _, errors = sgz("watch", tmp_path / "gone", tmp_path / "out")
    assert (code, len(errors.splitlines())) == (1, 1)
    assert "is no folder that could be watched" in errors
    assert sgz("watch", tmp_path, tmp_path)[2].endswith(
        "would be overwritten; choose another OUT\n"
    )
