"""What a run leaves to look at: logs, pictures, validation; and the paper's objective."""

import fcntl
import json
import math
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from contextlib import suppress

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from train_runs import ROOT, arguments, rows, train

from dataloader import LowLightImages
from option import train_options
from sgz.model import load_model
from training.trainer import Trainer


def test_the_log_has_a_line_a_display_step_and_none_twice_after_a_kill(photos, tmp_path):
    """Killed at step 3 of epoch 1, where the last snapshot is that of step 2."""
    extra = ["--display_iter", "1", "--snapshot_iter", "2"]
    trainer = Trainer(train_options(arguments(photos, tmp_path, *extra)))
    step = trainer.train_step

    def killed(*batch):
        if (trainer.position.epoch, trainer.position.step) == (1, 3):
            raise MemoryError
        return step(*batch)

    trainer.train_step = killed
    with pytest.raises(MemoryError):
        trainer.run()
    assert len(rows(tmp_path / "log.csv")) == 7
    with (tmp_path / "log.csv").open("a") as file:
        file.write("1,4,4,0.0")  # cut short by the kill
    train(
        photos, tmp_path, *extra, "--load_pretrain", "--pretrain_dir", str(tmp_path / "Epoch1.pth")
    )
    found = rows(tmp_path / "log.csv")
    assert [(int(float(r["epoch"])), int(float(r["step"]))) for r in found] == [
        (epoch, step) for epoch in (0, 1) for step in (1, 2, 3, 4)
    ]
    parts = [float(found[5][f"loss_{k}"]) for k in ("tv", "spatial", "colour", "exposure")]
    assert float(found[5]["loss_total"]) == pytest.approx(sum(parts), rel=1e-5)
    assert len(json.loads((tmp_path / "run.json").read_text())) == 2  # both starts


def test_a_terminal_of_80_columns_shows_all_parts_of_the_loss(tmp_path):
    terminal, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "train.py", "--snapshots_folder", tmp_path, "--num_workers", "0"]
    command += ["--image_size", "64", "--train_batch_size", "3", "--num_epochs", "1"]
    command += ["--seg_weights", "none", "--display_iter", "1", "--device", "cpu"]
    run = subprocess.Popen(command, cwd=ROOT, stdin=side, stdout=side, stderr=side)
    os.close(side)
    seen = b""
    with suppress(OSError):  # the end of a terminal
        while new := os.read(terminal, 65536):
            seen += new
    os.close(terminal)
    assert run.wait() == 0
    line = r"total \S+ tv \S+ spatial \S+ colour \S+ exposure \S+ semantic \S+"
    text = seen.decode()
    assert re.search(line, text)
    assert re.search(r"epoch 0 of 0-0: 100%", text)


def test_a_run_records_what_it_was(photos, batch_of_four, tmp_path):
    (record,) = json.loads((batch_of_four / "run.json").read_text())
    assert record["options"]["train_batch_size"] == 4 and record["images"] == 7
    assert record["versions"]["torch"] == torch.__version__
    head = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    head = subprocess.run(head, capture_output=True, text=True, check=False)
    if head.returncode == 0:
        assert record["commit"].rstrip("+") == head.stdout.strip()
    assert record["fingerprint"] == LowLightImages(photos, 32).fingerprint
    Image.new("RGB", (9, 9)).save(tmp_path / "7.png")
    assert LowLightImages(tmp_path, 32).fingerprint != record["fingerprint"]


def test_pictures_show_the_run(photos, batch_of_four):
    """Preview: input | enhanced | factor; brighter than mid-gray where the map brightens."""
    grid = np.asarray(Image.open(batch_of_four / "preview.png")).astype(float)
    tile = grid.shape[1] // 3
    heading, grid = np.split(grid, [len(grid) - 4 * tile])
    assert heading.shape[1:] == (3 * tile, 3)
    assert all((part < 128).any() for part in np.split(heading, 3, axis=1))  # words over each
    image, _enhanced, factor = np.split(grid, 3, axis=1)
    first = LowLightImages(photos, 32).read(0)
    assert image[:tile].mean() == pytest.approx(first.mean(), abs=1)
    net = load_model(batch_of_four / "Epoch1.pth", scale_factor=1)
    with torch.no_grad():
        a = net.factor(torch.from_numpy(first).permute(2, 0, 1)[None].float() / 255)
    assert factor[:tile].mean() == pytest.approx(255 * (1 - a.mean().item()) / 2, abs=1)
    curves = np.asarray(Image.open(batch_of_four / "loss.png"))
    coloured = (curves.max(2).astype(int) - curves.min(2) > 60).sum()
    assert coloured > 500  # lines and their names, on gray and white


