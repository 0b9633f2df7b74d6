"""Enhance a photograph or a folder of them, mirroring its tree.

    python test.py
    python test.py --input_dir data/test_data/lowCUT --weight_dir weight/Epoch99.pth \\
        --test_dir test_output
"""

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from option import test_options
from sgz.command import (
    LOOK_ARGUMENTS,
    check_engine,
    enhancer_arguments,
    run_script,
    without_native_lines,
)
from sgz.enhancer import Enhancer
from sgz.errors import ImageError, UserError
from sgz.files import no_images
from sgz.folder import FolderEnhancer
from sgz.image.photo import Photo
from sgz.look.options import PAPER, choose_look

REMEDIES = {
    "target": "choose another --test_dir",
    "max_pixels": "raise it with --max_megapixels",
    "suffix": "choose --format png",
    "video": "bash test_video.sh IN OUT",
    "device": "try --device cpu",
    "engine": "or leave out --engine ray",
    "address": "see --address, or leave out --engine ray",
    "record": "choose another --report",
}


class Tester:
    """One run of test.py.

    Args:
        options: what test_options() returns.

    Raises:
        UserError, OSError: nothing can be enhanced at all.
    """

    def __init__(self, options: Namespace):
        self.options = options
        check_engine(options, options.input_dir, options.test_dir)
        prepare = None
        if options.paper_crop:
            prepare = partial(crop_to_multiple, scale=options.scale_factor)
        shared = {
            "format": options.format,
            "skip_existing": options.skip_existing,
            "max_pixels": round(options.max_megapixels * 1e6),
            "prepare": prepare,
        }
        if options.engine == "ray":
            self.folder = build_cluster(options, shared)
            return
        workers = 1 if options.reference else None
        self.folder = FolderEnhancer(
            build_enhancer(options), options.input_dir, options.test_dir, workers=workers, **shared
        )

    def run(self) -> int:
        """Enhance everything and say what was done; returns the exit code."""
        try:
            with without_native_lines():
                report = self.folder.run()
        except KeyboardInterrupt:
            done = self.folder.report.written
            print(f"\n{done} images are done; --skip_existing goes on", file=sys.stderr)
            raise
        if not (report.written or report.skipped or report.failures):
            raise no_images(self.options.input_dir)
        print(*report.lines(self.options.test_dir), sep="\n")
        for line in report.failure_lines(REMEDIES):
            print(line, file=sys.stderr)
        return report.exit_code


def build_enhancer(options: Namespace) -> Callable[[np.ndarray], np.ndarray]:
    """What turns an image into a brighter one."""
    if not options.reference:  # the images share the cores
        return Enhancer(options.weight_dir, threads=1, **enhancer_arguments(options))
    if choose_look(**{name: getattr(options, name) for name in LOOK_ARGUMENTS}) != PAPER:
        raise UserError("--reference is the paper's way; leave out --look and its parts")
    from sgz.model import enhance_plainly, load_model  # late: torch takes a second

    weights, scale, kind = options.weight_dir, options.scale_factor, options.conv_type
    net = load_model(weights, scale, kind, options.iterations)
    return partial(enhance_plainly, net, strength=options.strength)


def build_cluster(options: Namespace, shared: dict[str, object]):
    """What spreads the photographs over a cluster; its arguments that are FolderEnhancer's too."""
    if options.reference:
        raise UserError("--reference is one image after another; leave out --engine ray")
    from sgz.cluster.run import ClusterEnhancer  # late: rarely asked for

    return ClusterEnhancer(
        options.input_dir,
        options.test_dir,
        options.weight_dir,
        enhancer_arguments(options),
        address=options.address,
        record=options.report,
        videos=False,
        **shared,
    )


def crop_to_multiple(photo: Photo, scale: int) -> Photo:
    """Cut the bottom and right edges to multiples of scale, as the authors do."""
    height, width = (side // scale * scale for side in photo.pixels.shape[:2])
    if not height or not width:
        raise ImageError(f"smaller than {scale}x{scale}: --paper_crop leaves nothing of it")
    alpha = None if photo.alpha is None else photo.alpha[:height, :width]
    return replace(photo, pixels=photo.pixels[:height, :width], alpha=alpha)


def main() -> int:
    return Tester(test_options()).run()


if __name__ == "__main__":
    run_script(main, REMEDIES)
