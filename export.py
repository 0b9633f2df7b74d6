"""Write the model, curve and resizing inside, as one ONNX, TorchScript or torch.export file.

    python export.py --format onnx --save_path sgz.onnx
    python export.py --format onnx --input uint8_nhwc --save_path sgz_uint8.onnx
    python export.py --format torchscript --save_path sgz.pt
    python export.py --format torch_export --save_path sgz.pt2
    python export.py --target obs --size 180x324

With --format the file takes images of any size; --target makes what one program wants
(docs/use-it-from.md). Before a file gets its name it is read back and compared with PyTorch; one
that differs is not kept.
"""

import argparse
import warnings
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from exporting.formats import to_torch_export, to_torchscript
from exporting.targets import TARGETS, export_target, parse_size
from option import add_checkpoint_option
from sgz.command import SIZE, add_network_options, new_parser, run_script
from sgz.errors import UserError
from sgz.files import whole_file
from sgz.method import LOOKS, SCALE_FACTOR
from sgz.model import EnhanceNet, enhance_plainly, load_model
from sgz.onnx_graph import OPSET, method_to_onnx, open_session

SUFFIXES = {"onnx": ".onnx", "torchscript": ".pt", "torch_export": ".pt2"}
FLOAT_LIMIT = 1e-4  # of values in [0, 1]: a fortieth of an 8-bit level
LEVEL_LIMIT = 1  # of 255: where the two lie on either side of a rounding


def export_parser() -> argparse.ArgumentParser:
    """Options of export.py."""
    parser = new_parser("Write the model as one file for other programs, and check that file.")
    parser.add_argument(
        "--format", choices=("onnx", "torchscript", "torch_export"), default="onnx", help="of file"
    )
    parser.add_argument(
        "--target",
        choices=tuple(TARGETS),
        help="in place of --format, the file that one program takes",
    )
    parser.add_argument(
        "--size",
        type=parse_size,
        metavar="HEIGHTxWIDTH",
        help="of the pictures, for a --target; left out: 180x324 for obs, 360x648 for phones, "
        "any for ffmpeg. --scale_factor is then such that the network sees about 90 rows, as of a "
        "1080p picture at 12, the default otherwise",
    )
    parser.add_argument(
        "--look",
        choices=LOOKS,
        default="paper",
        help="natural, without denoising, for every --target but web; ffmpeg with a --size",
    )
    parser.add_argument(
        "--input",
        choices=("float_nchw", "uint8_nhwc"),
        default="float_nchw",
        help="what it takes and gives: float32 [B, 3, H, W] in [0, 1], or for onnx also "
        "uint8 [B, H, W, 3]; RGB, any height and width",
    )
    add_checkpoint_option(parser)
    parser.add_argument(
        "--save_path",
        type=Path,
        default=None,
        help="the file; left out: sgz.onnx, sgz.pt (torchscript) or sgz.pt2 (torch_export), or "
        "the name under which the target looks for it",
    )
    parser.add_argument("--iterations", type=SIZE, default=8, help="how often the curve is applied")
    add_network_options(parser, scale_factor=None)
    return parser


def main() -> int:
    options = export_parser().parse_args()
    if options.target:
        return write_target(options)
    options.scale_factor = options.scale_factor or SCALE_FACTOR
    target = choose_target(options)
    net = load_model(
        options.weight_dir, options.scale_factor, options.conv_type, options.iterations
    )
    content = build(net, options)

    try:
        with whole_file(target) as temporary:
            temporary.write_bytes(content)
            check(read_back(temporary, options), net, options)
    except OSError as error:
        raise UserError(
            f"cannot write {target} ({error.strerror or error}); choose another --save_path"
        ) from error
    print(f"done: {target}, {len(content) / 1000:.1f} kB")
    return 0


def write_target(options: Namespace) -> int:
    """The files of --target; the exit code."""
    try:
        paths = export_target(options)
    except OSError as error:
        raise UserError(
            f"cannot write {options.save_path or 'here'} ({error.strerror or error}); choose "
            "another --save_path"
        ) from error
    for path in paths:
        files = [path, *path.rglob("*")] if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in files if file.is_file())
        print(f"done: {path}, {size / 1000:.1f} kB")
    return 0


