"""The paper's tables of ablations, trained and measured again; docs/reproduction.md has them.

python benchmarks/ablations.py --lowlight_images_path data/train_data --pairs data/LOL \
    --dark data/test_data/DICM --voc espnetv2_voc.pt --cityscapes espnetv2_cityscapes.pt

Each row is a run of train.py's Trainer with one thing changed. A run that was stopped goes on where
it was, a finished one is measured once; the tables show what is there, with its epochs and seeds.
"""

import argparse
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from statistics import mean, stdev

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from sgz.command import SIZE, new_parser, run_script
from sgz.errors import UserError
from sgz.files import find_files, no_images
from sgz.image.photo import IMAGE_SUFFIXES

METRICS = ("psnr", "ssim", "niqe", "clipped")


@dataclass(frozen=True)
class Row:
    """One setting: its table and name, the paper's LOL PSNR / SSIM, and what it changes."""

    table: str
    name: str
    paper: str = ""
    changes: tuple[str, ...] = ()


def rows_of(options: Namespace) -> list[Row]:
    """Every row of the tables that can be made with the guides at hand."""
    base, guides = "Table 2: a loss left out", "Table 4: the semantic guide"
    # A step with the guide takes twice as long or more: these are to be seen beside "without sem".
    levels, none = "Table 3, without the guide: region A, level E", ("--seg_weight", "0")
    rows = [
        Row(base, "all five", "20.60"),
        Row(base, "without rgb (colour)", "8.84", ("--colour_weight", "0")),
        Row(base, "without bri (exposure)", "13.06", ("--exposure_weight", "0")),
        Row(base, "without tv", "16.05", ("--tv_weight", "0")),
        Row(base, "without spa (spatial)", "20.53", ("--spatial_weight", "0")),
        Row(base, "without sem (semantic)", "20.15", ("--seg_weight", "0")),
        Row(levels, "A = 3", "20.44", (*none, "--patch_size", "3")),
        Row(levels, "A = 5", "20.26", (*none, "--patch_size", "5")),
        Row(levels, "E = 0.5", "17.25", (*none, "--exp_level", "0.5")),
        Row(levels, "E = 0.7", "20.54", (*none, "--exp_level", "0.7")),
        Row(guides, "the paper's network, random", "20.60", guide("fpn_resnet50")),
    ]
    if options.cityscapes:
        rows.append(Row(guides, "Cityscapes-trained ESPNetv2", "", guide(options.cityscapes)))
    if options.voc:
        stronger = (*guide(options.voc), "--seg_weight", "10")
        rows.append(Row(guides, "VOC-trained ESPNetv2, weight 10 in place of 0.1", "", stronger))
    kinds = "Convolutions, without the guide"
    rows += [Row(kinds, kind, "", ("--conv_type", kind, *none)) for kind in ("tc", "dc")]
    equations = ("--objective", "paper", *none)
    return [*rows, Row("Objective, without the guide", "the paper's equations", "", equations)]


def guide(model: Path | str) -> tuple[str, ...]:
    """The options of a guide."""
    return ("--seg_model", str(model), "--seg_weights", "none")


def folder_of(row: Row, seed: int, options: Namespace) -> Path:
    """Where a run goes."""
    name = "".join(c if c.isalnum() else "_" for c in f"{row.table.split(':')[0]} {row.name}")
    return options.work / f"{options.image_size}" / f"{name}-{seed}"


