"""Make every table of the documentation from the folder data/; what is absent is skipped and named.

python benchmarks/reproduce.py
python benchmarks/reproduce.py --only pairs dicm

docs/reproduce.md says where each data set comes from and where it goes.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run from anywhere

from sgz.command import new_parser, run_script
from sgz.errors import UserError

DAYLIGHT = ("astronaut", "coffee", "chelsea", "rocket", "stereo_motorcycle")
# Of LOL's training part, our485; every figure on "the pairs" is over these.
PAIRS = (
    113, 125, 139, 154, 176, 195, 2, 21, 210, 228, 241, 254, 330, 42, 474, 486, 499, 515, 532, 545,
    558, 56, 570, 586, 600, 614, 628, 644, 659, 675, 687, 699, 70, 714, 726, 738, 757, 771, 86, 99,
)  # fmt: skip
LIGHTS = (1, 4, 8)  # what of the dusk's light is left: 1 in so many
SEG_SCALES = (1, 1.5, 2)
NOISY = ["--look", "natural", "--denoise", "off"]


@dataclass(frozen=True)
class Table:
    """A table: what it needs of the data folder, and what makes it, from data and work folders."""

    needs: tuple[str, ...]
    make: Callable[[Path, Path], None]


def run(*arguments: object) -> None:
    """Run a script of the project; UserError when it fails."""
    command = [sys.executable, *map(str, arguments)]
    print(f"\n$ python {' '.join(command[1:])}", flush=True)
    if code := subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise UserError(f"{arguments[0]} ended with exit code {code}")


def methods(data: Path) -> Iterator[tuple[str, list[object]]]:
    """(name, arguments of test.py) of each method; the published checkpoints where they are."""
    published = {
        "zero_dce_pp": data / "published/zero_dce_pp_Epoch99.pth",
        "authors": data / "published/sgz_official_Epoch99.pth",
    }
    for name, path in published.items():
        if path.is_file():
            yield name, ["--weight_dir", path]
            yield f"{name}_natural", ["--weight_dir", path, "--look", "natural"]
    yield "ours", []
    yield "ours_natural", ["--look", "natural"]


def enhance(source: Path, target: Path, options: list[object]) -> None:
    """A folder by test.py, as PNGs."""
    run("test.py", "--input_dir", source, "--test_dir", target, "--format", "png", *options)


def enhance_by_all(data: Path, source: Path, work: Path) -> list[object]:
    """Enhance a folder by every method; the arguments with which evaluate.py compares them."""
    results = []
    for name, options in methods(data):
        target = work / name
        enhance(source, target, options)
        results.append(f"{name}={target}")
    return ["evaluate.py", "--format", "markdown", "--compare", *results]


def make_pairs(data: Path, work: Path) -> None:
    """PSNR, SSIM and the rest on 40 of LOL's training pairs."""
    for side in ("low", "high"):
        (work / side).mkdir(parents=True, exist_ok=True)
        for name in PAIRS:
            link = work / side / f"{name}.png"
            link.unlink(missing_ok=True)
            link.symlink_to((data / "LOL/our485" / side / f"{name}.png").resolve())
    low, high = work / "low", work / "high"
    run(
        *enhance_by_all(data, low, work),
        *("--input_dir", low, "--reference_dir", high),
        *("--metrics", "psnr", "ssim", "niqe", "loe", "newly_clipped"),
    )


def make_dicm(data: Path, work: Path) -> None:
    """What needs no reference, on DICM."""
    source = data / "test_data/DICM"
    table = enhance_by_all(data, source, work)
    run(*table, "--input_dir", source, "--metrics", "niqe", "loe", "newly_clipped")


def make_daylight(data: Path, work: Path) -> None:
    """How far photographs that are bright already are from themselves afterwards."""
    from skimage import data as photographs

    source = work / "bright"
    for name in DAYLIGHT:
        photo = getattr(photographs, name)()
        save(photo[0] if isinstance(photo, tuple) else photo, source / f"{name}.png")
    table = enhance_by_all(data, source, work)
    # Without the input, whose own PSNR to itself is infinite and would leave nothing to compare.
    run(*table, "--reference_dir", source, "--metrics", "psnr")
    run(*table, "--input_dir", source, "--metrics", "newly_clipped")


