"""The command lines of train.py and test.py. Nothing is parsed on import."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from sgz.command import (
    AMOUNT,
    COUNT,
    RATE,
    SIZE,
    add_device_option,
    add_engine_options,
    add_enhancer_options,
    add_network_options,
    boolean,
    new_parser,
    place,
)
from sgz.method import LOSS_WEIGHTS

DEFAULT_EPOCHS = 100
WEIGHT_OPTIONS = {"semantic": "seg"}  # the others are called as the loss is
CODE_WEIGHTS = LOSS_WEIGHTS["code"]
# What an objective changes of train.py's defaults.
OBJECTIVE_DEFAULTS = {
    "code": {},
    "paper": {
        "lr": 1e-4,
        **{f"{WEIGHT_OPTIONS.get(k, k)}_weight": w for k, w in LOSS_WEIGHTS["paper"].items()},
        "init": "paper",
    },
}


def add_checkpoint_option(parser: argparse._ActionsContainer) -> None:
    """The weights to work with."""
    parser.add_argument(
        "--weight_dir", type=Path, default=Path("weight/Epoch99.pth"), help="checkpoint"
    )


def train_parser() -> argparse.ArgumentParser:
    """Options of train.py; the defaults are the released code's."""
    parser = new_parser("Train the network on a folder of dark photographs, without references.")
    add_data_options(parser.add_argument_group("data"))
    add_run_options(parser.add_argument_group("run"))
    add_optimiser_options(parser.add_argument_group("optimiser"))
    add_loss_options(
        parser.add_argument_group(
            "losses", "A weight of 0 leaves a loss out (the paper's Table 2)."
        )
    )
    add_guide_options(parser.add_argument_group("semantic guide", "Frozen; see also --seg_weight."))
    return parser


def add_data_options(data: argparse._ActionsContainer) -> None:
    """Which images, and how they are read."""
    data.add_argument(
        "--lowlight_images_path",
        type=Path,
        default=Path("data/train_data/"),
        help="folder of images, searched recursively",
    )
    data.add_argument(
        "--image_size", type=SIZE, default=512, help="images are resized to this many pixels square"
    )
    data.add_argument(
        "--darken",
        type=AMOUNT,
        default=0.0,
        help="multiply each image by exp(-DARKEN * u), u uniform in [0, 1)",
    )
    data.add_argument(
        "--cutmix",
        type=AMOUNT,
        default=0.0,
        help="the share of images into which an ellipse of another one is cut",
    )
    data.add_argument(
        "--train_batch_size", type=SIZE, default=6, help="images per step, of each process"
    )
    data.add_argument("--num_workers", type=COUNT, default=4, help="processes that read images")
    data.add_argument(
        "--cache_dir",
        type=Path,
        default=Path("~/.cache/sgz"),
        help="folder for the decoded images, ready for the next run; it may be deleted at any time",
    )
    data.add_argument(
        "--val_images_path",
        type=Path,
        default=None,
        help="folder to measure the losses on after each epoch; "
        "with low/ and high/ in it, also PSNR and SSIM",
    )
    data.add_argument("--val_batch_size", type=SIZE, default=8, help="images per validation step")


def add_run_options(run: argparse._ActionsContainer) -> None:
    """How long, where to, and on what."""
    run.add_argument(
        "--num_epochs",
        type=SIZE,
        default=DEFAULT_EPOCHS,
        help="passes over the data, of the whole run: a resumed one goes on to as many",
    )
    run.add_argument(
        "--more_epochs",
        type=SIZE,
        default=None,
        help="of a finished run that --pretrain_dir names: so many further ones",
    )
    run.add_argument(
        "--snapshots_folder",
        type=Path,
        default=Path("weight/"),
        help="where Epoch{n}.pth and Epoch{n}.resume go",
    )
    run.add_argument("--snapshot_iter", type=SIZE, default=10, help="steps between snapshots")
    run.add_argument("--display_iter", type=SIZE, default=10, help="steps between log lines")
    run.add_argument(
        "--load_pretrain",
        type=boolean,
        nargs="?",
        const=True,
        default=False,
        help="go on from --pretrain_dir; True or False, alone it means True",
    )
    run.add_argument(
        "--pretrain_dir",
        type=Path,
        default=Path("weight/Epoch99.pth"),
        help="checkpoint to go on from",
    )
    run.add_argument(
        "--tracker",
        choices=("none", "tensorboard"),
        default="none",
        help="record the run there too, besides log.csv and the pictures",
    )
    run.add_argument(
        "--mixed_precision",
        choices=("no", "fp16", "bf16"),
        default=None,
        help="as accelerate's; None: what `accelerate launch` was told, else no",
    )
    add_network_options(run, scale_factor=1)
    add_device_option(run)
    run.add_argument("--seed", type=COUNT, default=0, help="of weights, order and augmentation")


def add_optimiser_options(optimiser: argparse._ActionsContainer) -> None:
    """How steps are taken."""
    optimiser.add_argument("--lr", type=RATE, default=1e-3, help="learning rate of Adam")
    optimiser.add_argument(
        "--schedule",
        choices=("constant", "cosine"),
        default="constant",
        help="of the learning rate over the run",
    )
    optimiser.add_argument("--weight_decay", type=AMOUNT, default=1e-3, help="L2 penalty of Adam")
    optimiser.add_argument(
        "--grad_clip_norm", type=RATE, default=0.1, help="largest norm of a step's gradient"
    )
    optimiser.add_argument(
        "--gradient_accumulation_steps",
        type=SIZE,
        default=1,
        help="batches for one step: as good as a batch that many times as large",
    )
    optimiser.add_argument(
        "--init",
        choices=("torch", "paper"),
        default="torch",
        help="how the network starts: torch's way, as the released code, or N(0, 0.02)",
    )


