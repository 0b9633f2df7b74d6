"""Enhance a photograph or a folder of them, mirroring its tree.

    python test.py
    python test.py --input_dir data/test_data/lowCUT --weight_dir weight/Epoch99.pth \\
        --test_dir test_output
"""

import os
import sys
import threading
import time
import zlib
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from enhancer import Enhancer, Reference
from hardware import count_cores, device_word
from option import test_parser
from photo import IMAGE_SUFFIXES, ImageError, Photo, encode_photo, output_name, read_photo
from utils import UserError, find_files, no_images, run_script, write_whole


class Tester:
    """Reads, enhances and writes several images at a time, each in a thread of its own.

    Args:
        options: what test_parser() returns.

    Raises:
        UserError, model.CheckpointError, OSError: nothing can be enhanced at all.
    """

    def __init__(self, options: Namespace):
        self.options = options
        self.source = options.input_dir
        self.target = options.test_dir
        if not self.source.exists():
            raise no_images(self.source)
        folder = self.source if self.source.is_dir() else self.source.parent
        if self.target.exists() and self.target.samefile(folder):
            raise UserError(f"{self.target} would be overwritten; choose another --test_dir")
        self.folder = folder
        make_writable(self.target)
        device = device_word(options.device)
        self.rank, self.processes, own_device = process_of_launch(device)
        self.enhancer = build_enhancer(options, own_device if options.device == "auto" else device)
        self.workers = 1 if options.reference else count_cores() + 1  # one may wait for the disk
        self.written = self.skipped = self.pixels = self.animations = 0
        self.failures: list[tuple[Path, str]] = []

    def run(self) -> int:
        """Enhance everything; returns 1 if an image failed, else 0."""
        start = time.perf_counter()
        tasks = self.tasks()
        with (
            tqdm(unit="image", disable=None if self.rank == 0 else True) as bar,
            ThreadPoolExecutor(self.workers) as pool,
        ):
            threading.Thread(target=self.count, args=(bar,), daemon=True).start()
            running: dict[Future, Path] = {}
            try:
                for task in islice(tasks, 2 * self.workers):
                    running[pool.submit(self.enhance, *task)] = task[0]
                while running:
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        self.collect(running.pop(future), future)
                        bar.update()
                        for task in islice(tasks, 1):
                            running[pool.submit(self.enhance, *task)] = task[0]
            except KeyboardInterrupt:
                pool.shutdown(cancel_futures=True)  # what is at work is finished
                for future, path in running.items():
                    if not future.cancelled():
                        self.collect(path, future)
                print(f"\n{self.written} images are done; --skip_existing goes on", file=sys.stderr)
                raise
        return self.close(time.perf_counter() - start)

    def tasks(self) -> Iterator[tuple[Path, Path]]:
        """(input, output) of every image that is this process's to do."""
        claimed: dict[Path, Path] = {}
        for path in find_files(self.source, IMAGE_SUFFIXES, self.target, self.note_folder):
            own_name = path.relative_to(self.folder)
            name = output_name(own_name, self.options.format)
            # Inputs with one output fall to one process, whatever order each finds them in.
            if zlib.crc32(os.fsencode(name)) % self.processes != self.rank:
                continue
            if name != own_name:  # another may have this name: by right, or found before
                if self.source.is_dir() and (self.folder / name).is_file():
                    claimed.setdefault(name, self.folder / name)
                if name in claimed:
                    self.failures.append((path, f"{name} is already the output of {claimed[name]}"))
                    continue
                claimed[name] = path
            target = self.target / name
            if self.options.skip_existing and target.exists():
                self.skipped += 1
                continue
            if self.is_input(target):
                self.failures.append((path, f"{target} is among the inputs; choose --test_dir"))
                continue
            yield path, target

    def is_input(self, target: Path) -> bool:
        """Whether writing it would replace what may be an input: folders can lie in one another."""
        if not target.exists():
            return False
        parent, source, out = (p.resolve() for p in (target.parent, self.source, self.target))
        not_searched = out.is_relative_to(source) and parent.is_relative_to(out)
        return parent.is_relative_to(source) and not not_searched

    def note_folder(self, folder: Path, error: OSError) -> None:
        """Name a folder that cannot be searched, once."""
        if self.rank == 0:
            self.failures.append((folder, f"cannot be searched ({error.strerror})"))

    def count(self, bar: tqdm) -> None:
        """Find out how many images there are while the first are being enhanced."""
        found = find_files(self.source, IMAGE_SUFFIXES, self.target, lambda *_: None)
        bar.total = sum(1 for _ in found) // self.processes

    def enhance(self, path: Path, target: Path) -> Photo:
        """One image, from file to file."""
        photo = read_photo(path, round(self.options.max_megapixels * 1e6))
        if self.options.paper_crop:
            photo = crop_to_multiple(photo, self.options.scale_factor)
        photo = photo.with_pixels(self.enhancer(photo.pixels))  # lets go of the dark pixels
        content = encode_photo(photo, target.suffix)
        try:
            write_whole(target, lambda temporary: temporary.write_bytes(content))
        except OSError as error:
            raise ImageError(f"{target} cannot be written ({error.strerror})") from error
        return photo

    def collect(self, path: Path, future: Future) -> None:
        """Take account of one image."""
        try:
            photo = future.result()
        except ImageError as error:
            self.failures.append((path, str(error)))
            return
        except Exception as error:  # whatever one image does, the others are enhanced
            self.failures.append((path, f"{type(error).__name__}: {error}"))
            return
        self.written += 1
        self.pixels += photo.pixels.shape[0] * photo.pixels.shape[1]
        self.animations += photo.frames > 1

    def close(self, seconds: float) -> int:
        """Say what was done, by all processes together; the exit code."""
        counts = [self.written, self.skipped, self.pixels, self.animations]
        failures = self.failures
        if self.processes > 1:
            from accelerate.utils import gather_object

            gathered = gather_object([(counts, failures)])
            counts = [sum(column) for column in zip(*(c for c, _ in gathered), strict=True)]
            failures = [failure for _, part in gathered for failure in part]
        written, skipped, pixels, animations = counts
        if self.rank == 0:
            if not (written or skipped or failures):
                raise no_images(self.source)
            line = f"enhanced {written} {'image' if written == 1 else 'images'} in {seconds:.1f} s"
            line += (
                f" ({written / seconds:.1f} images/s, {pixels / seconds / 1e6:.1f} megapixels/s)"
            )
            print(f"{line} into {self.target}")
            if skipped:
                print(f"{skipped} were already there")
            if animations:
                print(f"of {animations} with several frames or pages, the first was taken")
            for path, reason in failures:
                print(f"not enhanced: {path}: {reason}", file=sys.stderr)
        return 0 if not failures and (written or skipped) else 1