def test_validation_measures_as_test_py_enhances(photos, tmp_path):
    """low/ and high/: PSNR and SSIM at full size; one pair does not fit, one has no partner."""
    rng = np.random.default_rng(3)
    for name in ("low", "high"):
        (tmp_path / "val" / name).mkdir(parents=True)
    for i, suffix in enumerate(("png", "jpg")):
        high = rng.integers(0, 255, (6, 9, 3), np.uint8).repeat(7, 0).repeat(7, 1)
        Image.fromarray(high // 4).save(tmp_path / f"val/low/{i}.png")
        Image.fromarray(high).save(tmp_path / f"val/high/{i}.{suffix}")
    Image.new("RGB", (30, 30)).save(tmp_path / "val/low/odd.png")
    Image.new("RGB", (31, 30)).save(tmp_path / "val/high/odd.png")
    Image.new("RGB", (30, 30)).save(tmp_path / "val/low/alone.png")
    folder = train(photos, tmp_path / "run", "--val_images_path", str(tmp_path / "val"))
    found = rows(folder / "validation.csv")
    assert [int(float(row["epoch"])) for row in found] == [0, 1]
    net, scores = load_model(folder / "Epoch1.pth"), []
    for i, suffix in enumerate(("png", "jpg")):
        low = np.array(Image.open(tmp_path / f"val/low/{i}.png"))
        high = np.asarray(Image.open(tmp_path / f"val/high/{i}.{suffix}"))
        with torch.no_grad():
            x = net(torch.from_numpy(low).permute(2, 0, 1)[None].float() / 255)[0][0]
        x = (x.permute(1, 2, 0) * 255).round().byte().numpy()
        scores.append((peak_signal_noise_ratio(high, x),
                       structural_similarity(high, x, channel_axis=2)))  # fmt: skip
    psnr, ssim = np.mean(scores, 0)
    assert float(found[1]["psnr"]) == pytest.approx(psnr, rel=1e-5)
    assert float(found[1]["ssim"]) == pytest.approx(ssim, rel=1e-5)
    assert math.isfinite(float(found[1]["loss_total"]))
    log = (folder / "train.log").read_text()
    assert "odd.png: sizes differ" in log and "alone.png: no file of that name in high/" in log


def test_tensorboard_holds_the_curves(photos, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(photos, tmp_path, "--tracker", "tensorboard", "--display_iter", "1")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    curve = events.Scalars("log/loss_total")
    assert [point.step for point in curve] == list(range(1, 9))
    assert curve[-1].value == pytest.approx(float(rows(tmp_path / "log.csv")[-1]["loss_total"]))
    assert "preview" in events.Tags()["images"]


def test_the_papers_objective_changes_defaults_and_what_is_given_wins():
    paper = vars(train_options(["--objective", "paper", "--tv_weight", "7"]))
    expected = {
        "lr": 1e-4, "tv_weight": 7, "spatial_weight": 1, "colour_weight": 1, "exposure_weight": 1,
        "seg_weight": 0.1, "init": "paper", "num_epochs": 100, "train_batch_size": 6,
        "image_size": 512,
    }  # fmt: skip
    assert {name: paper[name] for name in expected} == expected
    assert train_options(["--objective", "paper", "--lr", "0.001"]).lr == 1e-3
    assert train_options([]).tv_weight == 1600


def test_the_papers_objective_trains_from_its_start(photos, tmp_path):
    options = train_options(arguments(photos, tmp_path, "--objective", "paper"))
    trainer = Trainer(options)
    state = trainer.learner.weights()
    values = torch.cat([v.flatten() for k, v in state.items() if k.endswith("weight")])
    assert values.std().item() == pytest.approx(0.02, rel=0.05)
    assert trainer.run() == 0
