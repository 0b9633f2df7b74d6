"""Speed of a training step: as it is first written, as train.py once took it, as it does now.

python benchmarks/training.py
python benchmarks/training.py --image_size 128 --train_batch_size 8 --seg_model guide.pt
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
    guide = build_guide(options.seg_model, "none").net
    guide = guide.to(device, memory_format=torch.contiguous_format)
    for parameter in guide.parameters():
        parameter.requires_grad_(True)
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


def our_step(paths: list[Path], options: Namespace, way: str) -> Callable[[], float]:
    """train.py's own step on images from its cache; calling it returns the loss.

    Args:
        way: "before": with the network that inference uses, freed memory going back to the kernel;
            or the precision of the step as it is now, "no" or "bf16".
    """
    import torch

    from dataloader import LowLightImages, Step, batches_of
    from loss import ZeroReferenceLoss
    from sgz.model import EnhanceNet
    from training.guide import build_guide
    from training.memory import keep_freed_memory
    from training.network import TrainedNet
    from training.step import Learner, start_accelerator

    if way != "before":
        keep_freed_memory()
    data = LowLightImages(options.images_path, options.image_size)
    accelerator, device = start_accelerator(options.device, "no" if way == "before" else way)
    torch.manual_seed(0)
    net = EnhanceNet() if way == "before" else TrainedNet()
    loss = ZeroReferenceLoss(guide=build_guide(options.seg_model, "none"))
    learner = Learner(net, loss, accelerator, device, weight_decay=1e-3, clip_norm=CLIP_NORM)
    keys = batch_keys(len(paths), options.train_batch_size)

    def step() -> float:
        images = next(keys)
        plan = Step(len(images), [images], [len(images)])
        batches = iter(batches_of(data, [plan], pin_memory=device.type == "cuda"))
        return learner.step(batches, plan.counts, plan.images, RATE)["total"]

    return step


def answer(connection, way: str, paths: list[Path], options: Namespace) -> None:
    """A process: for every message one step; sends its milliseconds and its loss."""
    step = naive_step(paths, options) if way == "naive" else our_step(paths, options, way)
    connection.send(None)  # ready
    while connection.recv():
        start = time.perf_counter()
        value = step()
        connection.send((1000 * (time.perf_counter() - start), value))


def measure(ways: list[str], paths: list[Path], options: Namespace) -> dict[str, dict]:
    """Each way in a process of its own, a step in turns: milliseconds of each, first loss."""
    context = multiprocessing.get_context("spawn")
    results = {way: {"ms": [], "loss": []} for way in ways}
    pipes = {}
    for way in ways:
        pipes[way], other = context.Pipe()
        context.Process(target=answer, args=(other, way, paths, options), daemon=True).start()
        other.close()  # so that a process that fails ends the wait for it
        pipes[way].recv()
    for turn in range(WARM_UP + options.rounds):
        for way, pipe in pipes.items():
            pipe.send(True)
            ms, loss = pipe.recv()
            results[way]["loss"].append(loss)
            if turn >= WARM_UP:
                results[way]["ms"].append(ms)
    for pipe in pipes.values():
        pipe.send(False)
    return results


def benchmark_train_parser() -> argparse.ArgumentParser:
    """Options of this script."""
    parser = new_parser("Measure the speed of a training step on this machine.")
    parser.add_argument(
        "--images_path",
        type=Path,
        default=Path("data/train_data/"),
        help="folder of images, searched recursively",
    )
    parser.add_argument("--image_size", type=SIZE, default=256, help="as in train.py")
    parser.add_argument("--train_batch_size", type=SIZE, default=2, help="images per step")
    parser.add_argument(
        "--seg_model", default="fpn_resnet50", help="as in train.py, random weights"
    )
    parser.add_argument("--rounds", type=SIZE, default=9, help="measured steps of each way")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, …")
    return parser


def main() -> None:
    from dataloader import LowLightImages

    options = benchmark_train_parser().parse_args()
    device = choose_device(options.device)
    paths = LowLightImages(options.images_path, options.image_size).paths
    ways = ["naive", "before", "no", *(["bf16"] if device == "cuda" else [])]
    results = measure(ways, paths, options)
    size, batch = options.image_size, min(options.train_batch_size, len(paths))
    print(f"{describe_machine(device)}; medians of {options.rounds} steps in turns\n")
    print(
        f"| {size}x{size}, batch {batch}, all five losses, guide {Path(options.seg_model).name} "
        "| ms a step | images/s | times as before | losses differ by |\n|---|---:|---:|---:|---:|"
    )
    names = {
        "naive": "naive",
        "before": "train.py before",
        "no": "train.py",
        "bf16": "train.py, bf16",
    }
    before = results["before"]
    for way, result in results.items():
        ms = median(result["ms"])
        times = median(b / a for a, b in zip(result["ms"], before["ms"], strict=True))
        apart = abs(result["loss"][0] / before["loss"][0] - 1)
        print(f"| {names[way]} | {ms:.0f} | {1000 * batch / ms:.1f} | {times:.2f} | {apart:.0e} |")


if __name__ == "__main__":
    run_script(main)
