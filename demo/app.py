"""A web page that enhances photos, videos and the camera's picture.

python demo/app.py
python demo/app.py --host 0.0.0.0 --port 8000 --max_megapixels 24
"""

import base64
import html
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from anywhere

import argparse

from demo.server.guard import Guard
from demo.server.sessions import GONE, IDLE, safe_name, shrink
from demo.server.studio import ROUNDS, STRENGTHS, Stopped, Studio, first_clause
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
)
from sgz.enhancer import Enhancer
from sgz.errors import ImageError, UserError
from sgz.files import VIDEO_SUFFIXES
from sgz.image.photo import IMAGE_SUFFIXES, Photo, encode_photo, read_photo
from sgz.method import SCALE_FACTOR

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "demo" / "page"
SAMPLES = (
    "samples/astronaut.png", "samples/rocket.png", "samples/coffee.png", "samples/chelsea.png",
    "samples/camera.png", "lowCUT/cat.png", "lowCUT/cup.png",
)  # fmt: skip
SAMPLE_CLIP = ROOT / "demo" / "Movie" / "sample.mp4"
PAGE_ONLY = {"api_visibility": "private"}
JOBS = {"concurrency_id": "jobs", "concurrency_limit": 1, **PAGE_ONLY}  # the one queue
AT_ONCE = {"queue": False, "show_progress": "hidden", **PAGE_ONLY}


def explain(name: str, error: Exception) -> str:
    """What the page says of a failure, as HTML."""
    if isinstance(error, FileNotFoundError):  # swept, or left meanwhile
        error = UserError(GONE)
    if isinstance(error, ImageError | UserError):
        reason = first_clause(str(error))
    else:
        traceback.print_exception(error)
        reason = "something went wrong on the server"
    return f"“{html.escape(safe_name(name))}” was not brightened: {html.escape(reason)}."


def sample_buttons() -> str:
    """The bundled photographs as buttons, the pictures inside the page itself."""
    buttons = []
    for number, sample in enumerate(SAMPLES):
        path = ROOT / "data" / "test_data" / sample
        small = Photo(shrink(read_photo(path).pixels, 184))
        picture = base64.b64encode(encode_photo(small, ".jpg")).decode()
        buttons.append(
            f'<button type="button" data-sample="{number}">'
            f'<img src="data:image/jpeg;base64,{picture}" alt="Try the sample {path.stem}">'
            "</button>"
        )
    return (
        f'<div class="samples"><p>No photo at hand? Try one of these:</p>{"".join(buttons)}</div>'
    )


def about(options: Namespace) -> str:
    """Where the work is done and what is kept, as HTML."""
    minutes = IDLE // 60
    return f"""
<section class="about" aria-label="About this page">
  <div><h2>Where the work is done</h2><p>On the computer that runs this page, not in your browser:
  what you choose is sent to it, and to nobody else. This page loads nothing from other sites.</p>
  </div>
  <div><h2>What is kept</h2><p>Nothing. So that the sliders can act, your photo or video lies in a
  temporary folder of that computer while this page is open. It is deleted when you close the page,
  choose another one, or have not touched it for {minutes} minutes. Pictures of the camera are never
  written down.</p></div>
  <div><h2>How it works</h2><p>A network of 10,561 parameters looks at your photo once and says how
  much light each region needs; a curve adds it. It invents nothing: every pixel keeps its place.
  Photos up to {options.max_megapixels:g} megapixels, files up to {options.max_mb:g} MB, videos up
  to {options.max_seconds:g} seconds.</p></div>
</section>"""


def asset(name: str) -> str:
    """A file of the page."""
    return (PAGE / name).read_text(encoding="utf-8")


class Drop:
    """A field to choose or drop a file; its component triggers "upload" with path and name."""

    def __init__(self, gr, title: str, limits: str, suffixes, options: Namespace):
        self.gr = gr
        self.value = {
            "title": title,
            "limits": f"{limits}, {options.max_mb:g} MB",
            "accept": ",".join(sorted(suffixes)),
            "max_bytes": round(options.max_mb * 1e6),
            "message": "",
            "kind": "",
        }
        self.done = {**self.value, "title": title.replace("Choose a", "Choose another")}
        self.component = gr.HTML(
            self.value, html_template=asset("drop.html"), js_on_load=asset("drop.js")
        )

    def say(self, message: str, kind: str = ""):
        """The component with a message (HTML) under it."""
        return self.gr.HTML({**self.value, "message": message, "kind": kind})

    def step_back(self, message: str):
        """The component grown small, as there is something else to look at."""
        return self.gr.HTML({**self.done, "message": message}, elem_classes=["compact"])


