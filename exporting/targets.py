"""What one program takes each: OBS's plugin, FFmpeg, the browser's page, phones.

Every target's file is written to a temporary place, read back as that program reads it and
compared with the project's own result before it gets its name.
"""

import shutil
import subprocess
import sys
import tempfile
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exporting import phones, tfjs
from sgz.errors import UserError
from sgz.files import whole_file
from sgz.method import SCALE_FACTOR
from sgz.model import EnhanceNet, enhance_plainly, load_model
from sgz.onnx_graph import method_to_onnx, network_to_onnx, open_session
from sgz.onnx_static import static_method_to_onnx

MULTIPLE = 12  # of the sides, so that every scale factor below divides them
SCALES = (1, 2, 3, 4, 6, 12)
ROWS = 90  # what the network sees of a 1080p picture at the paper's scale factor of 12
LIMIT = 1 / 255  # how far a file may be from the project's own result, in values of [0, 1]
Run = phones.Run
Size = tuple[int, int]


@dataclass(frozen=True)
class Target:
    """One program's kind of file.

    name: the file, {size} in it. size: the default, None for any.
    write: (net, size, look, path). read: the path as a function of images, or None where that
    cannot be had. looks: what can be in it.
    """

    name: str
    size: Size | None
    write: Callable[[EnhanceNet, Size | None, str, Path], None]
    read: Callable[[Path], Run | None]
    looks: Sequence[str] = ("paper",)


