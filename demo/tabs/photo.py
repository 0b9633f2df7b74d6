"""The Photo tab: photographs before and after, one by one, saved alone or all in one .zip."""

import base64
from argparse import Namespace
from collections.abc import Iterator
from importlib.util import find_spec

from demo.server.gallery import Gallery, reason_of
from demo.server.photos import encode_preview, shrink
from demo.server.sessions import Session
from demo.server.settings import Settings
from demo.tabs.parts import (
    AT_ONCE,
    DATA,
    JOBS,
    Controls,
    Drop,
    answering,
    asset,
    component,
    data_of,
    keep_settings,
    number,
    text,
)
from sgz.image.photo import IMAGE_SUFFIXES, read_photo

SAMPLES = (
    "photographs/theatre.jpg", "samples/coffee.png", "samples/chelsea.png",
    "samples/astronaut.png", "samples/rocket.png",
)  # fmt: skip
CREDIT = "Left as taken, right brightened by this page"


class PhotoTab:
    """Builds the tab inside gradio's Blocks, and answers its events."""

    def __init__(self, gr, gallery: Gallery, options: Namespace):
        self.gr, self.gallery = gr, gallery
        limits = f"JPEG, PNG, WebP, TIFF, AVIF, BMP · up to {options.max_megapixels:g} megapixels"
        with gr.Row(elem_classes=["first"]):
            with gr.Column(scale=3, min_width=320) as self.hero:
                component(gr, "compare", example(gallery.enhancer), elem_classes=["hero"])
            with gr.Column(scale=2, min_width=300):
                self.drop = Drop(gr, "photos", limits, readable_suffixes(), options, several=True)
                self.samples = gr.HTML(
                    sample_buttons(), js_on_load=asset("samples.js"), apply_default_css=False
                )
        with gr.Row(visible=False, elem_classes=["work"]) as self.work:
            with gr.Column(scale=3, min_width=320):
                self.compare = component(gr, "compare", elem_classes=["viewer"], visible=False)
                self.strip = component(gr, "strip", {"items": [], "current": None}, visible=False)
            with gr.Column(scale=1, min_width=280, elem_classes=["side-column"]):
                self.controls = Controls(gr, "photo")
        self.connect()

    def connect(self) -> None:
        """Say which event is answered by what."""
        drop, controls, sessions = (
            self.drop.component, self.controls.component, self.gallery.sessions,
        )  # fmt: skip
        outputs = [drop, self.hero, self.samples, self.work, self.compare, self.strip, controls]

        def answer(function):
            say = {"say": lambda line: {drop: self.drop.say(line, "error")}}
            return answering(sessions, **say)(function)

        def save_all(request: self.gr.Request):
            yield from self.save_all(request.session_hash)

        several = {"trigger_mode": "multiple"}
        drop.upload(answer(self.receive), None, outputs, **several, **AT_ONCE).then(
            answer(self.open_next), None, outputs, **several, **JOBS
        )
        self.samples.click(answer(self.take_sample), None, outputs, **several, **AT_ONCE).then(
            answer(self.open_next), None, outputs, **several, **JOBS
        )
        last = {"trigger_mode": "always_last", **AT_ONCE}
        controls.input(answer(self.adjust), None, outputs, **last)
        self.strip.select(answer(self.select), None, outputs, **last)
        self.strip.clear(answer(self.clear), None, outputs, **AT_ONCE)
        self.compare.select(answer(self.show_actual), None, outputs, **JOBS)
        controls.download(answer(self.save), None, outputs, **JOBS)
        controls.submit(save_all, None, outputs, **JOBS)

    def state(self, session: Session, shows_picture: bool = False) -> dict:
        """The page as it is now.

        Args:
            shows_picture: with the picture too, which is not changed otherwise.
        """
        gr, gallery = self.gr, self.gallery
        ready, waiting = len(session.listed("ready")), len(session.listed("waiting", "opening"))
        outputs = {
            self.drop.component: self.message(session, ready, waiting),
            self.hero: gr.Column(visible=not ready),
            self.samples: gr.HTML(visible=not ready and not waiting),
            self.work: gr.Row(visible=bool(ready)),
            self.strip: gr.HTML(gallery.strip(session), visible=len(session.items) > 1),
            self.controls.component: self.controls.show(several=ready > 1),
        }
        if shows_picture:
            view = gallery.view(session)  # nothing where that one could not be opened
            outputs[self.compare] = gr.HTML(view, visible=view is not None)
            shows = self.controls.show(several=ready > 1, visible=view is not None)
            outputs[self.controls.component] = shows
        return outputs

    def message(self, session: Session, ready: int, waiting: int):
        """The field for files, with what there is to say."""
        lines = self.gallery.failures(session)
        kind = "error" if lines else ""
        if waiting:
            others = self.gallery.sessions.pending_of_others(session)
            before = f" ({others} of other people's come first)" if others else ""
            to_go = f", {waiting} to go" if waiting > 1 else ""
            lines, kind = [f"Brightening{to_go} …{before}", *lines], kind or "busy"
        elif ready and not lines:
            lines = ["Done. Drag the line across the picture."]
        elif ready and self.gallery.current(session):
            lines = ["Done, but for:", *lines]
        return self.drop.say(lines, kind, small=ready > 0)

    def receive(self, session: Session, event) -> dict:
        data = data_of(event)
        self.gallery.start_batch(session, number(data.get("batch")))
        upload = data.get("upload")
        item = self.gallery.receive(
            session,
            text(data.get("name")),
            text(upload) if upload else None,
            number(data.get("size")),
            number(data.get("place")),
        )
        return self.state(session, shows_picture=item.state == "failed")

    def take_sample(self, session: Session, event) -> dict:
        number_of = number(data_of(event).get("sample"))
        self.gallery.start_batch(session, session.batch + 1)
        self.gallery.take_sample(session, DATA / SAMPLES[number_of % len(SAMPLES)])
        return self.state(session)

    def open_next(self, session: Session, event) -> dict:
        shown = session.current
        item = self.gallery.open_next(session)
        if item is None:  # it was refused, or its page was closed
            return self.state(session)
        changed = session.current == item.key and (shown != item.key or item.state == "failed")
        return self.state(session, shows_picture=changed)

    def adjust(self, session: Session, event) -> dict:
        keep_settings(session, event)
        if self.gallery.current(session) is None:
            return {self.drop.component: self.gr.skip()}
        return {self.compare: self.gr.HTML(self.gallery.view(session), visible=True)}

    def select(self, session: Session, event) -> dict:
        self.gallery.select(session, text(data_of(event).get("key")))
        return self.state(session, shows_picture=True)

    def clear(self, session: Session, event) -> dict:
        self.gallery.clear(session)
        return {
            **self.state(session, shows_picture=True),
            self.drop.component: self.drop.say("Removed."),
        }

    def show_actual(self, session: Session, event) -> dict:
        return {self.compare: self.gr.HTML(self.gallery.view(session, tiles=True))}

    def save(self, session: Session, event) -> dict:
        file = self.gallery.export(session)
        several = len(session.listed("ready")) > 1
        return {self.controls.component: self.controls.show(several=several, file=file)}

    def save_all(self, visitor: str) -> Iterator[dict]:
        """All in one .zip, with the count on the page meanwhile."""
        controls, session = self.controls, self.gallery.sessions.open(visitor)
        try:
            for done, count, file in self.gallery.export_all(session):
                if file is None:
                    line = f"Brightening {done + 1} of {count} …"
                    yield {
                        self.drop.component: self.drop.say(line, "busy", small=True),
                        controls.component: controls.show(several=True, busy=True),
                    }
                else:
                    state = self.state(session)
                    state[controls.component] = controls.show(several=True, file=file)
                    yield state
        except Exception as error:
            line = f"The photos could not be saved: {reason_of(error, session)}."
            yield {
                self.drop.component: self.drop.say(line, "error", small=True),
                controls.component: controls.show(several=True),
            }


