"""Small training runs for the tests."""

import csv
import time
from pathlib import Path

import torch

from option import train_options
from sgz.model import EnhanceNet
from training.trainer import Trainer

ROOT = Path(__file__).parents[1]


def arguments(photos, folder, *extra):
    return [
        "--lowlight_images_path", str(photos), "--snapshots_folder", str(folder),
        "--image_size", "32", "--train_batch_size", "2", "--num_epochs", "2", "--num_workers", "0",
        "--seg_weight", "0", "--device", "cpu", "--darken", "1",
        "--cache_dir", str(Path(folder).parent / "cache"), *extra,
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


def wait_for(file):
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