def build_page(studio: Studio, options: Namespace):
    """The page: gradio's Blocks."""
    import gradio as gr

    with gr.Blocks(title="SGZ: light for dark photos", analytics_enabled=False) as page:
        gr.HTML(
            '<header class="masthead"><h1>Light for dark photos</h1><p>Choose a photo taken in the '
            "dark and see it brightened.</p></header>"
        )
        with gr.Tabs():
            with gr.Tab("Photo"):
                build_photo_tab(gr, studio, options)
            with gr.Tab("Video"):
                build_video_tab(gr, studio, options)
            with gr.Tab("Camera"):

                def look(data: dict) -> dict:
                    return studio.look(data)

                gr.HTML(
                    html_template=asset("camera.html"),
                    js_on_load=asset("camera.js"),
                    server_functions=[look],
                )
        gr.HTML(about(options))

        def leave(request: gr.Request) -> None:
            studio.session_of(request.session_hash).close()

        page.unload(leave)
    page.queue(max_size=32, default_concurrency_limit=1, api_open=False)
    return page


def build_photo_tab(gr, studio: Studio, options: Namespace) -> None:
    """Choose a photograph; before and after, brightness, the factor map, the download."""
    limits = f"JPEG, PNG, WebP, TIFF, AVIF, BMP, GIF · up to {options.max_megapixels:g} megapixels"
    drop = Drop(gr, "Choose a photo", limits, IMAGE_SUFFIXES, options)
    incoming, result = gr.State(), gr.JSON(visible=False)
    with gr.Row(visible=False, elem_classes=["work"]) as work:
        with gr.Column(scale=3, min_width=320):
            compare = gr.HTML(
                html_template=asset("compare.html"), js_on_load=asset("compare.js"), visible=False
            )
        with gr.Column(scale=1, min_width=260, elem_classes=["controls"]):
            controls = [
                *new_sliders(gr),
                gr.Checkbox(False, label="Show where light is added", container=False),
            ]
            download = gr.Button("Download", variant="primary")
    samples = gr.HTML(sample_buttons(), js_on_load=asset("samples.js"))

    def receive(event: gr.EventData, request: gr.Request):
        name = str(event.name)
        try:
            session = studio.session_of(request.session_hash)
            return studio.receive(session, str(event.path), name, "photo"), gr.skip()
        except Exception as error:
            return None, drop.say(explain(name, error), "error")

    def take_sample(event: gr.EventData, request: gr.Request):
        session = studio.session_of(request.session_hash)
        path = ROOT / "data" / "test_data" / SAMPLES[int(event.sample) % len(SAMPLES)]
        return studio.take_sample(session, path, "photo")

    def enhance(arrived, strength, iterations, show_map, request: gr.Request):
        if not arrived:
            return gr.skip(), gr.skip(), gr.skip()
        session = studio.session_of(request.session_hash)
        start = time.monotonic()
        try:
            source, controls = session.kept / arrived["path"], (strength, iterations, show_map)
            value = studio.open_photo(session, source, arrived["name"], controls)
        except Exception as error:
            return drop.say(explain(arrived["name"], error), "error"), gr.skip(), gr.skip()
        seconds = max(time.monotonic() - start, 0.01)
        message = f"Done in {seconds:.2g} s. Drag the line across the picture."
        return drop.step_back(message), gr.HTML(value, visible=True), gr.Row(visible=True)

    def adjust(strength, iterations, show_map, request: gr.Request):
        session = studio.session_of(request.session_hash)
        try:
            return gr.skip(), studio.adjust(session, strength, iterations, show_map)
        except Exception as error:
            return drop.say(explain("The photo", error), "error"), gr.skip()

    def finish_photo(strength, iterations, request: gr.Request):
        session = studio.session_of(request.session_hash)
        try:
            return studio.finish_photo(session, strength, iterations), gr.skip()
        except Exception as error:
            return None, drop.say(explain("The photo", error), "error")

    opening = {"fn": enhance, "inputs": [incoming, *controls], "show_progress": "hidden", **JOBS}
    shown = [drop.component, compare, work]
    drop.component.upload(
        receive, None, [incoming, drop.component], trigger_mode="multiple", **AT_ONCE
    ).then(outputs=shown, **opening)
    samples.click(take_sample, None, incoming, trigger_mode="multiple", **AT_ONCE).then(
        outputs=shown, **opening
    )
    gr.on(
        [control.change for control in controls],
        adjust,
        controls,
        [drop.component, compare],
        trigger_mode="always_last",
        **AT_ONCE,
    )
    download.click(
        finish_photo, controls[:2], [result, drop.component], show_progress_on=download, **JOBS
    ).then(None, result, None, js=asset("save.js"), **PAGE_ONLY)


def new_sliders(gr) -> list:
    """Strength and iterations."""
    return [
        gr.Slider(*STRENGTHS, 1.0, step=0.05, label="Strength", info="0 changes nothing"),
        gr.Slider(*ROUNDS, 8, step=1, label="Iterations", info="More lift shadows"),
    ]