def readable_suffixes() -> set[str]:
    """What the browser offers to choose: HEIC only where its decoder is installed."""
    heif = {".heic", ".heif"} if find_spec("pi_heif") is None else set()
    return set(IMAGE_SUFFIXES) - heif


def sample_buttons() -> str:
    """The bundled photographs as buttons, the pictures inside the page itself."""
    buttons = []
    for number_of, sample in enumerate(SAMPLES):
        path = DATA / sample
        picture = data_url(shrink(read_photo(path).pixels, 184))
        buttons.append(
            f'<button type="button" data-sample="{number_of}">'
            f'<img src="{picture}" alt="Try the sample {path.stem}"></button>'
        )
    return (
        f'<div class="samples"><p>No photo at hand? Try one of these:</p>{"".join(buttons)}</div>'
    )


def example(enhancer) -> dict:
    """The first screen's picture, before and after: a viewer's value."""
    dark = shrink(read_photo(DATA / SAMPLES[0]).pixels, 960)
    bright = Settings().tuned(enhancer)(dark)
    height, width = dark.shape[:2]
    return {
        "before": data_url(dark), "after": data_url(bright), "name": "", "facts": CREDIT,
        "measured": "", "width": width, "height": height, "full_width": width,
        "full_height": height, "shows_map": False, "tiles": [], "sweep": True,
    }  # fmt: skip


def data_url(pixels) -> str:
    """A small picture as an address that holds it."""
    _, content = encode_preview(pixels, None, None)
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
