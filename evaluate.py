"""Check the numbers: quality of enhanced images, and what a segmentation network makes of them.

python evaluate.py --result_dir test_output/LOL --reference_dir data/LOL/high
python evaluate.py --compare ours=out/sgz zero_dce=out/zero --input_dir data/dark --report report
python evaluate.py --task segmentation --seg_model net.onnx --label_dir data/labels \
    --classes docs/cityscapes_to_camvid.json --ignore_index 11 --input_dir data/dusk
"""

import argparse
import sys
from pathlib import Path

from evaluation import report, tables
from evaluation.matching import DIFFERENT_SIZES, INPUT, REFERENCE
from evaluation.protocol import Protocol
from evaluation.quality import choose_metrics, score_quality
from evaluation.samples import sample_rows
from evaluation.segmentation import score_segmentation
from evaluation.segmenter import load_segmenter, read_mapping
from evaluation.tables import Results
from sgz.command import COUNT, RATE, SIZE, new_parser, run_script, without_native_lines
from sgz.errors import UserError
from sgz.files import write_whole
from sgz.image.photo import Photo, encode_photo

REMEDIES = {
    "device": "try --device cpu",
    "num_workers": "take fewer --num_workers",
    INPUT: "give --input_dir",
    REFERENCE: "give --reference_dir",
    "sample_names": "give --sample_names without suffix",
}


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
    add_data_options(parser.add_argument_group("images, matched by relative name without suffix"))
    add_protocol_options(parser.add_argument_group("protocol"))
    add_segmentation_options(parser.add_argument_group("task segmentation"))
    add_output_options(parser.add_argument_group("output"))
    run = parser.add_argument_group("run")
    run.add_argument("--num_workers", type=COUNT, default=0, help="processes; 0: one per core")
    run.add_argument("--device", default="auto", help="of pyiqa metrics and TorchScript networks")
    return parser


def add_data_options(data: argparse._ActionsContainer) -> None:
    """The folders."""
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


