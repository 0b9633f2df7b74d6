"""A video streamed through the enhancer: decode, enhance and encode, each in a thread of its own.

    enhance_video(Enhancer(), "dark.mp4", "bright.mp4")

No frame goes to disk, and a fixed number of them is in memory, however long the video is.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import av

from sgz.enhancer import Enhancer
from sgz.errors import UserError
from sgz.files import PIPE, is_pipe, sweep, whole_file
from sgz.threads import prefetch
from sgz.video.formats import CODECS, Encoder, Encoding, container_of, working_format
from sgz.video.frames import enhance_frames
from sgz.video.hardware import find_encoder
from sgz.video.picture import HIGH_DEFINITION, HLG, PQ, Picture
from sgz.video.reader import Reader
from sgz.video.writer import Writer

PREFETCHED = 6  # frames and packets that a thread may be in advance of the next one


def enhance_video(
    enhancer: Enhancer,
    source: str | Path | Reader,
    target: str | Path,
    encoding: Encoding | None = None,
    smoothing: float = 0.5,
    keep_partial: bool = False,
    progress: Callable[[int], object] = lambda frames: None,
    note: Callable[[str], object] = warnings.warn,
    damage: Callable[[str], object] = warnings.warn,
) -> int:
    """Enhance a video into another file, with its sound and all else that it came with.

    Args:
        source: the video, or one that is open already, perhaps in part, perhaps live; it is
            closed. - is standard input.
        target: the file; - is standard output, which gets NUT.
        encoding: codec, quality and pixel format; if left out, H.264 at visually lossless quality,
            and in a pipe the frames as they are.
        smoothing: how many seconds each way a frame's factor map is averaged; 0 takes each
            frame alone.
        keep_partial: when interrupted, complete the file with what was encoded so far.
        progress: called with the number of frames written.
        note: called with a sentence for what the output does differently (a stream left out, …).
        damage: called with a sentence for what of the source could not be read. What could be
            is in the output all the same.

    Returns:
        The number of frames written.

    Raises:
        UserError: the source is no video, or the target cannot be written; there is no target.
        KeyboardInterrupt: there is no target, or with keep_partial a shorter one.
    """
    target = Path(target)
    encoding = encoding or Encoding("raw" if is_pipe(target) else "h264")
    path = Path(source.path if isinstance(source, Reader) else source)
    if target.exists() and path.exists() and target.samefile(path):
        raise UserError(f"{target} is the input itself", "target")
    container_name = container_of(target, CODECS[encoding.codec])
    opened = source if isinstance(source, Reader) else Reader(source, note, damage)
    frames, interrupted = 0, False
    place = nullcontext(PIPE)
    if not is_pipe(target):
        sweep(target.parent)
        place = whole_file(target)
    with opened as reader, place as temporary:
        picture = reader.picture
        encoder = find_encoder(encoding, picture)
        writer = Writer(temporary, container_name, picture, encoder)
        told = conversions(picture, encoder, container_name, writer.piped, encoding.hardware)
        for sentence in (*told, *writer.copy_from(reader)):
            note(sentence)
        working = working_format(encoder.pix_fmt, picture.pix_fmt)
        if reader.live:  # one frame after the other: none waits for a thread
            items = enhance_frames(enhancer, reader.read(working), picture, smoothing, live=True)
        else:
            decoded = prefetch(reader.read(working), PREFETCHED)
            items = prefetch(enhance_frames(enhancer, decoded, picture, smoothing), PREFETCHED)
        with writer, closing(items):
            try:
                for item in items:
                    if isinstance(item, av.VideoFrame):
                        writer.write_frame(item)
                        frames += 1
                        progress(frames)
                    else:
                        writer.write_packet(item)
            except KeyboardInterrupt:
                if not (keep_partial and frames):
                    raise
                interrupted = True
                items.close()
            writer.finish()
    if interrupted:
        raise KeyboardInterrupt
    return frames


def conversions(
    picture: Picture, encoder: Encoder, container: str, piped: bool, hardware: bool
) -> Iterator[str]:
    """A sentence for each way in which the frames are not stored as they came.

    Args:
        container: FFmpeg's name. hardware: a graphics card was asked for.
    """
    stored = encoder.pix_fmt
    if stored.replace("j", "") != picture.pix_fmt.replace("j", ""):
        yield f"the frames are converted from {picture.pix_fmt} to {stored}"
    if stored not in ("yuv420p", "yuvj420p"):
        yield f"not every browser plays {stored}; the pixel format yuv420p plays everywhere"
    if hardware and encoder.is_software:
        yield f"no hardware encoder of {encoder.codec} works for it here; {encoder.name} does"
    elif hardware:
        yield f"encoded by {encoder.name}"
    if picture.interlaced and not CODECS[encoder.codec].interlacing:
        yield f"the source is interlaced, which {encoder.codec} does not mark; h264 does"
    in_bitstream = encoder.codec in ("h264", "hevc") or container in ("mp4", "mov")
    if piped:
        lost = ", ".join(untold(picture))
        if lost and encoder.codec == "raw":
            yield f"raw frames in a pipe do not tell their {lost}; tell the program that reads them"
    elif picture.aspect not in (None, 1) and not in_bitstream:
        yield f"the pixel aspect {picture.aspect} is lost in {container}; .mp4 keeps it"
    if picture.transfer in (PQ, HLG):
        name = "PQ" if picture.transfer == PQ else "HLG"
        yield (
            f"the source is HDR ({name}); its frames are brightened as they are coded, as if they "
            "were SDR: for a sure result convert them first"
        )


def untold(picture: Picture) -> Iterator[str]:
    """What NUT does not carry with raw frames, as far as a picture has it."""
    if picture.colour_range == 2:
        yield "full range"
    usual = (1,) if picture.height >= HIGH_DEFINITION else (5, 6)
    if picture.matrix not in (0, 2, *usual):
        yield "colour matrix"
    if picture.aspect not in (None, 1):
        yield f"pixel aspect {picture.aspect}"
    if picture.display_matrix:
        yield "rotation"
