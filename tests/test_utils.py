"""Folders are searched as they come, files written whole, scripts left with a sentence."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pictures import files_under, write_all

from sgz.errors import UserError
from sgz.files import find_files, whole_file, write_whole
from sgz.machine import choose_device, count_cores

ROOT = Path(__file__).parents[1]


def found(root: Path, *arguments, **options) -> list[str]:
    return [str(p.relative_to(root)) for p in find_files(root, {".png"}, *arguments, **options)]


def test_finds_by_suffix_below_any_folder(tmp_path):
    names = ["b.png", "a/c.PNG", "a/d e/ü.png", "a/x.png/y.png"]
    others = ["a.txt", ".hidden.png", ".hidden/a.png", "png", "out/b.png"]
    write_all(tmp_path, dict.fromkeys(names + others, b""))
    assert sorted(found(tmp_path, tmp_path / "out")) == sorted(names)
    assert list(find_files(tmp_path / "a.txt", {".png"})) == [tmp_path / "a.txt"]


def test_links_are_followed_once_and_rings_are_left(tmp_path):
    write_all(tmp_path, {"in/a.png": b"", "in/deep/b.png": b"", "elsewhere/c.png": b""})
    root = tmp_path / "in"
    (root / "deep/back").symlink_to(root)
    (root / "deep/self").symlink_to("self")
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "link again").symlink_to(tmp_path / "elsewhere")
    assert sorted(Path(name).name for name in found(root)) == ["a.png", "b.png", "c.png"]


def test_a_large_folder_is_not_read_before_its_first_file(tmp_path):
    for number in range(20_000):
        (tmp_path / f"{number}.png").touch()
    files = find_files(tmp_path, {".png"})
    first = next(files)
    for path in tmp_path.iterdir():
        path.unlink()
    assert first.suffix == ".png"
    assert sum(1 for _ in files) < 15_000  # the disk's list was not held


def test_other_folders_are_not_read_before_the_first_file(tmp_path):
    write_all(tmp_path, {"a/1.png": b"", "b/1.png": b""})
    files = find_files(tmp_path, {".png"})
    assert next(files) == tmp_path / "a/1.png"
    write_all(tmp_path, {"b/2.png": b""})
    assert {path.name for path in files} == {"1.png", "2.png"}


def test_a_folder_that_cannot_be_read_is_told_and_passed(tmp_path):
    write_all(tmp_path, {"a/1.png": b"", "b/1.png": b"", "c/1.png": b""})
    troubles = []
    files = find_files(tmp_path, {".png"}, on_error=lambda *trouble: troubles.append(trouble))
    names = [next(files).parent.name]
    (tmp_path / "b/1.png").unlink()
    (tmp_path / "b").rmdir()  # gone before its turn
    names += [path.parent.name for path in files]
    assert names == ["a", "c"]
    [(folder, error)] = troubles
    assert folder == tmp_path / "b"
    assert isinstance(error, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        found(tmp_path / "b")


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep/er/name.bin"
    write_whole(path, b"first")
    assert path.read_bytes() == b"first"

    with pytest.raises(KeyboardInterrupt), whole_file(path) as temporary:
        temporary.write_bytes(b"half")
        assert temporary.parent == path.parent  # the same disk, so that renaming is one step
        raise KeyboardInterrupt
    assert path.read_bytes() == b"first"
    assert files_under(tmp_path) == {"deep/er/name.bin"}


def test_writers_of_long_like_names_do_not_meet(tmp_path):
    """Names alike for 250 bytes, written at the same time by threads of one process."""
    names = ["夜" * 80 + f"{number:02}.png" for number in range(8)]
    together = threading.Barrier(len(names))

    def write(name: str):
        with whole_file(tmp_path / name) as temporary:
            temporary.write_text(name)
            together.wait(20)

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: (tmp_path / name).read_text() for name in names} == {n: n for n in names}


def test_devices():
    assert choose_device("cpu") == "cpu"
    for name in ("cuda:99", "toaster"):
        with pytest.raises(UserError, match=f"device {name} is not available here"):
            choose_device(name)
    assert 1 <= count_cores() <= os.cpu_count()


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("return None", 0, ""),
        ("return 3", 3, ""),
        ("raise UserError('no such thing')", 1, "s.py: no such thing\n"),
        ("raise UserError('no such thing', 'price')", 1, "s.py: no such thing; add --price\n"),
        ("open('/none/x')", 1, "s.py: [Errno 2] No such file or directory: '/none/x'\n"),
        ("raise KeyboardInterrupt", 130, "\ns.py: interrupted\n"),
        ("print('夜')", 0, ""),
    ],
)
def test_a_scripts_way_out(body, code, said, tmp_path):
    script = tmp_path / "s.py"
    script.write_text(
        "from sgz.command import run_script\nfrom sgz.errors import UserError\n"
        f"def main():\n    {body}\nrun_script(main, {{'price': 'add --price'}})\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, said)
