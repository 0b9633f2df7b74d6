"""The command sgz: brighten a photograph, a folder or a video.

    sgz photo.jpg
    sgz data/test_data/samples out
    sgz clip.mp4 bright.mp4
    sgz one.mp4 two.jpg three.mov out/
    ffmpeg -i clip.mp4 -f nut -c:v rawvideo - | sgz - - | ffmpeg -i - bright.mp4
    sgz watch arriving bright

What is heavy is imported once it is known to be needed: `sgz --help` answers at once.
"""

import argparse
import sys
from pathlib import Path

from sgz.command import (
    check_engine,
    enhancer_arguments,
    explain,
    printable,
    run_script,
    without_native_lines,
)
from sgz.errors import UserError
from sgz.files import PIPE, VIDEO_SUFFIXES, find_files, is_pipe, no_images, sweep
from sgz.options import cli_parser, watch_parser

REMEDIES = {
    "target": "choose another OUT",
    "max_pixels": "raise it with --max_megapixels",
    "video": "give it a video's name, such as .mp4",
    "suffix": "choose an OUT that ends in .png",
    "codec": "choose an OUT that ends in .mkv",
    "container": "choose an OUT that ends in .mkv",
    "pix_fmt": "choose an OUT that ends in .mkv",
    "encoding": "choose an OUT that ends in .mkv",
    "device": "try --device cpu",
    "engine": "or leave out --engine ray",
    "start": "choose an earlier --start",
    "segments": "delete it, or choose another OUT; see --resume",
    "address": "see --address, or leave out --engine ray",
    "record": "choose another --report",
    "overwrite": "add --overwrite or --skip_existing, or choose another OUT",
}


def main() -> int:
    if sys.argv[1:2] == ["watch"]:
        return watch(watch_parser().parse_args(sys.argv[2:]))
    options = cli_parser().parse_intermixed_args()
    sources = [options.source, *options.target[:-1]]
    options.target = options.target[-1] if options.target else None
    check_engine(options, *sources, options.target)
    if len(sources) > 1:
        return brighten_several(options, sources)
    if options.engine == "ray":
        return brighten_on_cluster(options)
    return brighten(options)


def brighten(options: argparse.Namespace) -> int:
    """One photograph, folder or video; the exit code."""
    source = options.source
    if source.is_dir():
        return brighten_folder(options)
    if source.suffix.lower() in VIDEO_SUFFIXES or is_pipe(source):
        return brighten_video(options, source, target_file(options, source, video=True))
    return brighten_photo(options, source, target_file(options, source))


def brighten_several(options: argparse.Namespace, sources: list[Path]) -> int:
    """Each of the sources, into a folder; one that fails does not hold up the others."""
    folder, codes = options.target, []
    if options.engine == "ray" or any(map(is_pipe, (*sources, folder))):
        raise UserError("name one IN and one OUT with --engine ray or a pipe")
    if not folder.is_dir() and folder.suffix:
        raise UserError(f"{folder} is no folder; after several IN name the folder they go into")
    folder.mkdir(parents=True, exist_ok=True)
    for source in sources:
        options.source = source
        options.target = folder / source.resolve().name if source.is_dir() else folder
        try:
            codes.append(brighten(options))
        except (UserError, OSError) as error:
            print(f"sgz: {printable(explain(error, REMEDIES))}", file=sys.stderr)
            codes.append(1)
    return max(codes)


def target_file(options: argparse.Namespace, source: Path, video: bool = False) -> Path:
    """Where one file's result goes.

    Raises:
        UserError: there is a file of that name, and nobody said --overwrite.
    """
    if is_pipe(source) and sys.stdin.isatty():
        raise UserError("standard input is a terminal; pipe a video into it, see docs/video.md")
    if is_pipe(options.target or source):
        if sys.stdout.isatty():
            raise UserError("standard output is a terminal; add > FILE or | PROGRAM")
        return Path(PIPE)
    from sgz.image.photo import output_name  # late, as all below: see the module's docstring

    name = source.with_suffix(".mp4") if video else output_name(source)
    if video and source.suffix.lower() in (".mkv", ".mov", ".webm", ".ts", ".m4v"):
        name = source
    target = options.target or name.with_stem(f"{source.stem}-bright")
    if target.is_dir():
        target = target / name.name
    if not source.exists() and not is_pipe(source):
        raise no_images(source)
    if target.exists() and source.exists() and target.samefile(source):
        raise UserError(f"{target} is the input itself", "target")
    if target.exists() and not options.overwrite:
        raise UserError(f"{target} is there already; add --overwrite, or choose another OUT")
    return target


def brighten_photo(options: argparse.Namespace, source: Path, target: Path) -> int:
    """One photograph; the exit code."""
    from sgz.enhancer import Enhancer
    from sgz.errors import ImageError
    from sgz.folder import check_memory, enhance_file
    from sgz.image.photo import FORMAT_OF_SUFFIX, read_photo
    from sgz.machine import free_memory

    if target.suffix.lower() not in FORMAT_OF_SUFFIX:
        raise UserError(f"cannot write a photograph of type {target.suffix or '(none)'}", "suffix")
    enhancer = Enhancer(options.weights, **enhancer_arguments(options))
    max_pixels = round(options.max_megapixels * 1e6)
    try:
        check_memory(source, free_memory(), max_pixels)
        sweep(target.parent)
        with without_native_lines():
            photo = enhance_file(enhancer, source, target, max_pixels)
    except ImageError as error:
        raise UserError(f"{source}: {error}", error.argument) from error
    print(printable(str(target)))
    if options.verbose:
        print(enhancer.treatment(read_photo(source).pixels).describe())
    if photo.frames > 1:
        print("of several frames or pages, the first was taken", file=sys.stderr)
    return 0