def build_video_tab(gr, studio: Studio, options: Namespace) -> None:
    """Choose a video; progress, a player, the download."""
    limits = f"MP4, MOV, MKV, WebM · up to {options.max_seconds:g} seconds"
    drop = Drop(gr, "Choose a video", limits, VIDEO_SUFFIXES, options)
    incoming = gr.State()
    bar = gr.HTML("", elem_classes=["bar"], visible=False)
    stop = gr.Button("Stop", visible=False, elem_classes=["quiet"])
    with gr.Row(visible=False, elem_classes=["work"]) as work:
        with gr.Column(scale=3, min_width=320):
            player = gr.HTML(html_template=asset("player.html"), js_on_load=None, visible=False)
        with gr.Column(scale=1, min_width=260, elem_classes=["controls"]):
            sliders = new_sliders(gr)
            again = gr.Button("Brighten again", variant="primary")
    sample = gr.Button("No video at hand? Try the sample clip", elem_classes=["quiet"])

    new_progress = gr.Progress()

    def receive(event: gr.EventData, request: gr.Request):
        name = str(event.name)
        try:
            session = studio.session_of(request.session_hash)
            return studio.receive(session, str(event.path), name, "clip"), *busy()
        except Exception as error:
            return None, drop.say(explain(name, error), "error"), gr.skip(), gr.skip()

    def take_sample(request: gr.Request):
        session = studio.session_of(request.session_hash)
        return studio.take_sample(session, SAMPLE_CLIP, "clip"), *busy()

    def repeat(arrived):
        if arrived:
            return arrived, *busy()
        return None, drop.say("Choose a video first.", "error"), gr.skip(), gr.skip()

    def busy():
        message = "Brightening; what others have asked for comes first."
        return drop.say(message, "busy"), gr.HTML("", visible=True), gr.Button(visible=True)

    def enhance(arrived, strength, iterations, request: gr.Request, progress=new_progress):
        done = {bar: gr.HTML(visible=False), stop: gr.Button(visible=False)}
        if not arrived:
            return done
        name = arrived["name"]
        try:
            session = studio.session_of(request.session_hash)
            source = session.kept / arrived["path"]
            value, sentences = studio.open_clip(
                session, source, name, (strength, iterations), progress
            )
        except Stopped:
            return {**done, drop.component: drop.say("Stopped.")}
        except Exception as error:
            return {**done, drop.component: drop.say(explain(name, error), "error")}
        return {
            **done,
            drop.component: drop.step_back(html.escape(" · ".join(["Done.", *sentences]))),
            player: gr.HTML(value, visible=True),
            work: gr.Row(visible=True),
        }

    def halt(request: gr.Request) -> None:
        (studio.session_of(request.session_hash).kept / "stop").touch()

    waiting = [incoming, drop.component, bar, stop]
    enhancing = {
        "fn": enhance,
        "inputs": [incoming, *sliders],
        "outputs": [drop.component, player, bar, stop, work],
        "show_progress_on": bar,
        **JOBS,
    }
    drop.component.upload(receive, None, waiting, **AT_ONCE).then(**enhancing)
    sample.click(take_sample, None, waiting, **AT_ONCE).then(**enhancing)
    again.click(repeat, incoming, waiting, **AT_ONCE).then(**enhancing)
    stop.click(halt, None, None, **AT_ONCE)


def look_of_page(gr):
    """The theme: system fonts alone, as others would be fetched from elsewhere."""
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


def serve(options: Namespace, root: Path) -> None:
    """Serve the page until KeyboardInterrupt; everything is kept below `root`."""
    host = options.host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    check_port(host, options.port)
    gr = import_gradio(root)
    from starlette.middleware import Middleware

    enhancer = Enhancer(
        options.weight_dir,
        options.scale_factor,
        device=options.device,
        conv_type=options.conv_type,
        **{name: getattr(options, name) for name in LOOK_ARGUMENTS},
    )
    studio = Studio(enhancer, root, round(options.max_megapixels * 1e6), options.max_seconds)
    page = build_page(studio, options)
    max_bytes = round(options.max_mb * 1e6)
    fence = Middleware(Guard, max_upload=max_bytes, has_room=studio.sessions.has_room)
    try:
        page.launch(
            server_name=host,
            server_port=options.port,
            share=options.share,
            prevent_thread_lock=True,
            quiet=True,
            max_file_size=max_bytes,
            footer_links=[],
            ssr_mode=False,
            theme=look_of_page(gr),
            css=asset("style.css"),
            app_kwargs={"middleware": [fence]},
        )
        shown = "127.0.0.1" if host == "0.0.0.0" else host
        print(f"open http://{shown}:{options.port} in a browser; Ctrl-C ends it", flush=True)
        if page.share_url:
            print(f"public until then: {page.share_url}", flush=True)
        studio.warm_up()
        while True:
            time.sleep(60)
            studio.sessions.sweep()
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
    with (
        suppress(KeyboardInterrupt),  # how a server is ended is no failure
        tempfile.TemporaryDirectory(prefix="sgz-demo-", ignore_cleanup_errors=True) as folder,
    ):
        serve(options, Path(folder).resolve())


if __name__ == "__main__":
    run_script(main, {"device": "try --device cpu"})
