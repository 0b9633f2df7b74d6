"""Encoders and decoders of a graphics card, where PyAV's build and the machine have them.

PyAV's wheels bring NVENC and NVDEC (NVIDIA), Quick Sync (Intel), AMF (AMD) and, on a Mac,
VideoToolbox. Whether one works is found by opening it.
"""

from collections.abc import Callable, Iterator

import av
from av.codec.hwaccel import HWAccel, hwdevices_available

from sgz.video.formats import CODECS, Encoder, Encoding, software_encoder
from sgz.video.picture import Picture

# Constant quality as each maker calls it; like x264's crf, lower is better.
QUALITY: dict[str, Callable[[int], dict[str, str]]] = {
    "nvenc": lambda crf: {"rc": "vbr", "cq": str(crf), "b": "0"},
    "qsv": lambda crf: {"global_quality": str(crf)},
    "amf": lambda crf: {"rc": "cqp", "qp_i": str(crf), "qp_p": str(crf), "qp_b": str(crf)},
    # FF_QP2LAMBDA is 118; VideoToolbox counts from 1, worst, to 100
    "videotoolbox": lambda crf: {"flags": "+qscale", "global_quality": str(118 * (100 - 2 * crf))},
}
DECODERS = ("cuda", "videotoolbox", "qsv", "d3d11va", "vaapi")  # in this order


def find_encoder(encoding: Encoding, picture: Picture) -> Encoder:
    """What encodes: the first hardware encoder that opens, if one is wanted, else software.

    Hardware gets the frames in the format that software would get, or is not used; nor is it for
    interlaced video.
    """
    software = software_encoder(encoding, picture)
    if picture.interlaced or not encoding.hardware:
        return software
    pix_fmt = software.stored.replace("yuvj", "yuv")
    crf = CODECS[encoding.codec].crf if encoding.crf is None else encoding.crf
    for maker, options in QUALITY.items():
        name = f"{encoding.codec}_{maker}"
        if name not in av.codecs_available:
            continue
        for form in av.Codec(name, "w").video_formats or ():
            found = Encoder(encoding.codec, name, form.name, options(crf))
            if found.pix_fmt == pix_fmt and opens(found, picture):
                return found
    return software


def opens(encoder: Encoder, picture: Picture) -> bool:
    """Whether the machine has what the encoder needs, for frames of that size."""
    try:
        trial = av.CodecContext.create(encoder.name, "w")
        trial.width, trial.height, trial.pix_fmt = picture.width, picture.height, encoder.stored
        trial.time_base, trial.options = picture.time_base, dict(encoder.options)
        trial.open()
    except (av.error.FFmpegError, ValueError):
        return False
    return True


def find_decoders() -> Iterator[HWAccel]:
    """PyAV's decoders in hardware, to be tried in this order; frames come down to memory, and what
    the hardware does not know is decoded in software."""
    built = hwdevices_available()
    return (HWAccel(name, allow_software_fallback=True) for name in DECODERS if name in built)