def brighten_folder(options: argparse.Namespace) -> int:
    """The photographs under a folder, then its videos; the exit code."""
    from sgz.enhancer import Enhancer
    from sgz.folder import FolderEnhancer

    source = options.source
    target = options.target or source.with_name(f"{source.resolve().name}-bright")
    allowed = options.overwrite or options.skip_existing
    if not allowed and target.is_dir() and any(target.iterdir()):
        raise UserError(
            f"{target} is not empty; add --overwrite or --skip_existing, or choose another OUT"
        )
    enhancer = Enhancer(options.weights, threads=1, **enhancer_arguments(options))
    folder = FolderEnhancer(
        enhancer,
        source,
        target,
        skip_existing=options.skip_existing,
        max_pixels=round(options.max_megapixels * 1e6),
    )
    try:
        with without_native_lines():
            report = folder.run()
    except KeyboardInterrupt:
        print(
            f"\n{folder.report.written} images are done; --skip_existing goes on", file=sys.stderr
        )
        raise
    clips = sorted(find_files(source, VIDEO_SUFFIXES, target))
    if not (report.written or report.skipped or report.failures or clips):
        raise no_images(source)
    print(*report.lines(target), sep="\n")
    for line in report.failure_lines(REMEDIES):
        print(line, file=sys.stderr)
    codes = [report.exit_code if report.failures else 0]
    for clip in clips:
        place = (target / clip.relative_to(source)).with_suffix(".mp4")
        if not (options.skip_existing and place.exists()):
            codes.append(brighten_video(options, clip, place))
    return max(codes)


def watch(options: argparse.Namespace) -> int:
    """The photographs that arrive in a folder, until Ctrl-C; the exit code."""
    from sgz.enhancer import Enhancer
    from sgz.folder import FolderEnhancer
    from sgz.watch import Watcher

    source, failed = options.source, []
    if not source.is_dir():
        raise UserError(f"{source} is no folder that could be watched; create it first")

    def fail(path: Path, error: Exception) -> None:
        failed.append(path)
        print(printable(f"not enhanced: {path}: {explain(error, REMEDIES)}"), file=sys.stderr)

    folder = FolderEnhancer(
        Enhancer(options.weights, threads=1, **enhancer_arguments(options)),
        source,
        options.target,
        max_pixels=round(options.max_megapixels * 1e6),
        done=lambda path, result: print(printable(str(result)), flush=True),
    )
    print(f"watching {printable(str(source))}; Ctrl-C ends it", file=sys.stderr)
    try:
        with without_native_lines():
            Watcher(folder, fail, options.every).run()
    except KeyboardInterrupt:
        written = folder.report.written
        images = "image is" if written == 1 else "images are"
        print(f"\nno longer watched; {written} {images} done", file=sys.stderr)
    return 1 if failed else 0


def brighten_on_cluster(options: argparse.Namespace) -> int:
    """The photographs and videos under a folder or in a store; the exit code."""
    from sgz.cluster.run import ClusterEnhancer

    source, target = options.source, options.target
    if target is None and isinstance(source, str):
        raise UserError(f"name an OUT for what is made of {source}")
    target = target or source.with_name(f"{source.resolve().name}-bright")
    cluster = ClusterEnhancer(
        source,
        target,
        options.weights,
        enhancer_arguments(options),
        address=options.address,
        record=options.report,
        skip_existing=options.skip_existing,
        max_pixels=round(options.max_megapixels * 1e6),
        may_overwrite=options.overwrite or options.skip_existing,
    )
    try:
        report = cluster.run()
    except KeyboardInterrupt:
        print(
            f"\n{cluster.report.written} images are done; --skip_existing goes on", file=sys.stderr
        )
        raise
    if not (report.written or report.skipped or report.failures or report.clips):
        raise no_images(source)
    print(*report.lines(target), sep="\n")
    for line in report.failure_lines(REMEDIES):
        print(line, file=sys.stderr)
    return report.exit_code


def brighten_video(options: argparse.Namespace, source: Path, target: Path) -> int:
    """One video; the exit code."""
    from tqdm import tqdm

    from sgz.enhancer import Enhancer
    from sgz.video.formats import Encoding
    from sgz.video.reader import Reader
    from sgz.video.segments import enhance_in_segments
    from sgz.video.stream import enhance_video

    def note(sentence: str) -> None:
        tqdm.write(f"note: {printable(sentence)}", file=sys.stderr)

    damages = []
    part = {name: getattr(options, name) for name in ("start", "duration", "live")}
    enhancer = Enhancer(options.weights, threads=1, **enhancer_arguments(options))
    hardware = options.hardware == "auto"
    reader = Reader(source, note, damages.append, hardware=hardware, **part)
    encoding = Encoding("raw" if is_pipe(target) else "h264", hardware=hardware)
    enhance = enhance_in_segments if options.resume else enhance_video
    with tqdm(total=reader.count, unit="frame", smoothing=0.1, disable=None) as bar:
        frames = enhance(
            enhancer,
            reader,
            target,
            encoding,
            progress=lambda done: bar.update(done - bar.n),
            note=note,
        )
    if is_pipe(target):
        print(f"enhanced {frames} frames", file=sys.stderr)
    else:
        print(f"enhanced {frames} frames into {printable(target)}")
    for sentence in damages:
        print(f"damaged: {sentence}", file=sys.stderr)
    return 1 if damages else 0


def run() -> None:
    """The entry point that is installed."""
    run_script(main, REMEDIES)


if __name__ == "__main__":
    run()
