"""What a video can be written as: containers, codecs, pixel formats."""

import errno
import io
import re
from dataclasses import dataclass
from pathlib import Path

import av

from sgz.errors import UserError
from sgz.files import is_pipe
from sgz.video.picture import PLANAR, Picture

# Containers by suffix. Others (AVI) cannot hold what H.264 needs: frames out of order, any timing.
CONTAINERS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm",
    ".ts": "mpegts",
}  # fmt: skip
# Tags that describe a file's make-up or its writer, not the recording.
TECHNICAL_TAGS = frozenset(
    ("major_brand", "minor_version", "compatible_brands", "encoder", "vendor_id", "rotate",
     "DURATION", "BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "handler_name")
)  # fmt: skip
# What an MP4 keeps of itself; for any other tag it needs movflags use_metadata_tags.
MP4_TAGS = frozenset(
    ("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre",
     "copyright", "description", "synopsis", "show", "network", "keywords", "lyrics", "grouping",
     "track", "disc", "creation_time")
)  # fmt: skip

# What an operating system says of a disk, not a container of what it is to hold.
DISK_ERRORS = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS)
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # by count of channels


@dataclass(frozen=True)
class Codec:
    """An encoder: FFmpeg's name, constant rate factor and preset if none is asked for."""

    encoder: str
    crf: int
    preset: str
    largest_crf: int
    interlacing: bool = False
    odd_sizes: bool = False  # takes 4:2:0 of odd width or height


CODECS = {
    "h264": Codec("libx264", 17, "veryfast", 51, interlacing=True),
    "hevc": Codec("libx265", 19, "fast", 51),
    "vp9": Codec("libvpx-vp9", 24, "5", 63, odd_sizes=True),
    "av1": Codec("libsvtav1", 23, "8", 63, odd_sizes=True),
    "raw": Codec("rawvideo", 0, "", 0, odd_sizes=True),  # no loss, no delay: for a pipe
}


@dataclass(frozen=True)
class Encoding:
    """How to encode: codec of CODECS; None takes the codec's own crf and preset, and keeps the
    source's chroma subsampling and bits where the codec can (pix_fmt). hardware: by a graphics card
    where one can."""

    codec: str = "h264"
    crf: int | None = None
    preset: str | None = None
    pix_fmt: str | None = None
    hardware: bool = False


@dataclass(frozen=True)
class Encoder:
    """What encodes: the codec, of CODECS; FFmpeg's name of the encoder; the pixel format that it
    takes frames in; its options."""

    codec: str
    name: str
    stored: str
    options: dict[str, str]

    @property
    def pix_fmt(self) -> str:
        """The pixel format with all planes apart, in which frames are enhanced."""
        return PLANAR.get(self.stored, self.stored)

    @property
    def is_software(self) -> bool:
        return self.name == CODECS[self.codec].encoder


def container_of(path: Path, codec: Codec) -> str:
    """The container a file name's suffix stands for; of a pipe, NUT, which is read as it comes.

    Raises:
        UserError: an unknown suffix, or that container does not hold the codec.
    """
    name = "nut" if is_pipe(path) else CONTAINERS.get(path.suffix.lower())
    if name is None:
        raise UserError(
            f"cannot write a video of type {path.suffix or '(none)'}: {path}; "
            f"choose a name in {', '.join(CONTAINERS)}"
        )
    with av.open(io.BytesIO(), "w", format=name) as trial:
        try:
            trial.add_stream(codec.encoder)
        except ValueError:
            raise UserError(
                f"{path.suffix} does not hold {codec.encoder} (.webm holds vp9 and av1)", "codec"
            ) from None
    return name


def choose_format(pix_fmt: str, size: tuple[int, int], codec: Codec) -> str:
    """The encoder's planar YUV format that loses least of a source's: itself, or more, or less.

    4:2:0 and 4:2:2 of odd width, and 4:2:0 of odd height, become 4:4:4 where the encoder wants
    even sizes. RGB becomes 4:4:4; transparency is dropped.
    """
    offered = [format.name for format in av.Codec(codec.encoder, "w").video_formats or ()]
    source = av.VideoFormat(pix_fmt, *size)
    tall, wide = source.chroma_height(16) == 16, source.chroma_width(16) == 16
    if len(source.components) < 3 and pix_fmt != "pal8":
        tall = wide = False  # gray
    if not codec.odd_sizes:
        tall, wide = tall or size[1] % 2 == 1, wide or size[0] % 2 == 1
    finest = ("444" if tall else "440") if wide else ("422" if tall else "420")
    bits = max(component.bits for component in source.components)
    depths = [depth for depth in (8, 10, 12) if depth >= bits] + [12, 10, 8]
    names = [
        f"yuv{kind}p{depth}le" if depth > 8 else f"yuv{kind}p"
        for depth in depths
        for kind in (finest, "444", "420")
    ]
    if pix_fmt == f"yuvj{finest}p":  # 8 bits of full range, by an old name
        names.insert(0, pix_fmt)
    return next(name for name in names if name in offered or not offered)


def working_format(pix_fmt: str, source: str) -> str:
    """The planar YUV format to enhance in: the output's, but with all the bits of the source."""
    kind = re.match(r"yuvj?(4\d\d)p", pix_fmt)
    bits, source_bits = (
        max(component.bits for component in av.VideoFormat(name).components)
        for name in (pix_fmt, source)
    )
    if kind and source_bits <= bits:
        return pix_fmt
    subsampling, depth = kind[1] if kind else "444", max(bits, source_bits)
    return f"yuv{subsampling}p" + ("" if depth <= 8 else "10le" if depth <= 10 else "12le")


def software_encoder(encoding: Encoding, picture: Picture) -> Encoder:
    """The codec's encoder in software, in the format that loses least of a picture."""
    codec = CODECS[encoding.codec]
    pix_fmt = encoding.pix_fmt or choose_format(
        picture.pix_fmt, (picture.width, picture.height), codec
    )
    return Encoder(encoding.codec, codec.encoder, pix_fmt, encoder_options(encoding))


def encoder_options(encoding: Encoding) -> dict[str, str]:
    """FFmpeg's options for an encoder."""
    codec = CODECS[encoding.codec]
    if encoding.codec == "raw":
        return {}
    crf = str(codec.crf if encoding.crf is None else encoding.crf)
    preset = encoding.preset or codec.preset
    if encoding.codec == "vp9":
        return {"crf": crf, "b": "0", "deadline": "good", "row-mt": "1", "cpu-used": preset}
    if encoding.codec == "hevc":
        return {"crf": crf, "preset": preset, "x265-params": "log-level=error"}
    return {"crf": crf, "preset": preset}


def can_hold(container_name: str, stream) -> bool:
    """Whether a container takes a stream's packets as they are, found by writing a header."""
    try:
        with av.open(io.BytesIO(), "w", format=container_name) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
        return True
    except (av.error.FFmpegError, ValueError, TypeError):
        return False


def usual_layout(sound) -> str | None:
    """The usual layout of sound whose file tells how many channels it has, and no more.

    AVI and uncompressed sound have none; MP4 wants one.
    """
    return LAYOUTS.get(sound.layout.nb_channels) if "channels" in sound.layout.name else None


def kept_tags(tags: dict[str, str]) -> dict[str, str]:
    """A recording's own tags."""
    return {key: value for key, value in tags.items() if key not in TECHNICAL_TAGS}
