"""Training on several processes, in parts, in low precision, from a cache; its records."""

import csv
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dataloader import LowLightImages, batches_of, plan_epoch
from model import EnhanceNet, load_model
from option import train_options
from train import Trainer
from utils import UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Seven small dark photographs."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(7):
        Image.fromarray(rng.integers(0, 80, (40, 50, 3), np.uint8)).save(folder / f"{i}.png")
    return folder


def arguments(photos, folder, *extra):
    return [
        "--lowlight_images_path", str(photos), "--snapshots_folder", str(folder),
        "--image_size", "32", "--train_batch_size", "2", "--num_epochs", "2", "--num_workers", "0",
        "--seg_weight", "0", "--device", "cpu", "--darken", "1", *extra,
    ]  # fmt: skip


def train(photos, folder, *extra):
    assert Trainer(train_options(arguments(photos, folder, *extra))).run() == 0
    return folder


def weights(path):
    return torch.load(path, weights_only=True)


def difference(a, b):
    """The largest difference between two snapshots, and how far training moved the first."""
    a, b = weights(a), weights(b)
    torch.manual_seed(0)
    start = EnhanceNet().state_dict()
    return (
        max((a[k] - b[k]).abs().max().item() for k in a),
        max((a[k] - start[k]).abs().max().item() for k in a),
    )


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def launch(count, *script_arguments):
    """Run train.py as `torchrun --nproc_per_node count` would."""
    head = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count)]
    head += ["--master_port", str(20000 + os.getpid() % 20000), str(ROOT / "train.py")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*head, *script_arguments], capture_output=True, text=True, check=False, env=environment
    )


@pytest.fixture(scope="module")
def batch_of_four(photos, tmp_path_factory):
    return train(photos, tmp_path_factory.mktemp("four"), "--train_batch_size", "4")


def test_two_processes_equal_one_with_the_doubled_batch(photos, batch_of_four, tmp_path):
    """The seventh image makes the last step uneven: two images here, one there."""
    done = launch(2, *arguments(photos, tmp_path))
    assert done.returncode == 0, done.stderr
    wrong, moved = difference(tmp_path / "Epoch1.pth", batch_of_four / "Epoch1.pth")
    assert wrong < 2e-6 < 1e-3 < moved
    assert json.loads((tmp_path / "run.json").read_text())[0]["processes"] == 2
    two, one = rows(tmp_path / "log.csv"), rows(batch_of_four / "log.csv")
    assert len(two) == len(one) == 2  # one process writes
    for key in ("loss_total", "loss_tv", "gradient_norm"):
        assert float(two[-1][key]) == pytest.approx(float(one[-1][key]), rel=1e-3)


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
        trainer.stop_signal = signal.SIGTERM if trainer.position.step == 1 else 0
        return step(*batch)

    trainer.train_step = stopped
    assert trainer.run() == 128 + signal.SIGTERM  # two steps of two images
    extra = ["--load_pretrain", "--pretrain_dir", str(tmp_path / "Epoch0.pth")]
    resumed = Trainer(train_options(arguments(photos, tmp_path, *extra, "--train_batch_size", "4")))
    assert (resumed.position.epoch, resumed.position.step) == (0, 1)


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


def test_images_beyond_the_memory_limit_come_from_the_disk(photos, tmp_path):
    """Room for three of seven: the other four lie in files, and nothing else changes."""
    room = 3.5 * 3 * 32 * 32
    plain = LowLightImages(photos, 32, 1.0)
    cached = LowLightImages(photos, 32, 1.0, cache_bytes=room, cache_folder=tmp_path)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 4 and len(cached.pixels) == 3
    plan = plan_epoch(7, 0, 0, 3)
    for workers in (0, 2):
        for a, b in zip(batches_of(plain, plan), batches_of(cached, plan, workers), strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
            assert b[0].dtype == torch.uint8


def test_the_cache_is_used_again_and_follows_the_files(tmp_path):
    folder, cache = tmp_path / "photos", tmp_path / "cache"
    folder.mkdir()
    for name, value in (("a", 10), ("b", 20), ("c", 30)):
        Image.new("RGB", (40, 40), (value,) * 3).save(folder / f"{name}.png")

    def values(size=32):
        data = LowLightImages(folder, size, cache_bytes=0, cache_folder=cache)
        return [int(data[0, i][0][0, 0, 0]) for i in range(3)]

    assert values() == [10, 20, 30]
    for file in cache.iterdir():
        np.full(3 * 32 * 32, 99, np.uint8).tofile(file)  # to see that it is read, not made anew
    assert values() == [99, 99, 99]
    Image.new("RGB", (40, 40), (50, 50, 50)).save(folder / "b.png")
    os.utime(folder / "b.png", ns=(1, 1))
    assert values() == [99, 50, 99]
    assert values(16) == [10, 50, 30]


def test_no_room_for_the_cache_is_a_sentence(photos, tmp_path):
    (tmp_path / "file").write_text("no folder")
    extra = ["--cache_gb", "0", "--cache_dir", str(tmp_path / "file")]
    with pytest.raises(UserError, match=r"do not fit in --cache_gb, and .*file cannot be written"):
        train(photos, tmp_path / "run", *extra)


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
    assert grid.shape == (4 * tile, 3 * tile, 3)
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


# What a user or a machine may do to a run.


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


@pytest.mark.parametrize("cache_gb", ["4", "0"])
def test_a_folder_that_changes_during_training_changes_nothing(photos, tmp_path, cache_gb):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photos.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    cache = ["--cache_gb", cache_gb, "--cache_dir", str(tmp_path / "cache"), "--num_workers", "2"]
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
    extra = ["--load_pretrain", "--pretrain_dir", str(tmp_path / "Epoch0.pth")]
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
    trainer.position.first_epoch = 3  # and with room again, it saves
    trainer.options.num_epochs = 1
    assert trainer.run() == 0 and (tmp_path / "Epoch3.pth").exists()


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import accelerate, cv2, torch, PIL.Image
from train import Trainer
from option import train_options
from model import load_model
torch.set_num_threads(1)
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


def test_kill_at_any_moment_leaves_a_state_that_leads_to_the_same_end(photos, tmp_path):
    """Killed at five random moments, with a snapshot after every step; then run to the end."""
    given = arguments(photos, tmp_path / "run", "--num_epochs", "100000", "--snapshot_iter", "1")
    environment = os.environ | {"KILLS": "5", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
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
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (tmp_path / "Epoch1.pth").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, errors
    path = Path(errors.split("--pretrain_dir ")[1].split()[0])
    position = weights(path.with_suffix(".resume"))["position"]
    assert f"stopped at epoch {position['epoch']}, step {position['step']}" in errors
