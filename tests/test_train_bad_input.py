"""What a user or a machine may do to a training run."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from train_runs import ROOT, arguments, difference, rows, train, wait_for, weights

from dataloader import LowLightImages
from option import train_options
from sgz.errors import UserError
from training.trainer import Trainer

KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import accelerate, cv2, torch, PIL.Image
from training.trainer import Trainer
from option import train_options
from sgz.model import load_model
folder = Path(sys.argv[1])
arguments = sys.argv[2:]

def written():
    return {p: p.stat().st_mtime_ns for p in folder.glob("Epoch*.pth")}

for attempt in range(int(os.environ["KILLS"])):
    snapshots = sorted(folder.glob("Epoch*.pth"), key=lambda p: int(p.stem[5:]))
    extra = ["--load_pretrain", "--pretrain_dir", str(snapshots[-1])] if snapshots else []
    if snapshots:
        load_model(snapshots[-1])
    before = written()
    child = os.fork()
    if not child:
        Trainer(train_options([*arguments, *extra])).run()
        os._exit(0)
    deadline = time.monotonic() + 30
    while written() == before and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(random.Random(attempt).uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_where_there_is_no_cache_images_stay_in_memory(photos, tmp_path, monkeypatch, capfd):
    (tmp_path / "file").write_text("no folder")
    train(photos, tmp_path / "a", "--cache_dir", str(tmp_path / "file"))
    assert capfd.readouterr().err.count("images stay in memory: cannot cache them") == 1
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # a user whom the system does not know
    train(photos, tmp_path / "b", "--cache_dir", "~/.cache/sgz")
    assert "this user has no home folder" in capfd.readouterr().err
    assert difference(tmp_path / "a/Epoch1.pth", tmp_path / "b/Epoch1.pth")[0] == 0


def test_odd_training_images_are_taken_and_broken_ones_named_once(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 80, (20, 30, 3), np.uint8)
    Image.fromarray(rgb).save(folder / "a.png")
    Image.fromarray(rgb[..., 0]).save(folder / "gray.png")
    Image.fromarray(np.dstack((rgb, rgb[..., :1]))).save(folder / "rgba.png")
    Image.fromarray(rgb[..., 0].astype(np.uint16) * 257).save(folder / "deep.png")
    Image.fromarray(rgb[:1, :1]).save(folder / "one.png")
    Image.fromarray(rgb[:1]).save(folder / "thin.png")
    data = (folder / "a.png").read_bytes()
    (folder / "cut.png").write_bytes(data[: len(data) // 2])
    (folder / "link.png").symlink_to(folder / "nowhere.png")
    read = LowLightImages(folder, 20)
    assert [p.name for p in read.paths] == [
        "a.png", "deep.png", "gray.png", "one.png", "rgba.png", "thin.png",
    ]  # fmt: skip
    assert [p.name for p, _reason in read.skipped] == ["cut.png", "link.png"]
    assert np.array_equal(read.read(1), read.read(2))  # 16 bits and 8 of one gray picture
    assert np.array_equal(read.read(0), read.read(4))  # alpha does not matter
    assert (read.read(3) == rgb[0, 0]).all()
    train(folder, tmp_path / "run")
    log = (tmp_path / "run/train.log").read_text()
    assert log.count("cut.png") == log.count("link.png") == 1


@pytest.mark.parametrize("cache", ["cache", "file/none"])
def test_a_folder_that_changes_during_training_changes_nothing(photos, tmp_path, cache):
    (tmp_path / "file").touch()
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photos.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    cache = ["--cache_dir", str(tmp_path / cache), "--num_workers", "2"]
    trainer = Trainer(train_options(arguments(folder, tmp_path / "run", *cache)))
    step = trainer.train_step

    def changed(*batch):
        if trainer.position.step == 1:
            for path in list(folder.iterdir())[1:]:
                path.unlink()
            (folder / "new.png").write_bytes(b"not yet copied")
        return step(*batch)

    trainer.train_step = changed
    assert trainer.run() == 0
    train(photos, tmp_path / "still")
    same = difference(tmp_path / "run/Epoch1.pth", tmp_path / "still/Epoch1.pth")
    assert same[0] == 0


def test_a_full_disk_costs_the_snapshot_not_the_run(photos, tmp_path, capfd):
    """Files may not grow beyond 20 KB, which a snapshot needs, for two epochs; then they may."""
    train(photos, tmp_path, "--num_epochs", "1")
    before = {p.name: p.read_bytes() for p in tmp_path.glob("Epoch0.*")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    extra = ["--load_pretrain", "--pretrain_dir", str(tmp_path / "Epoch0.pth"), "--num_epochs", "3"]
    trainer = Trainer(train_options(arguments(photos, tmp_path, *extra)))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        with pytest.raises(UserError, match=r"cannot save .*last good snapshot is .*Epoch0\.pth"):
            trainer.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capfd.readouterr().err
    assert said.count("training goes on; the last good snapshot is") == 2
    assert {p.name: p.read_bytes() for p in tmp_path.glob("Epoch*")} == before
    assert not list(tmp_path.glob(".*.tmp"))
    assert len(rows(tmp_path / "log.csv")) == 3  # it did train
    trainer.options.num_epochs = 4  # and with room again, it saves
    assert trainer.run() == 0 and (tmp_path / "Epoch3.pth").exists()


def test_kill_at_any_moment_leaves_a_state_that_leads_to_the_same_end(photos, tmp_path):
    """Killed at five random moments, with a snapshot after every step; then run to the end."""
    given = arguments(photos, tmp_path / "run", "--num_epochs", "100000", "--snapshot_iter", "1")
    environment = os.environ | {"KILLS": "5", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "run"), *given],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    newest = max((tmp_path / "run").glob("Epoch*.pth"), key=lambda p: int(p.stem[5:]))
    again = ["--load_pretrain", "--pretrain_dir", str(newest)]
    epochs = str(int(newest.stem[5:]) + 2)
    train(photos, tmp_path / "run", *again, "--num_epochs", epochs)
    train(photos, tmp_path / "whole", "--num_epochs", epochs)
    last = f"Epoch{int(epochs) - 1}.pth"
    assert difference(tmp_path / "run" / last, tmp_path / "whole" / last)[0] == 0
    assert not list((tmp_path / "run").glob("*kept*"))


def test_sigterm_to_all_processes_saves_and_the_run_goes_on(photos, tmp_path):
    """As a cluster ends a job: the data workers get the signal too."""
    given = arguments(photos, tmp_path, "--num_epochs", "100000", "--num_workers", "2")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *given],
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for(tmp_path / "Epoch1.pth")
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, errors
    path = Path(errors.split("--pretrain_dir ")[1].split()[0])
    position = weights(path.with_suffix(".resume"))["position"]
    assert f"stopped at epoch {position['epoch']}, step {position['step']}" in errors


def test_half_a_snapshot_is_written_over(photos, tmp_path):
    """As a kill leaves it between the run state and the weights."""
    train(photos, tmp_path, "--num_epochs", "2")
    (tmp_path / "Epoch1.pth").unlink()
    again = ["--load_pretrain", "--pretrain_dir", str(tmp_path / "Epoch0.pth")]
    train(photos, tmp_path, *again, "--num_epochs", "2")
    assert (tmp_path / "Epoch1.pth").exists() and not list(tmp_path.glob("*kept*"))
