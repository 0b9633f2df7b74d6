"""The command lines: one parser builder per script. Nothing is parsed on import."""

import argparse
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path


def boolean(text: str) -> bool:
    """True or False from what people type."""
    words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    try:
        return words[text.lower()]
    except KeyError:
        raise argparse.ArgumentTypeError(f"expected True or False, not {text!r}") from None


def positive(kind: type, zero: bool = False):
    """An argparse type: a finite number above zero, or from zero."""

    def parse(text: str):
        value = kind(text)
        if not (0 <= value < float("inf")) or (value == 0 and not zero):
            raise ValueError
        return value

    parse.__name__ = f"{'non-negative' if zero else 'positive'} {kind.__name__}"
    return parse


# What an objective changes of the defaults below.
OBJECTIVE_DEFAULTS = {
    "code": {},
    "paper": {
        "lr": 1e-4,
        "tv_weight": 1.0,
        "spatial_weight": 1.0,
        "colour_weight": 1.0,
        "exposure_weight": 1.0,
        "seg_weight": 0.1,
        "init": "paper",
    },
}
COUNT, SIZE = positive(int, zero=True), positive(int)
AMOUNT, RATE = positive(float, zero=True), positive(float)


def new_parser(description: str) -> argparse.ArgumentParser:
    """A parser that shows every default in its help."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )


def add_checkpoint_option(parser: argparse._ActionsContainer) -> None:
    """The weights to work with."""
    parser.add_argument(
        "--weight_dir", type=Path, default=Path("weight/Epoch99.pth"), help="checkpoint"
    )


def add_network_options(parser: argparse._ActionsContainer, scale_factor: int) -> None:
    """What decides the network."""
    parser.add_argument(
        "--scale_factor",
        type=SIZE,
        default=scale_factor,
        help="the network sees the image shrunk by this whole number",
    )
    parser.add_argument(
        "--conv_type",
        choices=("dsc", "tc", "dc"),
        default="dsc",
        help="dsc depthwise separable, tc plain 3x3, dc dilated 3x3 (our reading: "
        "the authors name it without code)",
    )


def add_model_options(parser: argparse._ActionsContainer, scale_factor: int) -> None:
    """What decides the network and where it runs."""
    add_network_options(parser, scale_factor)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, …")


def train_parser() -> argparse.ArgumentParser:
    """Options of train.py; the defaults are the released code's."""
    parser = new_parser("Train the network on a folder of dark photographs, without references.")

    data = parser.add_argument_group("data")
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
        "--train_batch_size", type=SIZE, default=6, help="images per step, of each process"
    )
    data.add_argument("--num_workers", type=COUNT, default=4, help="processes that read images")
    data.add_argument(
        "--cache_gb",
        type=AMOUNT,
        default=4.0,
        help="memory of each process for decoded images; those beyond it go to --cache_dir",
    )
    data.add_argument(
        "--cache_dir",
        type=Path,
        default=Path("~/.cache/sgz"),
        help="folder for the images that --cache_gb does not hold; it may be deleted at any time",
    )
    data.add_argument(
        "--val_images_path",
        type=Path,
        default=None,
        help="folder to measure the losses on after each epoch; "
        "with low/ and high/ in it, also PSNR and SSIM",
    )
    data.add_argument("--val_batch_size", type=SIZE, default=8, help="images per validation step")

    run = parser.add_argument_group("run")
    run.add_argument("--num_epochs", type=SIZE, default=100, help="passes over the data")
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
    add_model_options(run, scale_factor=1)
    run.add_argument("--seed", type=COUNT, default=0, help="of weights, order and augmentation")

    optimiser = parser.add_argument_group("optimiser")
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

    losses = parser.add_argument_group(
        "losses", "A weight of 0 leaves a loss out (the paper's Table 2)."
    )
    losses.add_argument(
        "--objective",
        choices=tuple(OBJECTIVE_DEFAULTS),
        default="code",
        help="the released code's losses, or the paper's equations 2 to 6; paper also changes "
        f"these defaults: {', '.join(f'{k} {v}' for k, v in OBJECTIVE_DEFAULTS['paper'].items())}",
    )
    losses.add_argument("--tv_weight", type=AMOUNT, default=1600.0, help="smooth factor map")
    losses.add_argument("--spatial_weight", type=AMOUNT, default=1.0, help="keep local contrast")
    losses.add_argument("--colour_weight", type=AMOUNT, default=5.0, help="gray-world colours")
    losses.add_argument("--exposure_weight", type=AMOUNT, default=10.0, help="brightness level")
    losses.add_argument(
        "--seg_weight", type=AMOUNT, default=0.1, help="semantic guide; 0 leaves it out altogether"
    )
    losses.add_argument(
        "--channel_weight",
        type=AMOUNT,
        default=0.0,
        help="one factor for all three colours (not the authors')",
    )
    losses.add_argument(
        "--tone_weight",
        type=AMOUNT,
        default=0.0,
        help="lightness follows a gamma that fits the darkness (not the authors', see tone.py)",
    )
    losses.add_argument(
        "--tone_gammas",
        type=RATE,
        nargs=7,
        default=(0.03, 0.05, 0.16, 0.26, 0.37, 0.40, 0.51),
        metavar="GAMMA",
        help="its exponents for a lightness in view of 0, 0.03, 0.06, 0.12, 0.25, 0.5, 0.9",
    )
    losses.add_argument(
        "--tone_limit",
        type=RATE,
        default=0.34,
        help="largest brightening factor aimed at, up to 1",
    )
    losses.add_argument(
        "--exposure_patch", type=SIZE, default=16, help="region of the exposure loss"
    )
    losses.add_argument(
        "--keep_bright",
        action="store_true",
        help="images brighter than --exp_level aim at their own brightness",
    )
    losses.add_argument(
        "--patch_size", type=SIZE, default=4, help="region of the spatial loss (Table 3: 3, 4, 5)"
    )
    losses.add_argument(
        "--exp_level", type=AMOUNT, default=0.6, help="target of brightness (Table 3: 0.5 to 0.7)"
    )

    guide = parser.add_argument_group("semantic guide", "Frozen; see also --seg_weight.")
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
    return parser


