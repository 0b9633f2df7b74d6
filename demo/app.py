"""A web page that enhances photos, videos and the camera's picture.

python demo/app.py
python demo/app.py --host 0.0.0.0 --port 8000 --max_megapixels 24
"""

import os
import signal
import socket
import sys
import time
from argparse import Namespace
from contextlib import suppress
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from anywhere

import argparse

import numpy as np

from demo.server.camera import Camera
from demo.server.gallery import Gallery
from demo.server.guard import SPACE_FRAMES, Guard, own_names
from demo.server.requests import is_possible
from demo.server.sessions import IDLE, MAX_PHOTOS, Sessions, temporary_root
from demo.server.settings import Settings
from demo.server.uploads import Uploads
from demo.server.videos import Videos
from demo.tabs.camera import CameraTab
from demo.tabs.parts import asset
from demo.tabs.photo import PhotoTab
from demo.tabs.video import VideoTab
from option import add_checkpoint_option
from sgz.command import (
    LOOK_ARGUMENTS,
    RATE,
    SIZE,
    add_device_option,
    add_look_options,
    add_network_options,
    new_parser,
    run_script,
    without_native_lines,
)
from sgz.enhancer import Enhancer
from sgz.errors import UserError
from sgz.method import SCALE_FACTOR

REMEDIES = {"device": "try --device cpu"}
TITLE = "Light for dark photos"
QUEUE = 1000  # jobs that may wait; a job is a few kB, its photograph lies on the disk


def about(options: Namespace) -> str:
    """Where the work is done and what is kept, as HTML."""
    minutes = IDLE // 60
    return f"""
<section class="about" aria-label="About this page">
  <div><h2>Where the work is done</h2><p>On the computer that runs this page, not in your browser:
  what you choose is sent to it, and to nobody else. This page loads nothing from other sites.</p>
  </div>
  <div><h2>What is kept</h2><p>Nothing. So that the controls can act, your photos or video lie in a
  temporary folder of that computer while this page is open. They are deleted when you close the
  page, remove them, or have not touched them for {minutes} minutes. Pictures of the camera are
  never written down.</p></div>
  <div><h2>How it works</h2><p>A network of 10,561 parameters looks at your photo and says how much
  light each region needs; a curve adds it. It invents nothing: every pixel keeps its place.
  Up to {MAX_PHOTOS} photos of {options.max_megapixels:g} megapixels, files up to
  {options.max_mb:g} MB, videos up to {options.max_seconds:g} seconds.</p></div>
</section>"""


def build_page(gr, enhancer, sessions: Sessions, options: Namespace):
    """The page: gradio's Blocks."""
    max_pixels, max_bytes = round(options.max_megapixels * 1e6), round(options.max_mb * 1e6)
    with gr.Blocks(title=f"{TITLE}: SGZ", analytics_enabled=False) as page:
        gr.HTML(
            f'<header class="masthead"><h1>{TITLE}</h1><p>Choose photos taken in the dark and see '
            "them brightened.</p></header>",
            apply_default_css=False,
        )
        with gr.Tabs():
            with gr.Tab("Photo"):
                PhotoTab(gr, Gallery(enhancer, sessions, max_pixels, max_bytes), options)
            with gr.Tab("Video"):
                VideoTab(gr, Videos(enhancer, sessions, options.max_seconds), options)
            with gr.Tab("Camera"):
                CameraTab(gr, Camera(enhancer))
        gr.HTML(about(options), apply_default_css=False)

        def leave(request: gr.Request) -> None:
            sessions.close(sessions.open(request.session_hash))

        page.unload(leave)
    page.queue(max_size=QUEUE, default_concurrency_limit=1, api_open=False)
    return page


def theme(gr):
    """System fonts alone, as others would be fetched from elsewhere."""
    system = [gr.themes.Font(name) for name in ("system-ui", "sans-serif")]
    return gr.themes.Base(
        primary_hue="amber", neutral_hue="stone", radius_size="lg", font=system, font_mono=system[1]
    )


