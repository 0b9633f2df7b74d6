"""What the tabs share: files of the page, kinds of events, the field for files, the controls."""

import functools
import traceback
from argparse import Namespace
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from demo.server.sessions import Session, Sessions
from demo.server.settings import Settings
from sgz.errors import UserError

PAGE = Path(__file__).resolve().parent.parent / "page"
DATA = PAGE.parent.parent / "data" / "test_data"
PAGE_ONLY = {"api_visibility": "private", "show_progress": "hidden"}
JOBS = {"concurrency_id": "jobs", "concurrency_limit": 1, **PAGE_ONLY}  # the one queue
AT_ONCE = {"queue": False, **PAGE_ONLY}


def asset(name: str) -> str:
    """A file of the page."""
    return (PAGE / name).read_text(encoding="utf-8")


def component(gr, name: str, value=None, **options):
    """A component of ours: page/NAME.html with page/NAME.js."""
    script = PAGE / f"{name}.js"
    return gr.HTML(
        value,
        html_template=asset(f"{name}.html"),
        js_on_load=asset(script.name) if script.exists() else None,
        apply_default_css=False,
        **options,
    )


def data_of(event) -> dict:
    """What a component of ours sent with an event, which may be anything."""
    data = getattr(event, "_data", None)
    return data if isinstance(data, dict) else {}


def text(value: object, most: int = 1000) -> str:
    """A text of what a browser sent, not too long."""
    return value[:most] if isinstance(value, str) else ""


def number(value: object) -> int:
    """A whole number of what a browser sent, from 0."""
    return max(int(value), 0) if isinstance(value, int | float) and abs(value) < 1e15 else 0


class Drop:
    """A field to choose, drop or paste files; its component triggers "upload" for each.

    Args:
        noun: "photos" or "a video". several: whether more than one is taken.
    """

    def __init__(self, gr, noun: str, limits: str, suffixes: Collection[str], options: Namespace,
                 several: bool = False):  # fmt: skip
        self.gr = gr
        self.value = {
            "title": f"Choose {noun}",
            "limits": f"{limits}, {options.max_mb:g} MB",
            "accept": ",".join(sorted(suffixes)),
            "max_bytes": round(options.max_mb * 1e6),
            "several": several,
            "lines": [],
            "kind": "",
        }
        self.small = {**self.value, "title": "Add photos" if several else "Choose another video"}
        self.component = component(gr, "drop", self.value)

    def say(self, lines: str | Sequence[str], kind: str = "", small: bool = False):
        """The component with sentences under it; small where there is something else to look at."""
        lines = [lines] if isinstance(lines, str) else list(lines)
        return self.gr.HTML(
            {**(self.small if small else self.value), "lines": lines, "kind": kind},
            elem_classes=["compact"] if small else [],
        )


class Controls:
    """Look, brightness, shadows, denoising, and buttons; its component triggers "input"."""

    def __init__(self, gr, tab: str):
        self.gr = gr
        self.value = {"tab": tab, "several": False, "busy": False, "file": None}
        self.component = component(gr, "controls", self.value)

    def show(self, visible: bool = True, **state):
        """The component with other buttons, or with a file that the browser is to save."""
        return self.gr.HTML({**self.value, **state}, elem_classes=[] if visible else ["gone"])


def keep_settings(session: Session, event) -> None:
    """Take a visitor's controls as they are now."""
    session.settings = Settings.of_request(data_of(event))


def answering(sessions: Sessions, say: Callable[[str], dict]) -> Callable:
    """Decorator of an event's function (session, event) -> outputs: it never raises.

    Args:
        say: outputs that show a sentence.
    """

    def decorate(function: Callable) -> Callable:
        import gradio as gr

        @functools.wraps(function)
        def answer(event: gr.EventData, request: gr.Request):
            session = None
            try:
                session = sessions.open(request.session_hash)
                return function(session, event)
            except UserError as error:
                return say(f"{error}.")
            except Exception as error:
                if session and session.closed:  # the page was closed, and its files went with it
                    return say("")
                traceback.print_exception(error)
                return say("Something went wrong on the server.")
            finally:
                if session and session.closed:
                    sessions.close(session)  # also what was written since

        # What gradio is to give it is read from its signature, not the wrapped one's.
        del answer.__wrapped__
        answer.__annotations__ = {"event": gr.EventData, "request": gr.Request}
        return answer

    return decorate