def add_protocol_options(protocol: argparse._ActionsContainer) -> None:
    """What is measured, and how."""
    protocol.add_argument(
        "--metrics",
        nargs="+",
        default=("auto",),
        metavar="NAME",
        help="auto: with references psnr ssim mae mse, without niqe loe mean_luma "
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


def add_segmentation_options(segmentation: argparse._ActionsContainer) -> None:
    """Label maps and networks."""
    segmentation.add_argument("--pred_dir", type=Path, help="predicted label maps")
    segmentation.add_argument("--label_dir", type=Path, help="true label maps")
    segmentation.add_argument("--num_classes", type=SIZE, help="classes are 0 to this less one")
    segmentation.add_argument(
        "--classes",
        type=Path,
        metavar="JSON",
        help='of a network with other classes: {"class": [outputs, ...], ...} in the order of the '
        "labels; in place of --num_classes and --class_names",
    )
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
    segmentation.add_argument(
        "--seg_scale", type=RATE, default=1.0, help="images are enlarged by it for --seg_model"
    )


def add_output_options(output: argparse._ActionsContainer) -> None:
    """What is printed and written."""
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


def main() -> int:
    args = evaluate_parser().parse_args()
    with without_native_lines():
        run = run_segmentation if args.task == "segmentation" else run_quality
        results, paths = run(args)
    for line in (*results.failures, *results.notes, *results.undefined_notes()):
        print(f"evaluate.py: {line}", file=sys.stderr)
    if any(DIFFERENT_SIZES in line for line in results.failures):
        print("evaluate.py: --crop_to_match compares their common part", file=sys.stderr)
    if not results.images():
        raise UserError("no image could be scored")
    print(render(results, args.format))
    if args.report:
        write_report(results, paths, args)
    if results.failures:
        count = len(results.failures)
        print(f"evaluate.py: {count} left out of every mean, see above", file=sys.stderr)
    return 1 if results.failures else 0


def named_methods(args) -> dict[str, Path]:
    """Methods and their folders from --result_dir and --compare."""
    pairs = [*args.compare]
    if args.result_dir:
        pairs.insert(0, (args.result_dir.resolve().name, args.result_dir))
    methods = dict(pairs)
    if len(methods) < len(pairs) or {INPUT, REFERENCE} & set(methods):
        raise UserError(
            f"methods need names of their own, other than {INPUT} and {REFERENCE}: "
            f"{', '.join(name for name, _ in pairs)}; use --compare NAME=FOLDER"
        )
    return methods


def run_quality(args) -> tuple[Results, dict[str, dict[str, Path]]]:
    """Task quality: the results, and the matched paths by image name and role."""
    methods = named_methods(args)
    if not methods:
        raise UserError("nothing to score; give --result_dir FOLDER or --compare NAME=FOLDER …")
    if args.gt_mean and not args.reference_dir:
        raise UserError("--gt_mean needs --reference_dir")
    given = {INPUT: args.input_dir, REFERENCE: args.reference_dir}
    keys = choose_metrics(args.metrics, {r for r, folder in given.items() if folder}, args.device)
    names = ("ssim", "niqe_colour", "niqe_border", "loe", "gt_mean", "crop_to_match", "device")
    protocol = Protocol(**{name: getattr(args, name) for name in names})
    return score_quality(
        methods, keys, protocol, args.input_dir, args.reference_dir, args.num_workers
    )


def class_names(args) -> tuple[list[str], list[list[int]] | None]:
    """The labels' classes, and the outputs that make up each where --classes says so."""
    if args.classes:
        if args.num_classes or args.class_names or not args.seg_model:
            raise UserError("--classes is for --seg_model, without --num_classes and --class_names")
        mapping = read_mapping(args.classes)
        return list(mapping), list(mapping.values())
    if not args.num_classes:
        raise UserError("--task segmentation needs --num_classes N, or --classes JSON")
    names = args.class_names or [f"class {number}" for number in range(args.num_classes)]
    if len(set(names)) != args.num_classes:
        raise UserError(f"{args.num_classes} classes need as many different --class_names")
    return names, None


def run_segmentation(args) -> tuple[Results, dict[str, dict[str, Path]]]:
    """Task segmentation; the matched paths are empty unless the figure can show images."""
    if not args.label_dir:
        raise UserError("--task segmentation needs --label_dir FOLDER")
    names, groups = class_names(args)
    folders = named_methods(args)
    if args.seg_model and args.input_dir:
        folders = {INPUT: args.input_dir, **folders}
    if args.pred_dir:
        if args.seg_model:
            raise UserError("give --pred_dir or --seg_model, not both")
        folders["prediction"] = args.pred_dir
    if not folders:
        raise UserError("nothing to score; give --pred_dir, or --seg_model with --input_dir")
    segment = None
    if args.seg_model:
        segment = load_segmenter(
            args.seg_model, args.seg_normalise, args.device, args.seg_scale, groups
        )
    results, paths = score_segmentation(folders, args.label_dir, names, args.ignore_index, segment)
    if not segment:
        return results, {}
    results.protocol.append(
        f"Predicted by {args.seg_model.name}, frozen, from each method's images, "
        f"enlarged by {args.seg_scale:g}."
    )
    return results, paths


def render(results: Results, form: str) -> str:
    """The results in one of the printed forms."""
    if form == "text":
        return tables.text_table(results, bold=sys.stdout.isatty())
    forms = {
        "markdown": tables.markdown_table,
        "csv": tables.csv_table,
        "json": tables.json_document,
    }
    return forms[form](results).rstrip("\n")


def write_report(results: Results, paths: dict[str, dict[str, Path]], args) -> None:
    """report.html, samples.png and the tables into the folder --report."""
    files = {
        "scores.md": tables.markdown_table(results) + "\n",
        "scores.csv": tables.csv_table(results),
        "scores.json": tables.json_document(results) + "\n",
    }
    rows = sample_rows(results, paths, args.sample_names or (), args.samples, args.crop_to_match)
    title = "Segmentation" if args.task == "segmentation" else "Image quality"
    files["report.html"] = report.html_page(results, f"{title}: {', '.join(results.scores)}", rows)
    for name, text in files.items():
        write_whole(args.report / name, text.encode())
    if rows:
        figure = Photo(report.picture_grid(rows))
        write_whole(args.report / "samples.png", encode_photo(figure, ".png"))
    print(f"evaluate.py: wrote {args.report / 'report.html'}", file=sys.stderr)


if __name__ == "__main__":
    run_script(main, REMEDIES)
