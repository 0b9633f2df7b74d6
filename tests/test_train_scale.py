"""Training on several processes, in parts, in low precision, from a cache."""

import json
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from train_runs import ROOT, arguments, difference, rows, train, wait_for, weights

import dataloader
from dataloader import LowLightImages, batches_of, plan_epoch
from option import train_options
from sgz.errors import UserError
from training.trainer import Trainer


def launch(count, *script_arguments):
    """Start train.py as `torchrun --nproc_per_node count` does."""
    head = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count)]
    head += ["--master_port", str(20000 + os.getpid() % 20000), str(ROOT / "train.py")]
    return subprocess.Popen([*head, *script_arguments], stderr=subprocess.PIPE, text=True)


def test_two_processes_equal_one_with_the_doubled_batch(photos, batch_of_four, tmp_path):
    """The seventh image makes the last step uneven: two images here, one there."""
    process = launch(2, *arguments(photos, tmp_path))
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors
    wrong, moved = difference(tmp_path / "Epoch1.pth", batch_of_four / "Epoch1.pth")
    assert wrong < 2e-6 < 1e-3 < moved
    assert json.loads((tmp_path / "run.json").read_text())[0]["processes"] == 2
    two, one = rows(tmp_path / "log.csv"), rows(batch_of_four / "log.csv")
    assert len(two) == len(one) == 2  # one process writes
    for key in ("loss_total", "loss_tv", "gradient_norm"):
        assert float(two[-1][key]) == pytest.approx(float(one[-1][key]), rel=1e-3)


def test_two_processes_are_stopped_together_and_go_on(photos, tmp_path):
    """SIGTERM to torchrun, which tells each of them; then to the end, and as one would have."""
    folder = tmp_path / "two"
    extra = ["--train_batch_size", "1", "--gradient_accumulation_steps", "2"]
    process = launch(2, *arguments(photos, folder, *extra, "--num_epochs", "100000"))
    wait_for(folder / "Epoch1.pth")
    process.send_signal(signal.SIGTERM)
    errors = process.communicate(timeout=120)[1]
    assert errors.count("go on with --load_pretrain True") == 1, errors
    path = Path(errors.split("--pretrain_dir ")[1].split()[0])
    epochs = str(int(path.stem[5:]) + 2)
    again = ["--load_pretrain", "--pretrain_dir", str(path), "--num_epochs", epochs]
    process = launch(2, *arguments(photos, folder, *extra, *again))
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors
    one = ["--train_batch_size", "4", "--num_epochs", epochs]
    train(photos, tmp_path / "one", *one)
    last = f"Epoch{int(epochs) - 1}.pth"
    wrong, moved = difference(folder / last, tmp_path / "one" / last)
    assert wrong < 1e-5 < 1e-3 < moved


def test_accumulated_batches_equal_a_large_one(photos, batch_of_four, tmp_path):
    train(photos, tmp_path, "--gradient_accumulation_steps", "2")
    wrong, moved = difference(tmp_path / "Epoch1.pth", batch_of_four / "Epoch1.pth")
    assert wrong < 2e-6 < 1e-3 < moved


@pytest.mark.parametrize(("accumulate", "processes"), [(1, 1), (3, 1), (1, 3), (2, 4)])
def test_every_image_counts_once_an_epoch(accumulate, processes):
    plans = [plan_epoch(13, 5, 2, 2, accumulate, processes, rank) for rank in range(processes)]
    assert len({len(plan) for plan in plans}) == 1
    seen = []
    for steps in zip(*plans, strict=True):
        assert len({len(step.batches) for step in steps}) == 1  # no process waits for another
        assert sum(sum(step.counts) for step in steps) == steps[0].images
        for step in steps:
            for keys, count in zip(step.batches, step.counts, strict=True):
                assert 1 <= len(keys) <= 2
                seen += [index for _epoch, index in keys[:count]]
    assert sorted(seen) == list(range(13))


def test_a_run_goes_on_where_it_was_with_another_batch_size(photos, tmp_path):
    trainer = Trainer(train_options(arguments(photos, tmp_path)))
    step = trainer.train_step

    def stopped(*batch):
        trainer.signal_here = signal.SIGTERM if trainer.position.step == 1 else 0
        return step(*batch)

    trainer.train_step = stopped
    assert trainer.run() == 128 + signal.SIGTERM  # two steps of two images
    extra = ["--load_pretrain", "--pretrain_dir", str(tmp_path / "Epoch0.pth")]
    resumed = Trainer(train_options(arguments(photos, tmp_path, *extra, "--train_batch_size", "4")))
    assert (resumed.position.epoch, resumed.position.step) == (0, 1)


