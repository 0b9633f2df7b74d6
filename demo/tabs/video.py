"""The Video tab: a video before and after, its progress, the download."""

import traceback
from argparse import Namespace

from demo.server.sessions import Session
from demo.server.videos import Stopped, Videos
from demo.tabs.parts import (
    AT_ONCE,
    JOBS,
    PAGE,
    Controls,
    Drop,
    answering,
    component,
    data_of,
    keep_settings,
    number,
    text,
)
from sgz.errors import UserError
from sgz.files import VIDEO_SUFFIXES

SAMPLE = PAGE.parent / "Movie" / "sample.mp4"


class VideoTab:
    """Builds the tab inside gradio's Blocks, and answers its events."""

    def __init__(self, gr, videos: Videos, options: Namespace):
        self.gr, self.videos = gr, videos
        limits = f"MP4, MOV, MKV, WebM · up to {options.max_seconds:g} seconds"
        self.drop = Drop(gr, "a video", limits, VIDEO_SUFFIXES, options)
        self.bar = gr.HTML("", elem_classes=["bar"], visible=False)
        self.stop = gr.Button("Stop", visible=False, elem_classes=["plain"])
        self.sample = gr.Button("No video at hand? Try the sample clip", elem_classes=["plain"])
        with gr.Row(visible=False, elem_classes=["work"]) as self.work:
            with gr.Column(scale=3, min_width=320):
                self.player = component(gr, "player", visible=False)
            with gr.Column(scale=1, min_width=280, elem_classes=["side-column"]):
                self.controls = Controls(gr, "video")
        self.connect(gr.Progress())

    def connect(self, progress) -> None:
        """Say which event is answered by what."""
        drop, controls, sessions = (
            self.drop.component, self.controls.component, self.videos.sessions,
        )  # fmt: skip
        outputs = [drop, self.bar, self.stop, self.sample, self.player, self.work, controls]

        def answer(function):
            say = {"say": lambda line: {drop: self.drop.say(line, "error"), **self.idle()}}
            return answering(sessions, **say)(function)

        def enhance(request: self.gr.Request, progress=progress):
            return self.enhance(sessions.open(request.session_hash), progress)

        job = {"fn": enhance, "inputs": None, "outputs": outputs, **JOBS}
        job |= {"show_progress": "full", "show_progress_on": self.bar}
        drop.upload(answer(self.receive), None, outputs, **AT_ONCE).then(**job)
        self.sample.click(answer(self.take_sample), None, outputs, **AT_ONCE).then(**job)
        controls.submit(answer(self.repeat), None, outputs, **AT_ONCE).then(**job)
        controls.input(answer(self.adjust), None, drop, trigger_mode="always_last", **AT_ONCE)
        self.stop.click(answer(self.halt), None, drop, **AT_ONCE)

    def idle(self) -> dict:
        """Nothing is at work."""
        gr = self.gr
        return {
            self.bar: gr.HTML(visible=False),
            self.stop: gr.Button(visible=False),
            self.controls.component: self.controls.show(),
        }

    def busy(self, session: Session) -> dict:
        """A video waits for its turn."""
        session.pending += 1
        gr, others = self.gr, self.videos.sessions.pending_of_others(session)
        before = f" ({others} of other people's come first)" if others else ""
        return {
            self.drop.component: self.drop.say([*session.notes, f"Brightening …{before}"], "busy"),
            self.bar: gr.HTML("", visible=True),
            self.stop: gr.Button(visible=True),
            self.sample: gr.Button(visible=False),
            self.controls.component: self.controls.show(busy=True),
        }

    def receive(self, session: Session, event) -> dict:
        data = data_of(event)
        name = text(data.get("name"))
        left_out = number(data.get("left_out"))
        session.notes = []
        if left_out:
            session.notes = [f"One video at a time: “{name}”, without the other {left_out}."]
        session.clip = None
        try:
            if not data.get("upload"):
                raise UserError(self.why_not_sent(number(data.get("size"))))
            self.videos.receive(session, text(data["upload"]), name)
        except UserError as error:
            return self.failed(name, error)
        return self.busy(session)

    def why_not_sent(self, size: int) -> str:
        """What to say of a file that the browser did not send."""
        most = self.drop.value["max_bytes"]
        if size > most:
            return f"it has {size / 1e6:.1f} MB; at most {most / 1e6:g} MB are taken"
        return "it did not arrive; please choose it again"

    def take_sample(self, session: Session, event) -> dict:
        session.notes = []
        self.videos.take_sample(session, SAMPLE)
        return self.busy(session)

    def repeat(self, session: Session, event) -> dict:
        if session.clip is None:
            return {self.drop.component: self.drop.say("Choose a video first.", "error")}
        return self.busy(session)

    def adjust(self, session: Session, event) -> dict:
        keep_settings(session, event)
        return {self.drop.component: self.gr.skip()}

    def halt(self, session: Session, event) -> dict:
        session.stop = True
        return {self.drop.component: self.gr.skip()}

    def enhance(self, session: Session, progress) -> dict:
        """Brighten what was asked for; what is shown then."""
        if session.clip is None or not session.pending:
            return self.idle()
        name = session.clip[1]
        try:
            value, sentences = self.videos.enhance(session, progress)
        except Stopped:
            return {
                **self.idle(),
                self.drop.component: self.drop.say("Stopped."),
                self.sample: self.gr.Button(visible=True),
            }
        except Exception as error:
            return self.failed(name, error)
        finally:
            session.pending -= 1
        return {
            **self.idle(),
            self.drop.component: self.drop.say([*session.notes, "Done.", *sentences], small=True),
            self.player: self.gr.HTML(value, visible=True),
            self.work: self.gr.Row(visible=True),
        }

    def failed(self, name: str, error: Exception) -> dict:
        """Why there is no picture; the one before goes."""
        return {
            **self.idle(),
            self.drop.component: self.drop.say(explain(name, error), "error"),
            self.player: self.gr.HTML(visible=False),
            self.work: self.gr.Row(visible=False),
            self.sample: self.gr.Button(visible=True),
        }


def explain(name: str, error: Exception) -> str:
    """What the page says of a video that could not be brightened."""
    if isinstance(error, UserError):
        reason = str(error).rstrip(".")
    else:
        traceback.print_exception(error)
        reason = "something went wrong on the server"
    return f"“{name}” was not brightened: {reason}."
