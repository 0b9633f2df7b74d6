"""Speed of a training step against the same step done naively: all five losses, ResNet-50 guide.

python benchmarks/training.py
python benchmarks/training.py --images_path data/train_data --image_size 512 --train_batch_size 6
"""

import argparse
import multiprocessing
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from sgz.command import SIZE, new_parser, run_script
from sgz.machine import choose_device, describe_machine

CLIP_NORM, RATE = 0.1, 1e-3  # train.py's defaults
WARM_UP = 2


def batch_keys(images: int, batch_size: int) -> Iterator[list[tuple[int, int]]]:
    """(epoch, index) of the images of every step, without end."""
    from dataloader import plan_epoch

    for epoch in count():
        for step in plan_epoch(images, 0, epoch, batch_size):
            if step.images == min(batch_size, images):  # the rest of an epoch is less work
                yield step.batches[0]


def naive_step(paths: list[Path], options: Namespace) -> Callable[[], float]:
    """A step as it is first written; calling it returns the loss.

    Images are decoded and resized in every step and made floats on the processor; the guide is
    only kept out of the optimiser: it computes gradients of its weights; all is contiguous.
    """
    import torch

    from dataloader import decode_or_reason
    from loss import ZeroReferenceLoss
    from sgz.model import EnhanceNet
    from training.guide import build_guide

    device = torch.device(choose_device(options.device))
    torch.manual_seed(0)
    net = EnhanceNet().to(device)
    guide = build_guide(weights="none").net.to(device, memory_format=torch.contiguous_format)
    guide.requires_grad_(True)
    loss = ZeroReferenceLoss(guide=guide)
    adam = torch.optim.Adam(net.parameters(), lr=RATE, weight_decay=1e-3)
    keys = batch_keys(len(paths), options.train_batch_size)

    def step() -> float:
        pixels = [decode_or_reason(paths[i], options.image_size) for _, i in next(keys)]
        image = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous().float() / 255
        image = image.to(device)
        adam.zero_grad()
        guide.zero_grad()
        total = sum(loss(image, *net(image)).values())
        total.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP_NORM)
        adam.step()
        return total.item()

    return step


def our_step(data, options: Namespace, precision: str) -> Callable[[], float]:
    """train.py's own step on images from its cache; calling it returns the loss."""
    import torch

    from dataloader import Step, batches_of
    from loss import ZeroReferenceLoss
    from sgz.model import EnhanceNet
    from training.guide import build_guide
    from training.step import Learner, start_accelerator

    accelerator, device = start_accelerator(options.device, precision)
    torch.manual_seed(0)
    net = EnhanceNet()
    loss = ZeroReferenceLoss(guide=build_guide(weights="none"))
    learner = Learner(net, loss, accelerator, device, weight_decay=1e-3, clip_norm=CLIP_NORM)
    keys = batch_keys(len(data), options.train_batch_size)

    def step() -> float:
        images = next(keys)
        plan = Step(len(images), [images], [len(images)])
        batches = iter(batches_of(data, [plan], pin_memory=device.type == "cuda"))
        return learner.step(batches, plan.counts, plan.images, RATE)["total"]

    return step


def measure(options: Namespace, precision: str) -> dict[str, float]:
    """Both steps in turns: median milliseconds, median of their ratios, how far losses differ."""
    from dataloader import LowLightImages

    data = LowLightImages(options.images_path, options.image_size)
    ways = {"naive": naive_step(data.paths, options), "ours": our_step(data, options, precision)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    first = {}
    for turn in range(WARM_UP + options.rounds):
        for name, step in ways.items():
            start = time.perf_counter()
            value = step()
            first.setdefault(name, value)
            if turn >= WARM_UP:
                times[name].append(1000 * (time.perf_counter() - start))
    ratios = [a / b for a, b in zip(*times.values(), strict=True)]
    return {name: median(values) for name, values in times.items()} | {
        "ratio": median(ratios),
        "difference": abs(first["ours"] / first["naive"] - 1),
        "images": min(options.train_batch_size, len(data)),
    }


def benchmark_train_parser() -> argparse.ArgumentParser:
    """Options of benchmark_train.py."""
    parser = new_parser("Measure the speed of a training step on this machine.")
    parser.add_argument(
        "--images_path",
        type=Path,
        default=Path("data/train_data/"),
        help="folder of images, searched recursively",
    )
    parser.add_argument("--image_size", type=SIZE, default=256, help="as in train.py")
    parser.add_argument("--train_batch_size", type=SIZE, default=2, help="images per step")
    parser.add_argument("--rounds", type=SIZE, default=9, help="measured steps of each way")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, …")
    return parser


def main() -> None:
    options = benchmark_train_parser().parse_args()
    device = choose_device(options.device)
    rows = {}
    # A process each: accelerate's precision cannot be changed.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for precision in ("no", "bf16") if device == "cuda" else ("no",):
            rows[precision] = pool.apply(measure, (options, precision))
    size, batch = options.image_size, rows["no"]["images"]
    print(f"{describe_machine(device)}; medians of {options.rounds} steps\n")
    print(
        f"| {size}x{size}, batch {batch}, all five losses | ms a step | images/s "
        "| times the naive step | first loss differs by |\n|---|---:|---:|---:|---:|"
    )
    naive = rows["no"]["naive"]
    print(f"| naive, fp32 | {naive:.0f} | {1000 * batch / naive:.1f} | 1.00 | |")
    for precision, row in rows.items():
        print(
            f"| train.py, {'fp32' if precision == 'no' else precision} | {row['ours']:.0f} "
            f"| {1000 * batch / row['ours']:.1f} | {row['ratio']:.2f} | {row['difference']:.0e} |"
        )


if __name__ == "__main__":
    run_script(main)