def train_row(row: Row, seed: int, options: Namespace) -> Path:
    """Train a row, or go on where it was stopped; its last checkpoint."""
    from option import train_options
    from training.trainer import Trainer

    folder = folder_of(row, seed, options)
    last = folder / f"Epoch{options.num_epochs - 1}.pth"
    if last.exists() and not unfinished(last):
        return last
    arguments = [
        "--lowlight_images_path", str(shrunk_images(options)), "--snapshots_folder", str(folder),
        "--image_size", str(options.image_size), "--num_epochs", str(options.num_epochs),
        "--train_batch_size", "8", "--num_workers", "0", "--snapshot_iter", "50",
        "--display_iter", "1000", "--device", options.device, "--seed", str(seed),
        *(guide(options.voc) if options.voc else ("--seg_weights", "none")), *row.changes,
    ]  # fmt: skip
    started = sorted(folder.glob("Epoch*.pth"), key=lambda path: int(path.stem[5:]))
    if started:
        arguments += ["--load_pretrain", "True", "--pretrain_dir", str(started[-1])]
    if code := Trainer(train_options(arguments)).run():
        raise SystemExit(code)
    return last


def unfinished(path: Path) -> bool:
    """Whether a snapshot was made within its epoch."""
    from utils import load_tensors

    position = load_tensors(path.with_suffix(".resume"))["position"]
    return position["epoch"] <= int(path.stem[5:])


def shrunk_images(options: Namespace) -> Path:
    """The training images at --image_size, shrunk once for all runs."""
    import cv2
    from tqdm import tqdm

    from dataloader import decode_or_reason
    from sgz.files import write_whole

    folder = options.work / f"{options.image_size}" / "images"
    found = sorted(find_files(options.lowlight_images_path, IMAGE_SUFFIXES))
    for number, path in enumerate(tqdm(found, "shrinking", disable=None, leave=False)):
        target = folder / f"{number:05}.png"
        if not target.exists():
            pixels = decode_or_reason(path, options.image_size)
            if not isinstance(pixels, str):
                write_whole(target, cv2.imencode(".png", pixels[..., ::-1])[1].tobytes())
    return folder


def measure(checkpoint: Path, conv_type: str, options: Namespace) -> dict[str, float]:
    """A checkpoint on the pairs and the dark photographs, at scale factor 12."""
    from evaluation import metrics
    from evaluation.matching import read_rgb
    from evaluation.naturalness import niqe
    from sgz.model import enhance_plainly, load_model

    net = load_model(checkpoint, conv_type=conv_type)
    found: dict[str, list[float]] = {name: [] for name in METRICS}
    for path in sorted(find_files(options.pairs / "low", IMAGE_SUFFIXES)):
        result = enhance_plainly(net, read_rgb(path, set()))
        reference = read_rgb(options.pairs / "high" / path.name, set())
        found["psnr"].append(metrics.psnr(result, reference))
        found["ssim"].append(metrics.ssim(result, reference))
    for path in sorted(find_files(options.dark, IMAGE_SUFFIXES)):
        image = read_rgb(path, set())
        result = enhance_plainly(net, image)
        found["niqe"].append(niqe(result))
        found["clipped"].append(100 * metrics.newly_clipped(result, image))
    # Of a picture that became white all over there is no NIQE.
    return {name: mean(v for v in values if not isnan(v)) for name, values in found.items()}


def scores(row: Row, options: Namespace) -> Iterator[dict[str, float]]:
    """What was measured of a row, a dictionary a seed."""
    for seed in range(options.seeds):
        file = folder_of(row, seed, options) / f"scores{options.num_epochs}.json"
        if file.exists():
            yield json.loads(file.read_text())


