"""The readers of foreign files, each held to one promise: a photograph or a reason, never laxer.

    python fuzz/readers.py --seconds 600 --seeds data/test_data

A reason is an ImageError. Never laxer: what Pillow refuses as damaged, we do not take. With atheris
installed the inputs are steered by coverage; tests/test_fuzz.py runs the same checks for seconds.
"""

import argparse
import io
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from sgz.animation import MOVING_SUFFIXES, write_animation
from sgz.errors import ImageError
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
        assert str(error)
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
    except ImageError as error:
        assert str(error)
        return
    for suffix in MOVING_SUFFIXES if animation else ():
        write_animation(lambda image: image, animation, io.BytesIO(), suffix)


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


def main() -> None:
    import atheris  # late: wheels are for Linux alone, and the suite does without

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seeds", type=Path, help="a folder of pictures to begin with")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="sgz-fuzz-"))
    seeds = [str(options.seeds)] if options.seeds else []
    arguments = [sys.argv[0], f"-max_total_time={options.seconds}", "-max_len=65536"]
    atheris.Setup(
        [*arguments, f"-artifact_prefix={folder}/found-", str(folder), *seeds],
        lambda content: check_photo(content, folder),
    )
    print(f"what breaks a promise is kept in {folder}")
    atheris.Fuzz()


if __name__ == "__main__":
    main()