def check_port(host: str, port: int) -> None:
    """See that the address can be had, before seconds go by; UserError otherwise."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probing:
            probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probing.bind(address)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen at {host}:{port}; choose another --port or --host"
        ) from error


def import_gradio(root: Path):
    """gradio, told to keep its files below `root`; UserError without it.

    It is told to report to nobody. It reads these variables as it is imported; the process is
    ours alone.
    """
    for name in ("GRADIO_TEMP_DIR", "GRADIO_EXAMPLES_CACHE"):
        os.environ[name] = str(root / "served")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        import gradio
    except ImportError as error:
        raise UserError("the demo needs gradio: pip install -r requirements-demo.txt") from error
    return gradio


def fence(page, sessions: Sessions, options: Namespace, host: str):
    """What stands between gradio and the world: starlette's Middleware."""
    from starlette.middleware import Middleware

    max_bytes = round(options.max_mb * 1e6)
    space = os.environ.get("SPACE_HOST")
    behind = [*([space] if space else []), *([".gradio.live"] if options.share else [])]
    return Middleware(
        Guard,
        upload=Uploads(sessions, max_bytes),
        max_upload=max_bytes,
        may_upload=lambda: sessions.has_room() and len(page._queue) < QUEUE // 2,
        is_possible=partial(is_possible, page),
        hosts={host, *own_names(), *options.allow_host, *behind},
        frames=SPACE_FRAMES if space else "'none'",
    )


def warm_up(enhancer) -> None:
    """Have everything compiled and loaded before the first visitor waits for it."""
    tuned = Settings().tuned(enhancer)
    for kind in (np.uint8, np.uint16):
        for shape in ((64, 64, 3), (64, 64)):
            tuned(np.zeros(shape, kind))


def serve(options: Namespace, root: Path) -> None:
    """Serve the page until KeyboardInterrupt; everything is kept below `root`."""
    host = options.host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    check_port(host, options.port)
    gr = import_gradio(root)
    enhancer = Enhancer(
        options.weight_dir,
        options.scale_factor,
        device=options.device,
        conv_type=options.conv_type,
        **{name: getattr(options, name) for name in LOOK_ARGUMENTS},
    )
    sessions = Sessions(root)
    page = build_page(gr, enhancer, sessions, options)
    try:
        page.launch(
            server_name=host,
            server_port=options.port,
            share=options.share,
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            ssr_mode=False,
            enable_monitoring=False,
            theme=theme(gr),
            # Not as `css`: gradio puts its own names before each rule, and so loses :root's.
            head=f"<style>{asset('tokens.css')}{asset('style.css')}</style>",
            app_kwargs={"middleware": [fence(page, sessions, options, host)]},
        )
        shown = "127.0.0.1" if host == "0.0.0.0" else host
        print(f"open http://{shown}:{options.port} in a browser; Ctrl-C ends it", flush=True)
        if page.share_url:
            print(f"public until then: {page.share_url}", flush=True)
        warm_up(enhancer)
        while True:
            time.sleep(60)
            sessions.sweep()
    finally:
        page.close(verbose=False)


def demo_parser() -> argparse.ArgumentParser:
    """Options of demo/app.py."""
    parser = new_parser("A web page that enhances photos, videos and the camera's picture.")
    parser.add_argument(
        "--host",
        default=None,
        help="address to listen at; left out: $GRADIO_SERVER_NAME, else 127.0.0.1, this machine "
        "alone; 0.0.0.0 lets others in",
    )
    parser.add_argument("--port", type=SIZE, default=7860, help="port to listen at")
    parser.add_argument(
        "--share",
        action="store_true",
        help="also a public address, through the tunnel of gradio's makers",
    )
    parser.add_argument(
        "--allow_host",
        nargs="+",
        default=(),
        metavar="NAME",
        help="names that it goes by behind a proxy, besides this machine's and private addresses; "
        "* takes any",
    )
    add_checkpoint_option(parser)
    add_network_options(parser, SCALE_FACTOR)
    add_look_options(parser, "natural")
    add_device_option(parser)
    parser.add_argument("--max_megapixels", type=RATE, default=50.0, help="refuse larger photos")
    parser.add_argument("--max_mb", type=RATE, default=100.0, help="refuse larger files")
    parser.add_argument("--max_seconds", type=RATE, default=60.0, help="refuse longer videos")
    return parser


def main() -> None:
    options = demo_parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl-C does
    # How a server is ended is no failure.
    with suppress(KeyboardInterrupt), without_native_lines(), temporary_root() as root:
        serve(options, root)


if __name__ == "__main__":
    run_script(main, REMEDIES)