def table(rows: list[Row], options: Namespace) -> str:
    """Markdown, a table for each of the paper's, with what is there."""
    lines = [
        f"{options.image_size} pixels, {options.num_epochs} epochs of batch 8, scale factor 12 to "
        "measure; mean ± spread where there are several seeds.\n",
        "| | seeds | pairs PSNR | pairs SSIM | dark NIQE | newly clipped % | the paper's PSNR |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    title = None
    for row in rows:
        if row.table != title:
            title = row.table
            lines.append(f"| **{title}** | | | | | | |")
        measured = list(scores(row, options))
        cells = [spread([m[name] for m in measured], name) for name in METRICS]
        lines.append(f"| {row.name} | {len(measured)} | {' | '.join(cells)} | {row.paper} |")
    return "\n".join(lines)


def convolutions() -> str:
    """Markdown: what each kind of convolution has in parameters and takes in time."""
    import torch

    from benchmarks.images import time_paths
    from sgz.model import EnhanceNet

    image = torch.rand(1, 3, 900, 1200, generator=torch.Generator().manual_seed(0))
    lines = [
        "| 1200x900, float32, median ms | parameters | scale factor 12 | scale factor 1 |",
        "|---|---:|---:|---:|",
    ]
    for kind in ("dsc", "tc", "dc"):
        nets = {f"{scale}": EnhanceNet(scale, kind).eval() for scale in (12, 1)}
        parameters = sum(tensor.numel() for tensor in nets["1"].parameters())
        with torch.inference_mode():
            times = time_paths(nets, image, rounds=5)
        lines.append(f"| {kind} | {parameters:,} | {times['12']:.0f} | {times['1']:.0f} |")
    return "\n".join(lines)


def spread(values: list[float], name: str) -> str:
    """Mean ± standard deviation over seeds; a dash where nothing was measured."""
    digits = {"psnr": 2, "clipped": 1}.get(name, 3)
    if not values:
        return "-"
    text = f"{mean(values):.{digits}f}"
    return text if len(values) < 2 else f"{text} ± {stdev(values):.{digits}f}"


def ablations_parser() -> argparse.ArgumentParser:
    """Options of this script."""
    parser = new_parser("Train and measure the paper's ablations.")
    parser.add_argument("--lowlight_images_path", type=Path, default=Path("data/train_data/"))
    parser.add_argument("--pairs", type=Path, default=Path("data/LOL"), help="has low/ and high/")
    parser.add_argument("--dark", type=Path, default=Path("data/test_data/DICM"))
    parser.add_argument("--voc", type=Path, help="TorchScript guide of every row, trained on VOC")
    parser.add_argument("--cityscapes", type=Path, help="the same, trained on Cityscapes")
    parser.add_argument("--image_size", type=SIZE, default=128, help="512 in the paper")
    parser.add_argument("--num_epochs", type=SIZE, default=4, help="100 in the paper")
    parser.add_argument("--seeds", type=SIZE, default=1, help="runs of each row")
    parser.add_argument("--rows", nargs="+", default=[""], help="only rows with this in their name")
    parser.add_argument("--work", type=Path, default=Path("ablations"), help="folder of the runs")
    parser.add_argument("--table", action="store_true", help="train nothing, print what is there")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, …")
    return parser


def check_data(options: Namespace) -> None:
    """UserError where a run would end for want of data, before the hours that it takes."""
    pairs = options.pairs / "low", options.pairs / "high"
    for folder in (options.lowlight_images_path, *pairs, options.dark):
        if not any(find_files(folder, IMAGE_SUFFIXES, on_error=lambda *_: None)):
            raise no_images(folder)
    for model in (options.voc, options.cityscapes):
        if model and not model.is_file():
            raise UserError(f"no such file: {model}; see docs/reproduce.md")


def main() -> None:
    from training.memory import keep_freed_memory

    options = ablations_parser().parse_args()
    if not options.table:
        check_data(options)
    keep_freed_memory()
    rows = rows_of(options)
    chosen = [row for row in rows if any(part in row.name for part in options.rows)]
    # A seed of every row before the next: a table that is stopped is even.
    for seed in range(0 if options.table else options.seeds):
        for row in chosen:
            file = folder_of(row, seed, options) / f"scores{options.num_epochs}.json"
            if file.exists():
                continue
            checkpoint = train_row(row, seed, options)
            kind = row.changes[1] if "--conv_type" in row.changes else "dsc"
            file.write_text(json.dumps(measure(checkpoint, kind, options)))
    print(table(rows, options))
    print(f"\n{convolutions()}")


if __name__ == "__main__":
    run_script(main)