def make_segmentation(data: Path, work: Path) -> None:
    """What a network that was trained by day makes of dusk, as it is and in 1/4 and 1/8 light."""
    import numpy as np

    from evaluation.camera import darken

    options = [
        *("--task", "segmentation", "--seg_model", data / "published/espnetv2_cityscapes.pt"),
        *("--classes", ROOT / "docs/cityscapes_to_camvid.json", "--ignore_index", "11"),
        *("--label_dir", data / "camvid_dusk/labels", "--num_workers", "1"),
    ]
    frames = sorted((data / "camvid_dusk/images").iterdir())
    for cut in LIGHTS:
        folder, rng = work / f"1_{cut}", np.random.default_rng(0)
        results = {name: folder / name for name in ("input", "gamma", "ours_natural_denoise_off")}
        for path in frames:
            frame = load(path)
            dark = frame if cut == 1 else darken(frame, cut, rng)
            save(dark, results["input"] / path.name)
            save(np.round(255 * (dark / 255) ** (1 / 2.2)), results["gamma"] / path.name)
        looks = {**dict(methods(data)), "ours_natural_denoise_off": NOISY}
        for name, arguments in looks.items():
            if not name.startswith("zero_dce"):
                results[name] = folder / name
                enhance(results["input"], results[name], arguments)
        source = results.pop("input")
        compared = [f"{name}={target}" for name, target in results.items()]
        for scale in SEG_SCALES:
            print(f"\n1/{cut} of the light, frames enlarged by {scale}", flush=True)
            run(
                *("evaluate.py", "--format", "markdown", "--seg_scale", scale, *options),
                *("--input_dir", source, "--compare", *compared),
            )
    draw_segmentation(data, work, frames[0].name)


def draw_segmentation(data: Path, work: Path, name: str) -> None:
    """One frame of make_segmentation's folders, as it is and in least light: segmentation.jpg."""
    from benchmarks.figures import segmentation_figure
    from evaluation.segmentation import read_labels
    from evaluation.segmenter import load_segmenter, read_mapping

    groups = list(read_mapping(ROOT / "docs/cityscapes_to_camvid.json").values())
    network = data / "published/espnetv2_cityscapes.pt"
    rows = [
        [work / f"1_{cut}" / method / name for method in ("input", "ours", "ours_natural")]
        for cut in (LIGHTS[0], LIGHTS[-1])
    ]
    labels = read_labels(data / "camvid_dusk/labels" / name)
    picture = segmentation_figure(rows, labels, load_segmenter(network, "none", groups=groups))
    save(picture[::2, ::2], work / "segmentation.png")
    print(f"drawn: {work / 'segmentation.png'}")


def load(path: Path):
    """An image as uint8 RGB [H, W, 3]."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def save(pixels, path: Path) -> None:
    """Write RGB [H, W, 3] of whole levels 0 to 255."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype("uint8")).save(path, compress_level=1)


def script(name: str, *arguments: str) -> Callable[[Path, Path], None]:
    """A table that a script of benchmarks/ makes; {data} and {work} stand for the folders."""

    def make(data: Path, work: Path) -> None:
        run(f"benchmarks/{name}.py", *(a.format(data=data, work=work) for a in arguments))

    return make


TABLES = {
    "pairs": Table(("LOL/our485/low", "LOL/our485/high"), make_pairs),
    "dicm": Table(("test_data/DICM/01.jpg",), make_dicm),
    "daylight": Table((), make_daylight),
    "segmentation": Table(
        ("camvid_dusk/images", "camvid_dusk/labels", "published/espnetv2_cityscapes.pt"),
        make_segmentation,
    ),
    "speed": Table((), script("images")),
    "training": Table((), script("training")),
    "video": Table((), script("video")),
    "flicker": Table((), script("flicker")),
}


def reproduce_parser() -> argparse.ArgumentParser:
    """Options of this script."""
    parser = new_parser("Make the documentation's tables.")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="folder of the data sets")
    parser.add_argument(
        "--work", type=Path, default=ROOT / "reproduced", help="where enhanced images go"
    )
    parser.add_argument("--only", nargs="+", choices=TABLES, default=tuple(TABLES), help="tables")
    return parser


def main() -> None:
    options = reproduce_parser().parse_args()
    for name in options.only:
        absent = [need for need in TABLES[name].needs if not (options.data / need).exists()]
        print(f"\n## {name}", flush=True)
        if absent:
            print(f"skipped: {options.data / absent[0]} is not there; see docs/reproduce.md")
            continue
        TABLES[name].make(options.data, options.work / name)


if __name__ == "__main__":
    run_script(main)