def parse_size(text: str) -> Size:
    """HEIGHTxWIDTH."""
    height, x, width = text.partition("x")
    if not (x and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise ArgumentTypeError(f"expected HEIGHTxWIDTH such as 180x324, not {text!r}")
    return int(height), int(width)


def fit_scale(size: Size) -> int:
    """The scale factor at which the network sees about ROWS rows, as of a 1080p picture."""
    return min(SCALES, key=lambda scale: abs(min(size) / scale - ROWS))


def export_target(options: Namespace) -> list[Path]:
    """Write, read back and compare a target's file; the paths of all that was written.

    Args:
        options: export.py's.

    Raises:
        UserError: options that do not go together, or a file that differs: it is not kept.
    """
    target = TARGETS[options.target]
    size = choose_size(options, target)
    scale = options.scale_factor or (fit_scale(size) if size else SCALE_FACTOR)
    net = load_model(options.weight_dir, scale, options.conv_type, options.iterations)
    words = f"{size[0]}x{size[1]}" if size else ""
    path = options.save_path or Path(target.name.format(size=words))
    suffix = Path(target.name).suffix
    if path.suffix.lower() != suffix:
        kind = f"{suffix} files" if suffix else "a folder without a suffix"
        raise UserError(f"--target {options.target} writes {kind}; {path} is not one")
    print(describe(options, size, scale))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        made = Path(folder) / path.name
        target.write(net, size, options.look, made)
        written = sorted(Path(folder).iterdir())
        for one in written:
            compare(target, one, net, size, options)
        for one in written:
            put(one, path.with_name(one.name))
    return [path.with_name(one.name) for one in written]


def choose_size(options: Namespace, target: Target) -> Size | None:
    """The size, or None for any.

    Raises:
        UserError: a size that the scale factor does not divide, or options that do not fit.
    """
    name, size = options.target, options.size or target.size
    if options.size and name == "web":
        raise UserError("--target web takes pictures of any size; leave out --size")
    if options.look not in target.looks or (options.look == "natural" and not size):
        raise UserError(
            "--look natural needs --size with --target ffmpeg, as its graph has one size"
            if name == "ffmpeg"
            else f"--target {name} holds the paper's path alone; leave out --look {options.look}"
        )
    multiple = options.scale_factor or MULTIPLE
    if size and (size[0] % multiple or size[1] % multiple):
        near = "x".join(str(max(round(side / multiple), 1) * multiple) for side in size)
        raise UserError(
            f"--size {size[0]}x{size[1]} has a side that is no multiple of {multiple}; try {near}"
        )
    return size


def describe(options: Namespace, size: Size | None, scale: int) -> str:
    """What the file takes, in words."""
    shape = f"[1, 3, {size[0]}, {size[1]}]" if size else "[1, 3, any height, any width]"
    look = f"look {options.look}, without denoising" if options.look == "natural" else "paper"
    if options.target == "web":
        return "network alone: image float32 [1, 3, h, w], RGB in [0, 1] -> factor in [-1, 1]"
    return f"image float32 {shape}, RGB in [0, 1] -> enhanced; scale factor {scale}; {look}"


def put(made: Path, path: Path) -> None:
    """Give a file or folder its name, in place of what has it."""
    if made.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        made.rename(path)
        return
    with whole_file(path) as temporary:
        shutil.copyfile(made, temporary)


def compare(
    target: Target, path: Path, net: EnhanceNet, size: Size | None, options: Namespace
) -> None:
    """Print how far a file is from the project's own result.

    Raises:
        UserError: farther than LIMIT.
    """
    run = TARGETS[options.target].read(path)
    if run is None:
        print(f"{path.name}: not run and not compared: this machine has nothing that runs it")
        return
    sizes = [size] if size else [(131, 97), (240, 480)]
    worst = 0.0
    for seed, shape in enumerate(sizes):
        image = sample_picture(shape, seed)
        found = run(np.ascontiguousarray(image.transpose(2, 0, 1))[None])[0]
        expected = expect(net, image, options)
        worst = max(worst, float(np.nan_to_num(np.abs(found - expected), nan=np.inf).max()))
    print(f"{path.name}: within {255 * worst:.3g} of 255 levels of the project's own result")
    if worst > LIMIT:
        raise UserError(
            f"{path.name} differs by {255 * worst:.3g} levels, more than one: not kept; try "
            "another version of the converter, and please report it"
        )


def expect(net: EnhanceNet, image: np.ndarray, options: Namespace) -> np.ndarray:
    """What the file should give: [3, H, W] of an image [H, W, 3]."""
    if options.target == "web":
        import torch

        x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
        return net.extract(x)[0].numpy()
    if options.look == "paper":
        return enhance_plainly(net, image).transpose(2, 0, 1)
    from sgz.enhancer import Enhancer  # late: the paper's path needs no compiled kernel

    enhancer = Enhancer(
        options.weight_dir,
        net.scale_factor,
        net.iterations,
        device="cpu",
        conv_type=net.conv_type,
        look="natural",
        denoise="off",
    )
    return enhancer(image).transpose(2, 0, 1)


def sample_picture(size: Size, seed: int) -> np.ndarray:
    """[H, W, 3] float32: a dark scene with a lamp, an offset and some grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    ground = 0.03 + 0.1 * x / size[1] + 0.05 * np.sin(y / 9)
    lamp = 0.8 * np.exp(-((x - size[1] / 3) ** 2 + (y - size[0] / 3) ** 2) / (0.02 * size[0] ** 2))
    picture = (ground + lamp)[..., None] * np.array([1, 0.8, 0.6])
    picture = picture + 0.02 + 0.01 * rng.standard_normal((*size, 3))
    return picture.clip(0, 1).astype(np.float32)


# --- how each is written and read


def write_obs(net: EnhanceNet, size: Size, look: str, path: Path) -> None:
    """The .onnx, and beside it ONNX Runtime's own format, both ways that its converter has."""
    path.write_bytes(static_method_to_onnx(net, *size, look))
    command = [sys.executable, "-m", "onnxruntime.tools.convert_onnx_models_to_ort", path.parent]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for listing in path.parent.glob("required_operators*.config"):
        listing.unlink()
    if done.returncode:
        raise UserError(
            "ONNX Runtime's converter to .ort failed "
            f"({(done.stderr.strip() or 'no reason given').splitlines()[-1]}); "
            "pip install --upgrade onnxruntime"
        )


def write_ffmpeg(net: EnhanceNet, size: Size | None, look: str, path: Path) -> None:
    """An .onnx of any height and width, or of one size."""
    content = static_method_to_onnx(net, *size, look) if size else method_to_onnx(net)
    path.write_bytes(content)


def read_onnx(path: Path) -> Run:
    """As programs do that take the first input and output by index."""
    session = open_session(path)
    name = session.get_inputs()[0].name
    return lambda image: session.run(None, {name: image})[0]


TARGETS = {
    "obs": Target(
        "semantic_guided_llie_{size}.onnx",
        (180, 324),
        write_obs,
        read_onnx,
        looks=("paper", "natural"),
    ),
    "ffmpeg": Target("sgz_ffmpeg.onnx", None, write_ffmpeg, read_onnx, looks=("paper", "natural")),
    "web": Target(
        "sgz.onnx",
        None,
        lambda net, size, look, path: path.write_bytes(network_to_onnx(net)),
        read_onnx,
    ),
    "litert": Target(
        "sgz_{size}.tflite",
        (360, 648),
        phones.to_litert,
        phones.run_litert,
        looks=("paper", "natural"),
    ),
    "coreml": Target(
        "sgz_{size}.mlpackage",
        (360, 648),
        phones.to_coreml,
        phones.run_coreml,
        looks=("paper", "natural"),
    ),
    "tfjs": Target(
        "tfjs_model_semantic_guided_llie_{size}",
        (360, 648),
        tfjs.to_tfjs,
        tfjs.run_tfjs,
        looks=("paper", "natural"),
    ),
}