def train_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of train.py: what is given, else the defaults of the objective."""
    parser = train_parser()
    parser.set_defaults(**OBJECTIVE_DEFAULTS[parser.parse_args(arguments).objective])
    return parser.parse_args(arguments)


def test_parser() -> argparse.ArgumentParser:
    """Options of test.py."""
    parser = new_parser("Enhance a photograph or a folder of them.")
    parser.add_argument(
        "--input_dir",
        type=Path,
        default=Path("data/test_data/"),
        help="an image, or a folder searched recursively",
    )
    add_checkpoint_option(parser)
    parser.add_argument(
        "--test_dir",
        type=Path,
        default=Path("test_output"),
        help="where the enhanced images go, in the same tree",
    )
    add_enhancer_options(parser)
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


def video_parser() -> argparse.ArgumentParser:
    """Options of demo/make_video.py."""
    parser = new_parser("Enhance a video, or go from a video to frames (V2I) and back (I2V).")
    parser.add_argument(
        "--video_path",
        type=Path,
        default=Path("demo/Movie/sample.mp4"),
        help="the low-light video; for I2V, whose timing and colour tags the frames get",
    )
    parser.add_argument(
        "--image_lowlight_folder",
        type=Path,
        default=Path("data/test_data/Frames"),
        help="V2I: where the low-light frames go, as %%06d.png, or a pattern like Frames/%%d.jpg",
    )
    parser.add_argument(
        "--image_folder",
        type=Path,
        default=Path("data/test_output/Frames"),
        help="I2V: the enhanced frames, in natural order",
    )
    parser.add_argument(
        "--save_path", type=Path, default=Path("demo/Movie/Res.mp4"), help="the enhanced video"
    )
    parser.add_argument(
        "--choice",
        choices=("V2I", "I2V"),
        default=None,
        help="video to images, or images to video; left out, the video is enhanced as it streams",
    )
    add_checkpoint_option(parser)
    add_enhancer_options(parser)
    parser.add_argument(
        "--smoothing",
        type=AMOUNT,
        default=0.5,
        help="seconds each way over which a frame's factor map is averaged, against flicker; "
        "0 turns it off",
    )
    parser.add_argument(
        "--codec", choices=("h264", "hevc", "vp9", "av1"), default="h264", help="of the output"
    )
    parser.add_argument(
        "--crf",
        type=COUNT,
        default=None,
        help="quality, lower is better; left out: 17 h264, 19 hevc, 24 vp9, 23 av1",
    )
    parser.add_argument(
        "--preset",
        default=None,
        help="speed of the encoder: ultrafast … veryslow for h264 (veryfast) and hevc (fast), "
        "0 … 8 for vp9 (5), 0 … 13 for av1 (8)",
    )
    parser.add_argument(
        "--pix_fmt",
        default=None,
        help="pixel format of the output, such as yuv420p, which all browsers play; left out, as "
        "near to the source's as the codec has",
    )
    parser.add_argument(
        "--fps", type=Fraction, default=None, help="I2V: frames per second, if there is no video"
    )
    parser.add_argument(
        "--keep_partial",
        action="store_true",
        help="when interrupted, keep what is done as a shorter video that plays",
    )
    return parser


def browser_parser() -> argparse.ArgumentParser:
    """Options of demo/browser/prepare.py."""
    parser = new_parser("Fetch what the browser's page runs on, and write the network beside it.")
    add_checkpoint_option(parser)
    parser.add_argument(
        "--page_dir", type=Path, default=Path("demo/browser"), help="the folder with the page"
    )
    return parser


def add_enhancer_options(parser: argparse._ActionsContainer) -> None:
    """What an Enhancer is built from, but for the checkpoint."""
    add_model_options(parser, scale_factor=12)
    parser.add_argument(
        "--iterations",
        type=COUNT,
        default=8,
        help="how often the curve is applied; fewer brighten less",
    )
    parser.add_argument(
        "--strength",
        type=AMOUNT,
        default=1.0,
        help="multiplies the brightening; 0 leaves the image as it is",
    )
    parser.add_argument(
        "--auto_exposure",
        action="store_true",
        help="brighten each picture more or less as its mean asks for (not the paper's)",
    )


def benchmark_parser() -> argparse.ArgumentParser:
    """Options of benchmark.py."""
    parser = new_parser("Measure speed, memory and exactness on this machine.")
    add_checkpoint_option(parser)
    parser.add_argument("--scale_factor", type=SIZE, default=12, help="as in test.py")
    parser.add_argument("--rounds", type=SIZE, default=15, help="measured calls a path")
    parser.add_argument(
        "--charts",
        type=Path,
        default=None,
        metavar="FOLDER",
        help="also draw PNG charts there (needs matplotlib)",
    )
    return parser


def benchmark_video_parser() -> argparse.ArgumentParser:
    """Options of benchmark_video.py."""
    parser = new_parser("Measure the speed of video on this machine.")
    add_checkpoint_option(parser)
    parser.add_argument(
        "--video",
        type=Path,
        default=None,
        help="a dark video, enlarged to 1920x1080; a made pattern if left out",
    )
    parser.add_argument("--frames", type=SIZE, default=120, help="of the video to be used")
    parser.add_argument("--rounds", type=SIZE, default=5, help="measured runs of each way")
    return parser


def demo_parser() -> argparse.ArgumentParser:
    """Options of demo/app.py."""
    parser = new_parser("A web page that enhances photos, videos and the camera's picture.")
    parser.add_argument(
        "--host",
        default=None,
        help="address to listen at; left out: $GRADIO_SERVER_NAME, else 127.0.0.1, this machine "
        "alone; 0.0.0.0 lets others in",
    )
    parser.add_argument("--port", type=SIZE, default=7860, help="port to listen at")
    parser.add_argument(
        "--share",
        action="store_true",
        help="also a public address, through the tunnel of gradio's makers",
    )
    add_checkpoint_option(parser)
    add_model_options(parser, scale_factor=12)
    parser.add_argument("--max_megapixels", type=RATE, default=50.0, help="refuse larger photos")
    parser.add_argument("--max_mb", type=RATE, default=100.0, help="refuse larger files")
    parser.add_argument("--max_seconds", type=RATE, default=60.0, help="refuse longer videos")
    return parser


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


def methods_parser() -> argparse.ArgumentParser:
    """Options of docs/make_methods.py."""
    parser = new_parser("Compare methods on the pairs and on DICM: tables and a figure.")
    parser.add_argument(
        "--ours", type=Path, default=Path("weight/Epoch99.pth"), help="the checkpoint called ours"
    )
    parser.add_argument(
        "--shared",
        type=Path,
        default=Path("../shared"),
        help="folder with data/pairs, data/dicm and weights of the published checkpoints",
    )
    parser.add_argument(
        "--work", type=Path, default=Path("methods"), help="where the results go, as PNG"
    )
    return parser


def named_folder(text: str) -> tuple[str, Path]:
    """NAME=FOLDER."""
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise argparse.ArgumentTypeError(f"expected NAME=FOLDER, not {text!r}")
    return name, Path(folder)


def evaluate_parser() -> argparse.ArgumentParser:
    """Options of evaluate.py."""
    parser = new_parser("Score folders of images: one method, or several side by side.")
    parser.add_argument(
        "--task",
        choices=("quality", "segmentation"),
        default="quality",
        help="quality of the images, or what a frozen segmentation network makes of them",
    )

    data = parser.add_argument_group("images, matched by relative name without suffix")
    data.add_argument("--result_dir", type=Path, help="one method's results, folder or file")
    data.add_argument(
        "--compare",
        type=named_folder,
        nargs="+",
        default=(),
        metavar="NAME=FOLDER",
        help="several methods' results",
    )
    data.add_argument("--reference_dir", type=Path, help="what they should look like")
    data.add_argument("--input_dir", type=Path, help="what they were made from")

    protocol = parser.add_argument_group("protocol")
    protocol.add_argument(
        "--metrics",
        nargs="+",
        default=("auto",),
        metavar="NAME",
        help="auto: with references psnr ssim mae mse, without niqe brisque loe mean_luma "
        "newly_clipped; all: whatever the folders allow; pyiqa:NAME: of IQA-PyTorch",
    )
    protocol.add_argument(
        "--ssim", choices=("rgb", "luma"), default="rgb", help="luma has the Gaussian window"
    )
    protocol.add_argument(
        "--niqe_colour",
        choices=("studio", "studio_rounded", "full"),
        default="studio",
        help="luma in 16..235 as Python toolboxes, or 0..255 as the authors' release",
    )
    protocol.add_argument(
        "--niqe_border", type=COUNT, default=0, help="pixels cut off each side for NIQE"
    )
    protocol.add_argument(
        "--loe",
        choices=("step", "100x100"),
        default="step",
        help="small versions for LOE: every n-th local maximum, or shrunk to 100x100",
    )
    protocol.add_argument(
        "--gt_mean",
        action="store_true",
        help="rescale results to their reference's mean first; INFLATES scores, marked as such",
    )
    protocol.add_argument(
        "--crop_to_match", action="store_true", help="crop different sizes to their common part"
    )

    segmentation = parser.add_argument_group("task segmentation")
    segmentation.add_argument("--pred_dir", type=Path, help="predicted label maps")
    segmentation.add_argument("--label_dir", type=Path, help="true label maps")
    segmentation.add_argument("--num_classes", type=SIZE, help="classes are 0 to this less one")
    segmentation.add_argument("--ignore_index", type=COUNT, help="label that does not count")
    segmentation.add_argument("--class_names", nargs="+", metavar="NAME", help="for the table")
    segmentation.add_argument(
        "--seg_model",
        type=Path,
        help="network as .onnx or TorchScript .pt that predicts from --input_dir and the results",
    )
    segmentation.add_argument(
        "--seg_normalise",
        choices=("none", "imagenet"),
        default="none",
        help="what the network expects of values in [0, 1]",
    )

    output = parser.add_argument_group("output")
    output.add_argument(
        "--format",
        choices=("text", "markdown", "csv", "json"),
        default="text",
        help="what is printed",
    )
    output.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help="write report.html, samples.png, scores.md, scores.csv and scores.json here",
    )
    output.add_argument("--samples", type=COUNT, default=4, help="images in samples.png")
    output.add_argument("--sample_names", nargs="+", metavar="NAME", help="which, instead")

    run = parser.add_argument_group("run")
    run.add_argument("--num_workers", type=COUNT, default=0, help="processes; 0: one per core")
    run.add_argument("--device", default="auto", help="of pyiqa metrics and TorchScript networks")
    return parser


def export_parser() -> argparse.ArgumentParser:
    """Options of export.py."""
    parser = new_parser("Write the model as one file for other programs, and check that file.")
    parser.add_argument(
        "--format", choices=("onnx", "torchscript", "torch_export"), default="onnx", help="of file"
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
        help="the file; left out: sgz.onnx, sgz.pt (torchscript) or sgz.pt2 (torch_export)",
    )
    parser.add_argument("--iterations", type=SIZE, default=8, help="how often the curve is applied")
    add_network_options(parser, scale_factor=12)
    return parser