def choose_target(options: Namespace) -> Path:
    """Where the file goes.

    Raises:
        UserError: a suffix that is not the format's, or an input that the format cannot have.
    """
    if options.size or options.look != "paper":
        raise UserError("--size and --look are for a --target; leave them out, or see --help")
    suffix = SUFFIXES[options.format]
    target = options.save_path or Path(f"sgz{suffix}")
    if target.suffix.lower() != suffix:
        raise UserError(f"--format {options.format} writes {suffix} files; {target} is not one")
    if options.input != "float_nchw" and options.format != "onnx":
        raise UserError(f"--input {options.input} is for --format onnx; leave it out")
    return target


def build(net: EnhanceNet, options: Namespace) -> bytes:
    """The content of the file."""
    if options.format == "onnx":
        print(f"ONNX opset {OPSET}, standard operators only; {describe(options)} -> enhanced")
        return method_to_onnx(net, options.input)
    print(f"{describe(options)} -> (enhanced, factor map)")
    if options.format == "torchscript":
        return to_torchscript(net)
    return to_torch_export(net)


def describe(options: Namespace) -> str:
    """What the file takes, in words."""
    if options.input == "float_nchw":
        return "image float32 [B, 3, H, W], RGB in [0, 1]"
    return "image uint8 [B, H, W, 3], RGB"


def read_back(path: Path, options: Namespace) -> Callable[[np.ndarray], np.ndarray]:
    """The written file as a function from images to enhanced images."""
    if options.format == "onnx":
        session = open_session(path)
        return lambda image: session.run(["enhanced"], {"image": image})[0]
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if options.format == "torchscript":
            module = torch.jit.load(file)
        else:
            module = torch.export.load(file).module()

    def run(image: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(image))[0].numpy()

    return run


def check_sizes(scale: int) -> list[tuple[int, int, int]]:
    """Batch, height and width: a multiple of scale, odd, portrait, smaller than scale, one row."""
    below, whole = max(scale - 1, 1), max(120 // scale, 2) * scale
    return [
        (1, whole, 2 * whole),
        (2, 131, 97),
        (1, 333, 250),
        (1, below, below),
        (1, 1, 3 * scale + 1),
    ]


def check(run: Callable[[np.ndarray], np.ndarray], net: EnhanceNet, options: Namespace) -> None:
    """Print how far the file is from PyTorch at five sizes.

    Raises:
        UserError: farther than the limit.
    """
    levels = options.input == "uint8_nhwc"
    limit, unit = (LEVEL_LIMIT, "of 255") if levels else (FLOAT_LIMIT, "of 1")
    rng = np.random.default_rng(0)
    worst = 0.0
    print(f"{'batch x height x width':>22}  largest difference from PyTorch, {unit}")
    for batch, height, width in check_sizes(options.scale_factor):
        image = rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
        if not levels:
            image = np.ascontiguousarray(image.transpose(0, 3, 1, 2)) / np.float32(255)
        expected, found = enhance_batch(net, image), run(image)
        if found.shape != expected.shape or found.dtype != expected.dtype:
            raise UserError(f"the file gives {found.dtype} {found.shape} for {image.shape}")
        difference = np.abs(found.astype(np.float64) - expected).max()
        print(f"{f'{batch} x {height} x {width}':>22}  {difference:.3g}")
        worst = max(worst, np.nan_to_num(difference, nan=np.inf))
    if worst > limit:
        raise UserError(
            f"the file differs from PyTorch by {worst:.3g} {unit}, more than {limit:g}: "
            "not kept; try other versions of torch and onnxruntime, and please report it"
        )
    print(f"within the limit, {limit:g} {unit}")


def enhance_batch(net: EnhanceNet, batch: np.ndarray) -> np.ndarray:
    """enhance_plainly on [B, H, W, 3] uint8 or [B, 3, H, W] float32."""
    if batch.dtype == np.uint8:
        return np.stack([enhance_plainly(net, image) for image in batch])
    images = (enhance_plainly(net, image.transpose(1, 2, 0)) for image in batch)
    return np.stack([image.transpose(2, 0, 1) for image in images])


if __name__ == "__main__":
    run_script(main)