def test_a_signal_is_heard_while_the_processes_agree(photos, tmp_path):
    """It comes when this process has just told the others that it heard none."""
    trainer = Trainer(train_options(arguments(photos, tmp_path)))
    agree = trainer.learner.any_process

    def interrupted(number):
        agreed = agree(number)
        if trainer.position.step == 1 and not number:
            trainer.ask_to_stop(signal.SIGUSR1)
        return agreed

    trainer.learner.any_process = interrupted
    assert trainer.run() == 128 + signal.SIGUSR1
    assert (trainer.position.epoch, trainer.position.step) == (0, 2)


@pytest.fixture
def fresh_accelerate():
    """accelerate keeps one precision a process; forget it before and after."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


def test_bf16_trains_nearly_as_fp32(photos, batch_of_four, tmp_path, fresh_accelerate):
    train(photos, tmp_path, "--train_batch_size", "4", "--mixed_precision", "bf16")
    here, there = rows(tmp_path / "log.csv"), rows(batch_of_four / "log.csv")
    assert here[0]["loss_total"] != there[0]["loss_total"]
    assert float(here[0]["loss_total"]) == pytest.approx(float(there[0]["loss_total"]), rel=0.02)
    assert all(v.dtype == torch.float32 for v in weights(tmp_path / "Epoch1.pth").values())


def test_fp16_without_a_gpu_is_a_sentence(photos, tmp_path, fresh_accelerate):
    with pytest.raises(UserError, match=r"fp16 needs a GPU; .*bf16"):
        train(photos, tmp_path, "--mixed_precision", "fp16")


def test_cached_images_are_those_in_memory(photos, tmp_path):
    plain = LowLightImages(photos, 32, 1.0)
    cached = LowLightImages(photos, 32, 1.0, cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0
    sent = pickle.loads(pickle.dumps(cached))  # as to a process that is not forked
    assert len(pickle.dumps(cached)) < cached.pixels.nbytes
    plan = plan_epoch(7, 0, 0, 3)
    for data, workers in ((cached, 0), (cached, 2), (sent, 0)):
        for a, b in zip(batches_of(plain, plan), batches_of(data, plan, workers), strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
            assert b[0].dtype == torch.uint8


def gray_folder(folder, values):
    folder.mkdir()
    for name, value in values.items():
        Image.new("RGB", (40, 40), (value,) * 3).save(folder / f"{name}.png")
    return folder


def test_cutmix_cuts_an_ellipse_of_another_image_into_its_share_of_them(tmp_path):
    data = LowLightImages(gray_folder(tmp_path / "photos", {"a": 10, "b": 200}), 40, cutmix=0.5)
    items = [data[epoch, 0][0] for epoch in range(60)]
    cut = [item for item in items if item.unique().tolist() == [10, 200]]
    assert 10 < len(cut) < 30  # a half of them, and a half of these by the image itself
    for item in cut:
        inside = item[0] == 200
        assert torch.equal(item[1:], item[:1].expand(2, -1, -1)) and inside.sum() < 0.55 * 40 * 40
        assert ((inside[:, 1:] != inside[:, :-1]).sum(1) <= 2).all()  # each row of it is one run
    assert all(torch.equal(data[epoch, 0][0], item) for epoch, item in enumerate(items))


def test_the_cache_is_used_again_and_follows_the_files(tmp_path, monkeypatch):
    folder, cache = (
        gray_folder(tmp_path / "photos", {"a": 10, "b": 20, "c": 30}),
        tmp_path / "cache",
    )
    decoded = []
    read = dataloader.read_photo
    monkeypatch.setattr(dataloader, "read_photo", lambda path: decoded.append(path) or read(path))

    def values(size=32):
        decoded.clear()
        data = LowLightImages(folder, size, cache=cache)
        return [int(data[0, i][0][0, 0, 0]) for i in range(len(data))], len(decoded)

    assert values() == ([10, 20, 30], 3)
    assert values() == ([10, 20, 30], 0)
    Image.new("RGB", (40, 40), (50, 50, 50)).save(folder / "b.png")
    os.utime(folder / "b.png", ns=(1, 1))
    assert values() == ([10, 50, 30], 3)
    assert len(list(cache.iterdir())) == 1  # the state before is gone
    (folder / "d.png").write_bytes(b"no picture")
    assert values()[0] == [10, 50, 30]
    assert values() == ([10, 50, 30], 1)  # it is tried again, the others are not
    assert values(16) == ([10, 50, 30], 4)


def test_a_damaged_cache_is_made_anew(tmp_path):
    folder, cache = gray_folder(tmp_path / "photos", {"a": 10, "b": 20}), tmp_path / "cache"
    LowLightImages(folder, 16, cache=cache)
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    for place in (5, 900, 1600, len(whole) - 3, len(whole) - 10):
        damaged = bytearray(whole)
        damaged[place] ^= 4
        file.write_bytes(damaged)
        data = LowLightImages(folder, 16, cache=cache)
        assert [int(data.read(i)[0, 0, 0]) for i in (0, 1)] == [10, 20]
    for length in (0, 3, 700):
        file.write_bytes(whole[:length])
        assert int(LowLightImages(folder, 16, cache=cache).read(1)[0, 0, 0]) == 20