def add_loss_options(losses: argparse._ActionsContainer) -> None:
    """What is minimised."""
    losses.add_argument(
        "--objective",
        choices=tuple(OBJECTIVE_DEFAULTS),
        default="code",
        help="the released code's losses, or the paper's equations 2 to 6; paper also changes "
        f"these defaults: {', '.join(f'{k} {v}' for k, v in OBJECTIVE_DEFAULTS['paper'].items())}",
    )
    losses.add_argument(
        "--tv_weight", type=AMOUNT, default=CODE_WEIGHTS["tv"], help="smooth factor map"
    )
    losses.add_argument(
        "--spatial_weight", type=AMOUNT, default=CODE_WEIGHTS["spatial"], help="keep local contrast"
    )
    losses.add_argument(
        "--colour_weight", type=AMOUNT, default=CODE_WEIGHTS["colour"], help="gray-world colours"
    )
    losses.add_argument(
        "--exposure_weight", type=AMOUNT, default=CODE_WEIGHTS["exposure"], help="brightness level"
    )
    losses.add_argument(
        "--seg_weight",
        type=AMOUNT,
        default=CODE_WEIGHTS["semantic"],
        help="semantic guide; 0 leaves it out altogether",
    )
    losses.add_argument(
        "--exposure_patch", type=SIZE, default=16, help="region of the exposure loss"
    )
    losses.add_argument(
        "--patch_size", type=SIZE, default=4, help="region of the spatial loss (Table 3: 3, 4, 5)"
    )
    losses.add_argument(
        "--exp_level", type=AMOUNT, default=0.6, help="target of brightness (Table 3: 0.5 to 0.7)"
    )


def add_guide_options(guide: argparse._ActionsContainer) -> None:
    """The network that the semantic loss asks."""
    guide.add_argument(
        "--seg_model",
        default="fpn_resnet50",
        help="fpn_resnet50 (the paper's), a torchvision segmentation network "
        "(lraspp_mobilenet_v3_large, deeplabv3_resnet50, fcn_resnet50, …) or a TorchScript file "
        "from images in [0, 1] to logits",
    )
    guide.add_argument(
        "--seg_weights",
        default="auto",
        help="imagenet (its backbone), voc (a whole torchvision network), none (random), a file, "
        "or auto: imagenet for fpn_resnet50, voc for others, random if they cannot be downloaded",
    )
    guide.add_argument(
        "--seg_init",
        default="gaussian",
        help="how the head of fpn_resnet50 starts: gaussian or a file (the paper's Table 4)",
    )
    guide.add_argument("--num_of_SegClass", type=SIZE, default=21, help="classes of the guide")


def train_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of train.py: what is given, else the defaults of the objective."""
    parser = train_parser()
    parser.set_defaults(**OBJECTIVE_DEFAULTS[parser.parse_args(arguments).objective])
    return parser.parse_args(arguments)


def ways_to_go_on(checkpoint: Path, num_epochs: int) -> str:
    """The options that go on with a run that was stopped."""
    given = "" if num_epochs == DEFAULT_EPOCHS else f" --num_epochs {num_epochs}"
    return f"--load_pretrain True --pretrain_dir {checkpoint}{given}"


def ways_to_shorten(options: argparse.Namespace, on_gpu: bool) -> str:
    """The options that shorten a run, and by what."""
    ways = []
    if options.seg_weight:
        ways.append("--seg_weight 0 leaves out the semantic guide, a ResNet-50 by default")
    if options.image_size > 128:
        half = options.image_size // 2
        ways.append(f"--image_size {half} has a quarter of the pixels")
    if options.num_epochs > 1:
        ways.append(f"--num_epochs {-(-options.num_epochs // 2)} half of it")
    return "; ".join(ways + ([] if on_gpu else ["a GPU far less"]))


def test_parser() -> argparse.ArgumentParser:
    """Options of test.py."""
    parser = new_parser("Enhance a photograph or a folder of them.")
    parser.add_argument(
        "source", metavar="INPUT", nargs="?", type=place, help="the same as --input_dir"
    )
    parser.add_argument(
        "--input_dir",
        type=place,
        default=Path("data/test_data/"),
        help="an image, or a folder searched recursively",
    )
    add_checkpoint_option(parser)
    parser.add_argument(
        "--test_dir",
        type=place,
        default=Path("test_output"),
        help="where the enhanced images go, in the same tree",
    )
    add_enhancer_options(parser)
    add_engine_options(parser)
    parser.add_argument(
        "--format",
        choices=("png", "jpg", "tif", "webp", "bmp", "avif"),
        default=None,
        help="type of the outputs; as the inputs if left out",
    )
    parser.add_argument(
        "--skip_existing",
        action="store_true",
        help="leave out images whose output is there: go on after an interruption",
    )
    parser.add_argument(
        "--paper_crop",
        action="store_true",
        help="crop to multiples of the scale factor, as the authors' code does",
    )
    parser.add_argument(
        "--reference",
        action="store_true",
        help="one image after another through the plain network in float32: slow, to compare with",
    )
    parser.add_argument(
        "--max_megapixels",
        type=RATE,
        default=300.0,
        help="refuse larger images, which may be decompression bombs",
    )
    return parser


def test_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of test.py; an image or folder given by itself is its --input_dir."""
    options = test_parser().parse_args(arguments)
    options.input_dir = options.source or options.input_dir
    return options
