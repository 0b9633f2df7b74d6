"""Many photographs: memory, names, what killed runs leave."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip
from pictures import kinds, png, saved, scene, write_all
from PIL import Image

from sgz import Enhancer, enhance_video
from sgz.cli import main as cli_main
from sgz.command import printable
from sgz.folder import FolderEnhancer
from sgz.image.memory import memory_for
from sgz.threads import Budget
from training.lock import lock_folder

ROOT = Path(__file__).parents[1]


def brighter(image: np.ndarray) -> np.ndarray:
    return image + 1


def test_large_photographs_go_one_at_a_time(tmp_path):
    """Those of more than half of the stated memory; small ones do not wait for each other."""
    write_all(tmp_path / "in", {f"{i}.png": png(scene(100, 100)) for i in range(4)})
    at_work, most = 0, []
    lock = threading.Lock()

    def enhance(image: np.ndarray) -> np.ndarray:
        nonlocal at_work
        with lock:
            at_work += 1
            most.append(at_work)
        time.sleep(0.05)
        with lock:
            at_work -= 1
        return image

    needed = memory_for(tmp_path / "in/0.png")
    for whole, expected in ((needed * 1.5, {1}), (needed / 9, {1}), (needed * 9, {2, 3, 4})):
        folder = FolderEnhancer(enhance, tmp_path / "in", tmp_path / "out", workers=4)
        folder.memory = Budget(round(whole))
        most.clear()
        assert folder.run().written == 4
        assert max(most) in expected
        assert folder.memory.left == folder.memory.whole


@pytest.mark.parametrize("name", kinds())
def test_memory_is_told_from_the_head(name, tmp_path):
    content, pixels, _ = kinds()[name]
    (tmp_path / name).write_bytes(content)
    assert memory_for(tmp_path / name) >= 8 * pixels.size
    assert memory_for(tmp_path / "gone.png") == 0


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "JPEG", "TIFF", "GIF"])
def test_memory_is_told_of_files_longer_than_their_head(kind, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    options = {"JPEG": {"exif": b"Exif\0\0" + bytes(65_000), "icc_profile": bytes(200_000)},
               "TIFF": {"compression": "tiff_lzw"}}.get(kind, {})  # fmt: skip
    content = saved(Image.fromarray(noise), kind, **options)
    (tmp_path / "x").write_bytes(content)
    assert len(content) > 1 << 17
    assert memory_for(tmp_path / "x") >= 24 * 900 * 900


def test_a_name_too_long_costs_that_file_alone(tmp_path):
    write_all(tmp_path / "in", {"x" * 251 + ".png": png(scene(9, 9)), "a.png": png(scene(9, 9))})
    folder = FolderEnhancer(brighter, tmp_path / "in", tmp_path / "out", format="webp")
    report = folder.run()
    assert report.written == 1
    ((path, error),) = report.failures
    assert path.name.startswith("xxx")
    assert "File name too long" in str(error)


def test_old_temporary_files_are_swept_and_nothing_else(tmp_path):
    write_all(tmp_path / "in", {"a/x.png": png(scene(9, 9)), "y.png": png(scene(9, 9))})
    old = ["out/.0123456789abcdef.tmp", "out/a/.0123456789abcdef.tmp"]
    others = ["out/.fedcba9876543210.tmp", "out/a/.my.tmp", "out/0123456789abcdef.tmp"]
    write_all(tmp_path, dict.fromkeys([*old, *others], b"half"))
    for name in [*old, *others[1:]]:
        os.utime(tmp_path / name, (1e9, 1e9))
    FolderEnhancer(brighter, tmp_path / "in", tmp_path / "out").run()
    assert not any((tmp_path / name).exists() for name in old)
    assert all((tmp_path / name).exists() for name in others)  # one is still being written


def test_old_temporary_files_are_swept_beside_one_file_and_by_training(tmp_path, monkeypatch):
    write_all(tmp_path, {"x.png": png(scene(9, 9))})
    clip = make_clip(tmp_path / "x.mkv", frames=1, size=(32, 32))

    def photo(folder: Path) -> None:
        command = ["sgz", tmp_path / "x.png", folder / "x.png", "--look", "paper"]
        monkeypatch.setattr(sys, "argv", [str(word) for word in command])
        assert cli_main() == 0

    def train(folder: Path) -> None:
        with lock_folder(folder):
            pass

    enhancer = Enhancer(look="paper")
    for write in (photo, train, lambda folder: enhance_video(enhancer, clip, folder / "x.mkv")):
        left = tmp_path / "out/.0123456789abcdef.tmp"
        write_all(tmp_path, {"out/.0123456789abcdef.tmp": b"half"})
        os.utime(left, (1e9, 1e9))
        write(tmp_path / "out")
        assert not left.exists()


def test_names_are_escaped_on_the_terminal(tmp_path):
    name = "\x1b[31mred\n forged: line\u202e.png"
    write_all(tmp_path / "in", {name: b"no picture", "夜.png": b"no picture"})
    report = FolderEnhancer(brighter, tmp_path / "in", tmp_path / "out").run()
    lines = list(report.failure_lines({}))
    assert all(line.isprintable() for line in lines)
    assert any(r"\x1b[31mred\n forged: line\u202e.png" in line for line in lines)
    assert any("夜.png" in line for line in lines)
    assert printable("a\udc80b") == r"a\udc80b"


KERNEL = """
from sgz.kernels.unfilter import unfilter_kernel
import numpy as np
pixels = np.zeros((1, 3), np.uint8)
print(unfilter_kernel()(np.array([[0, 7, 8, 9]], np.uint8), pixels, 0, 3), pixels.tolist())
"""


def test_a_cut_cache_of_kernels_is_compiled_anew(tmp_path):
    shutil.copytree(ROOT / "sgz", tmp_path / "sgz", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", KERNEL]
    for suffix in ("nbi", "nbc", "nbi"):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.stdout == "True [[7, 8, 9]]\n", done.stderr
        stored = list(tmp_path.glob(f"sgz/kernels/__pycache__/unfilter*.{suffix}"))
        assert stored
        for path in stored:
            path.write_bytes(path.read_bytes()[:40])
    with (tmp_path / "sgz/kernels/curve.py").open("a") as file:
        file.write("# the steps that kernels call have changed\n")
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert set(tmp_path.glob("sgz/kernels/__pycache__/unfilter*.nbi")) > set(stored)
