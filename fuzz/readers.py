"""The readers of foreign files, each held to one promise: a result or a reason, nothing between.

    python fuzz/readers.py --seconds 600 --seeds data/test_data
    python fuzz/readers.py --kind video --seconds 600 --seeds FOLDER_OF_SMALL_CLIPS

A reason is a UserError of one sentence; nothing is left half-written. A photograph is never read
more laxly than Pillow does: what it refuses as damaged, we do not take. With atheris the inputs are
steered by coverage of Python's code; tests/test_fuzz.py runs the same checks for seconds.
"""

import argparse
import io
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from sgz.animation import MOVING_SUFFIXES, write_animation
from sgz.errors import CheckpointError, ImageError, UserError
from sgz.image.animation import read_animation
from sgz.image.opening import READ_FORMATS
from sgz.image.photo import Photo, encode_photo, read_photo

MAX_PIXELS = 1_000_000


def check_photo(content: bytes, folder: Path) -> Photo | None:
    """Read a file of any content and write it again; None where it was refused.

    Raises:
        AssertionError: a promise is broken. Any other exception breaks one as well.
    """
    path = folder / "x"
    path.write_bytes(content)
    try:
        photo = read_photo(path, MAX_PIXELS)
    except ImageError as error:
        check_sentence(error)
        return None
    assert 0 < photo.pixels.shape[0] * photo.pixels.shape[1] <= MAX_PIXELS
    assert photo.pixels.dtype in (np.uint8, np.uint16)
    assert photo.alpha is None or photo.alpha.shape == photo.pixels.shape[:2]
    encode_photo(photo, ".tif" if len(content) % 2 else ".png")
    if photo.frames > 1:
        check_animation(path)
    assert pillow_reads(content), "laxer than Pillow"
    return photo


def check_animation(path: Path) -> None:
    """Take an animation apart and write it again."""
    try:
        animation = read_animation(path, MAX_PIXELS)
        for suffix in MOVING_SUFFIXES if animation else ():
            write_animation(lambda image: image, animation, io.BytesIO(), suffix)
    except ImageError as error:  # WebP does not hold every size
        check_sentence(error)


def check_sentence(error: UserError) -> None:
    """Whether a reason is one sentence."""
    assert str(error).strip()
    assert "\n" not in str(error)


def pillow_reads(content: bytes) -> bool:
    """Whether Pillow decodes it; types that it has from elsewhere (HEIC, RAW) count as read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=READ_FORMATS) as image:
            image.load()
    except UnidentifiedImageError:
        return content[4:8] == b"ftyp" or content[:4] in (b"II*\0", b"MM\0*")
    except Exception:
        return False
    return True


def check_video(content: bytes, folder: Path) -> int:
    """Enhance a video of any content; how many frames were written, 0 where it was refused.

    Raises:
        AssertionError: as of check_photo: besides, that what was written has other frames.
    """
    import av

    from sgz.enhancer import Enhancer
    from sgz.video.reader import Reader
    from sgz.video.stream import enhance_video

    source, target = folder / "source", folder / "target.mkv"
    source.write_bytes(content)
    said: list[str] = []
    try:
        reader = Reader(source, said.append, said.append, MAX_PIXELS)
        enhancer = Enhancer(threads=1, look="natural")
        frames = enhance_video(enhancer, reader, target, note=said.append, damage=said.append)
    except UserError as error:
        check_sentence(error)
        assert {path.name for path in folder.iterdir()} == {"source"}
        return 0
    assert {path.name for path in folder.iterdir()} == {"source", "target.mkv"}
    with av.open(str(target)) as written:
        assert sum(1 for _ in written.decode(video=0)) == frames > 0
    target.unlink()
    assert all(sentence.strip() for sentence in said)
    return frames


def check_checkpoint(content: bytes, folder: Path) -> dict | None:
    """Load weights of any content; None where they were refused."""
    import torch

    from sgz.model import load_model

    path = folder / "x.pth"
    path.write_bytes(content)
    try:
        state = load_model(path).state_dict()
    except CheckpointError as error:
        check_sentence(error)
        return None
    assert all(torch.isfinite(value).all() for value in state.values())
    return state


def check_resume(content: bytes, folder: Path) -> dict | None:
    """Load a run's state of any content beside the weights x.pth, which must be there.

    None where it was refused, or belongs to other weights.
    """
    from sgz.model import EnhanceNet
    from training.snapshots import load_snapshot

    (folder / "x.resume").write_bytes(content)
    try:
        return load_snapshot(folder / "x.pth", EnhanceNet())[1]
    except UserError as error:
        check_sentence(error)
        return None


CHECKS: dict[str, Callable[[bytes, Path], object]] = {
    "photo": check_photo,
    "video": check_video,
    "checkpoint": check_checkpoint,
}


def main() -> None:
    import atheris  # late: wheels are for Linux alone, and the suite does without

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=CHECKS, default="photo")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seeds", type=Path, help="a folder of small files to begin with")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    corpus = Path(tempfile.mkdtemp(prefix="sgz-fuzz-"))
    work = Path(tempfile.mkdtemp(prefix="sgz-fuzz-"))
    check = CHECKS[options.kind]
    seeds = [path for path in options.seeds.rglob("*") if path.is_file()] if options.seeds else []
    for path in seeds:
        check(path.read_bytes(), work)  # imports what is imported late, before it is instrumented
    arguments = [sys.argv[0], f"-max_total_time={options.seconds}", "-max_len=65536"]
    atheris.instrument_all()
    atheris.Setup(
        [*arguments, f"-artifact_prefix={corpus}/found-", str(corpus),
         *([str(options.seeds)] if seeds else [])],
        lambda content: check(content, work),
    )  # fmt: skip
    print(f"what breaks a promise is kept in {corpus}")
    atheris.Fuzz()


if __name__ == "__main__":
    main()
