"""Make the sample clip: dark pans over two of scikit-image's photographs, a cut, a tone as sound.

    python demo/make_sample.py

The camera model is evaluation/camera.py, with an exposure that jitters from frame to
frame; a gain for low light is taken into the exposure cut.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run from anywhere

from evaluation.camera import FULL_WELL, capture, to_linear

CLIP = Path(__file__).resolve().parent / "Movie" / "sample.mp4"
WIDTH, HEIGHT, RATE = 448, 252, 24
LENGTH = 48  # frames of each scene: two seconds
PAN = 60  # pixels that the view moves in a scene
# Photograph, exposure cut, top and left of the view at the start.
SCENES = (("coffee", 9, 90, 40), ("astronaut", 14, 10, 4))
JITTER = 0.06  # of the exposure, standard deviation from frame to frame
READ_NOISE = 12.0  # electrons
SAMPLE_RATE, TONE, LOUDNESS = 44_100, 440.0, 0.1
CRF = "16"


def views() -> Iterator[np.ndarray]:
    """The frames, [252, 448, 3] uint8, dark and noisy."""
    from skimage import data

    rng = np.random.default_rng(0)
    for name, cut, top, left in SCENES:
        light = to_linear(getattr(data, name)() / 255.0) * FULL_WELL / cut
        for number in range(LENGTH):
            start = left + number * PAN // LENGTH
            electrons = light[top : top + HEIGHT, start : start + WIDTH]
            exposed = electrons * (1 + JITTER * rng.standard_normal())
            yield capture(exposed, rng, READ_NOISE)


def write_sound(container, stream) -> None:
    """A sine as long as the pictures."""
    import av

    times = np.arange(len(SCENES) * LENGTH * SAMPLE_RATE // RATE) / SAMPLE_RATE
    wave = (LOUDNESS * np.sin(2 * np.pi * TONE * times)).astype(np.float32)
    for start in range(0, wave.size, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], "fltp", "mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def main() -> None:
    import av

    CLIP.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "+faststart"}
    with av.open(str(CLIP), "w", container_options=options) as container:
        container.metadata["title"] = "SGZ sample: two dark scenes"
        pictures = container.add_stream("libx264", RATE, {"crf": CRF, "preset": "slow"})
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        context = pictures.codec_context
        context.color_range, context.colorspace = 1, 6  # limited, BT.601
        context.color_primaries, context.color_trc = 1, 13  # BT.709's, sRGB's curve
        sound = container.add_stream("aac", SAMPLE_RATE, layout="mono", bit_rate=48_000)
        for view in views():
            frame = av.VideoFrame.from_ndarray(view, "rgb24")
            container.mux(pictures.encode(frame.reformat(format="yuv420p")))
        container.mux(pictures.encode(None))
        write_sound(container, sound)
    print(f"{CLIP}: {CLIP.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