def build_enhancer(options: Namespace, device: str) -> Callable[[np.ndarray], np.ndarray]:
    """What turns an image into a brighter one, on a device."""
    if options.reference:
        if options.auto_exposure:
            raise UserError("--reference is the paper's way; leave out --auto_exposure")
        from model import load_model

        weights, scale, kind = options.weight_dir, options.scale_factor, options.conv_type
        return Reference(load_model(weights, scale, kind, options.iterations), options.strength)
    return Enhancer(
        options.weight_dir,
        options.scale_factor,
        options.iterations,
        options.strength,
        device,
        options.conv_type,
        threads=1,  # the images share the cores
        auto_exposure=options.auto_exposure,
    )


def make_writable(folder: Path) -> None:
    """Create the output folder and see that a file can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(
            f"cannot write into {folder} ({error.strerror}); choose another --test_dir"
        ) from error


def process_of_launch(device: str) -> tuple[int, int, str]:
    """This process's number, how many there are, and its own device of the given kind."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return 0, 1, device
    from accelerate import PartialState

    # Told nothing and finding no GPU, it would take torchrun's processes for single ones.
    state = PartialState(cpu=device.startswith("cpu"))
    return state.process_index, state.num_processes, str(state.device)


def crop_to_multiple(photo: Photo, scale: int) -> Photo:
    """Cut the bottom and right edges to multiples of scale, as the authors do."""
    height, width = (side // scale * scale for side in photo.pixels.shape[:2])
    if not height or not width:
        raise ImageError(f"smaller than {scale}x{scale}: --paper_crop leaves nothing of it")
    alpha = None if photo.alpha is None else photo.alpha[:height, :width]
    return replace(photo, pixels=photo.pixels[:height, :width], alpha=alpha)


def main() -> int:
    return Tester(test_parser().parse_args()).run()


if __name__ == "__main__":
    run_script(main, "model.CheckpointError")
