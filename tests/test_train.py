"""Training: exact resume, nothing lost, every failure a sentence."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from train_runs import ROOT, arguments, weights

from option import train_parser
from sgz.errors import CheckpointError, UserError
from sgz.model import EnhanceNet
from training.step import TrainingDiverged
from training.trainer import RunFinished, Trainer


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Seven small photographs of several types in a tree with other files."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    (folder / "deeper").mkdir()
    (folder / "readme.txt").write_text("not an image")
    for i, name in enumerate(
        ["a.png", "b.jpg", "c.bmp", "d.tif", "deeper/e.webp", "deeper/f.png", "deeper/g.png"]
    ):
        pixels = rng.integers(0, 80, (40 + i, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels[..., 0] if i == 5 else pixels).save(folder / name)
    return folder


def options(photos, folder, *extra):
    return train_parser().parse_args(arguments(photos, folder, *extra))


def train(photos, folder, *extra, stop_after=None):
    """Train, stopping as a signal would after so many steps; returns the exit code."""
    trainer = Trainer(options(photos, folder, *extra))
    step, done = trainer.train_step, 0

    def counted(*batch):
        nonlocal done
        values = step(*batch)
        done += 1
        if done == stop_after:
            trainer.ask_to_stop(signal.SIGUSR1)
        return values

    trainer.train_step = counted
    return trainer.run()


def resume(photos, folder, epoch, *extra, **keywords):
    path = str(folder / f"Epoch{epoch}.pth")
    return train(photos, folder, "--load_pretrain", "--pretrain_dir", path, *extra, **keywords)


def assert_same(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def whole_run(photos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert train(photos, folder) == 0
    return folder


def test_a_run_leaves_a_plain_state_dict_each_epoch_and_its_state_beside_it(whole_run):
    assert sorted(p.name for p in whole_run.iterdir() if p.name != ".train.lock") == [
        "Epoch0.pth", "Epoch0.resume", "Epoch1.pth", "Epoch1.resume", "log.csv", "loss.png",
        "preview.png", "run.json", "train.log",
    ]  # fmt: skip
    EnhanceNet().load_state_dict(weights(whole_run / "Epoch1.pth"))
    log = (whole_run / "train.log").read_text()
    assert "epoch 1 step 4/4 total" in log and "exposure" in log


def test_training_lowers_the_loss(photos, tmp_path):
    train(photos, tmp_path, "--num_epochs", "4", "--lr", "4e-3")
    totals = [
        float(line.split("total ")[1].split()[0])
        for line in (tmp_path / "train.log").read_text().splitlines()
        if "total" in line
    ]
    assert totals[-1] < 0.8 * totals[0]


def test_a_seed_decides_a_run(photos, whole_run, tmp_path):
    train(photos, tmp_path / "same")
    assert_same(weights(tmp_path / "same/Epoch1.pth"), weights(whole_run / "Epoch1.pth"))
    train(photos, tmp_path / "other", "--seed", "1")
    other = weights(tmp_path / "other/Epoch1.pth")["e_conv1.point_conv.weight"]
    assert not torch.equal(other, weights(whole_run / "Epoch1.pth")["e_conv1.point_conv.weight"])


@pytest.mark.parametrize(("steps", "workers"), [(1, 0), (3, 2), (4, 0), (6, 2), (7, 0)])
def test_a_stopped_and_resumed_run_ends_bit_identical(photos, whole_run, tmp_path, steps, workers):
    code = train(photos, tmp_path, "--num_workers", str(workers), stop_after=steps)
    assert code == 128 + signal.SIGUSR1
    stopped_in = (steps - 1) // 4
    assert resume(photos, tmp_path, stopped_in, "--num_workers", str(workers)) == 0
    for epoch in (0, 1):
        name = f"Epoch{epoch}.pth"
        assert_same(weights(tmp_path / name), weights(whole_run / name))
    assert not list(tmp_path.glob("*kept*"))


def test_a_resumed_run_with_the_guide_ends_bit_identical(photos, tmp_path):
    extra = ["--seg_weight", "0.1", "--seg_weights", "none", "--image_size", "64"]
    extra += ["--num_epochs", "1", "--train_batch_size", "3"]
    train(photos, tmp_path / "whole", *extra)
    train(photos, tmp_path / "cut", *extra, stop_after=1)
    resume(photos, tmp_path / "cut", 0, *extra)
    assert_same(weights(tmp_path / "cut/Epoch0.pth"), weights(tmp_path / "whole/Epoch0.pth"))
    state = torch.load(tmp_path / "cut/Epoch0.resume", weights_only=True)
    assert state["guide"] == "none"
    assert not [name for name in state["model"] if "conv" not in name]
    assert "semantic guide: fpn_resnet50, weights: none" in (tmp_path / "cut/train.log").read_text()


def test_a_snapshot_between_epochs_is_good_for_resuming(photos, whole_run, tmp_path):
    """Killed without warning after the snapshot of step 2, in the middle of step 3."""
    trainer = Trainer(options(photos, tmp_path, "--snapshot_iter", "2"))
    step = trainer.train_step

    def killed(*batch):
        if trainer.position.step == 3:
            raise MemoryError
        return step(*batch)

    trainer.train_step = killed
    with pytest.raises(MemoryError):
        trainer.run()
    assert resume(photos, tmp_path, 0) == 0
    assert_same(weights(tmp_path / "Epoch1.pth"), weights(whole_run / "Epoch1.pth"))


def test_killed_between_the_two_files_of_a_snapshot(photos, whole_run, tmp_path):
    """The run state is new, the weights beside it are still those of the snapshot before."""
    train(photos, tmp_path, stop_after=2)
    old = (tmp_path / "Epoch0.pth").read_bytes()
    resume(photos, tmp_path, 0, stop_after=1)
    assert (tmp_path / "Epoch0.pth").read_bytes() != old
    (tmp_path / "Epoch0.pth").write_bytes(old)
    resume(photos, tmp_path, 0)
    assert_same(weights(tmp_path / "Epoch1.pth"), weights(whole_run / "Epoch1.pth"))


def epochs_in(folder):
    return sorted(p.name for p in folder.glob("*.pth"))


def test_num_epochs_is_the_total_and_more_epochs_come_after_it(photos, whole_run, tmp_path):
    """One run of two epochs, and one that was first asked for one, is the same run."""
    train(photos, tmp_path, "--num_epochs", "1")
    before = {p.name: p.read_bytes() for p in tmp_path.glob("Epoch*")}
    with pytest.raises(RunFinished, match=r"Epoch0\.pth is finished after 1 epochs"):
        resume(photos, tmp_path, 0, "--num_epochs", "1")
    for _again in range(2):  # a repeat writes over its own snapshots, and leaves nothing else
        resume(photos, tmp_path, 0, "--num_epochs", "2")
        assert epochs_in(tmp_path) == ["Epoch0.pth", "Epoch1.pth"]
        assert_same(weights(tmp_path / "Epoch1.pth"), weights(whole_run / "Epoch1.pth"))
    assert all((tmp_path / name).read_bytes() == content for name, content in before.items())
    resume(photos, tmp_path, 1, "--more_epochs", "1")
    assert epochs_in(tmp_path) == ["Epoch0.pth", "Epoch1.pth", "Epoch2.pth"]
    assert not [path for path in tmp_path.iterdir() if "earlier" in path.name]


def test_more_epochs_ends_as_planned_after_a_stop(photos, tmp_path):
    cosine = ("--schedule", "cosine")
    for folder, stop in ((tmp_path / "whole", None), (tmp_path / "cut", 2)):
        train(photos, folder, "--num_epochs", "1", *cosine)
        resume(photos, folder, 0, "--more_epochs", "2", *cosine, stop_after=stop)
    with pytest.raises(UserError, match=r"not finished: it stands at epoch 1 of 3"):
        resume(photos, tmp_path / "cut", 1, "--more_epochs", "2")
    resume(photos, tmp_path / "cut", 1, "--num_epochs", "3", *cosine)  # as it says on stopping
    assert_same(weights(tmp_path / "cut/Epoch2.pth"), weights(tmp_path / "whole/Epoch2.pth"))


def test_more_epochs_needs_a_run(photos, tmp_path):
    with pytest.raises(UserError, match="no run to train for more epochs"):
        train(photos, tmp_path, "--more_epochs", "1")
    torch.save(EnhanceNet().state_dict(), tmp_path / "Epoch5.pth")
    with pytest.raises(UserError, match="no run state beside it"):
        resume(photos, tmp_path, 5, "--more_epochs", "1")


def test_weights_that_no_run_left_stay_and_the_run_writes_beside(photos, tmp_path, capfd):
    """As of the weights in the box when a run of 100 epochs goes into weight/."""
    box = tmp_path / "Epoch1.pth"
    torch.save(EnhanceNet().state_dict(), box)
    before = box.read_bytes()
    train(photos, tmp_path)
    said = capfd.readouterr().err
    assert box.read_bytes() == before and not (tmp_path / "Epoch1.resume").exists()
    assert "Epoch1.trained.pth to use yours" in said
    beside = str(tmp_path / "Epoch1.trained.pth")
    train(photos, tmp_path, "--load_pretrain", "--pretrain_dir", beside, "--num_epochs", "3")
    assert epochs_in(tmp_path) == [
        "Epoch0.pth", "Epoch1.pth", "Epoch1.trained.pth", "Epoch2.pth",
    ]  # fmt: skip
    assert box.read_bytes() == before


def test_a_new_run_moves_the_one_before_into_a_folder(photos, tmp_path, capfd):
    train(photos, tmp_path)
    before = weights(tmp_path / "Epoch1.pth")
    train(photos, tmp_path, "--seed", "1", "--num_epochs", "1")
    assert epochs_in(tmp_path) == ["Epoch0.pth"]
    assert_same(weights(tmp_path / "earlier-1/Epoch1.pth"), before)
    assert (tmp_path / "earlier-1/log.csv").exists()
    assert f"is in {tmp_path / 'earlier-1'} now" in capfd.readouterr().err
    resume(photos, tmp_path / "earlier-1", 1, "--num_epochs", "3")  # and can go on


def test_a_plain_state_dict_starts_a_new_run_and_says_so(photos, tmp_path, capfd):
    torch.save(EnhanceNet().state_dict(), tmp_path / "Epoch99.pth")
    resume(photos, tmp_path, 99, "--num_epochs", "1")
    assert "a new run starts from its weights" in capfd.readouterr().err
    assert (tmp_path / "Epoch0.pth").exists()


def test_a_state_beside_foreign_weights_is_not_used(photos, tmp_path, capfd):
    train(photos, tmp_path)
    torch.save(EnhanceNet().state_dict(), tmp_path / "Epoch1.pth")
    resume(photos, tmp_path, 1, "--num_epochs", "1")
    assert "a new run starts from its weights" in capfd.readouterr().err


def test_changed_options_and_images_are_said(photos, tmp_path, capfd):
    train(photos, tmp_path / "run", stop_after=1)
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    Image.new("RGB", (40, 40), (9, 8, 7)).save(fewer / "a.png")
    resume(fewer, tmp_path / "run", 0, "--lr", "0.01")
    said = capfd.readouterr().err
    assert "lr 0.001 -> 0.01" in said and "the images differ" in said


def test_unreadable_images_are_named_once_and_left_out(photos, tmp_path, capfd):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (40, 40), (9, 8, 7)).save(folder / "good.png")
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff truncated")
    assert train(folder, tmp_path / "run") == 0
    assert capfd.readouterr().err.count("bad.jpg") == 1


@pytest.mark.parametrize(
    ("words", "value"),
    [([], False), (["--load_pretrain"], True), (["--load_pretrain", "True"], True),
     (["--load_pretrain", "False"], False), (["--load_pretrain", "0"], False)],
)  # fmt: skip
def test_load_pretrain_means_what_it_says(words, value):
    assert train_parser().parse_args(words).load_pretrain is value


def test_defaults_are_the_released_codes():
    found = vars(train_parser().parse_args([]))
    expected = {
        "lowlight_images_path": Path("data/train_data/"), "lr": 1e-3, "weight_decay": 1e-3,
        "grad_clip_norm": 0.1, "num_epochs": 100, "train_batch_size": 6, "val_batch_size": 8,
        "num_workers": 4, "display_iter": 10, "snapshot_iter": 10, "scale_factor": 1,
        "snapshots_folder": Path("weight/"), "load_pretrain": False,
        "pretrain_dir": Path("weight/Epoch99.pth"), "num_of_SegClass": 21, "conv_type": "dsc",
        "patch_size": 4, "exp_level": 0.6, "tv_weight": 1600, "spatial_weight": 1,
        "colour_weight": 5, "exposure_weight": 10, "seg_weight": 0.1, "darken": 0, "cutmix": 0,
        "image_size": 512, "seg_weights": "auto",
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected


def test_a_loss_that_is_no_number_stops_with_its_parts_and_keeps_the_snapshot(photos, tmp_path):
    extra = ["--lr", "1e30", "--snapshot_iter", "1"]
    with pytest.raises(TrainingDiverged, match=r"step 1: total nan, tv .*last snapshot is kept"):
        train(photos, tmp_path, *extra)
    assert all(v.isfinite().all() for v in weights(tmp_path / "Epoch0.pth").values())


@pytest.mark.parametrize("make", [False, True])
def test_no_images(tmp_path, make):
    if make:
        (tmp_path / "empty").mkdir()
        (tmp_path / "empty/readme.txt").write_text("no image")
    with pytest.raises(UserError, match=r'empty \(looked for .jpg.*see README, "Data"'):
        Trainer(options(tmp_path / "empty", tmp_path / "run"))


def test_bad_checkpoints_and_sizes(photos, tmp_path):
    with pytest.raises(CheckpointError, match=r"no checkpoint at .*Epoch7\.pth"):
        resume(photos, tmp_path, 7)
    train(photos, tmp_path, "--num_epochs", "1")
    (tmp_path / "Epoch0.resume").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"Epoch0\.resume is no file of tensors .*; remove it"):
        resume(photos, tmp_path, 0)
    with pytest.raises(UserError, match="too small: the semantic guide needs 64"):
        train(photos, tmp_path / "small", "--seg_weight", "1")


def command(photos, folder, *extra):
    return [sys.executable, str(ROOT / "train.py"), *arguments(photos, folder, *extra)]


def start_and_wait_for(file, endless):
    process = subprocess.Popen(endless, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    return process


def test_ctrl_c_saves_where_it_stands_and_kill_leaves_the_last_state(photos, tmp_path):
    endless = command(photos, tmp_path, "--num_epochs", "100000", "--num_workers", "2")
    process = start_and_wait_for(tmp_path / "Epoch1.pth", endless)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert "go on with --load_pretrain True --pretrain_dir" in errors
    path = errors.split("--pretrain_dir ")[1].split()[0]
    resumed = [*endless, "--load_pretrain", "True", "--pretrain_dir", path]
    last = int(Path(path).stem.removeprefix("Epoch"))
    process = start_and_wait_for(tmp_path / f"Epoch{last + 3}.pth", resumed)
    os.kill(process.pid, signal.SIGKILL)
    errors = process.communicate()[1]
    assert f"going on with {path}" in errors
    newest = max(tmp_path.glob("Epoch*.pth"), key=lambda p: int(p.stem[5:]))
    EnhanceNet().load_state_dict(weights(newest))
    again = ["--load_pretrain", "--pretrain_dir", str(newest), "--num_epochs", "100000"]
    trainer = Trainer(options(photos, tmp_path, *again))
    assert trainer.position.epoch >= last + 3


def test_failures_end_in_a_sentence_and_exit_code_1(tmp_path):
    nowhere = command(tmp_path / "nowhere", tmp_path)
    done = subprocess.run(nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("train.py: no such file or folder:")
    assert "Traceback" not in done.stderr
