"""demo/app.py run as a user does, and what its visitors do in a browser."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


TRANSFER = """
(files) => {
  const transfer = new DataTransfer();
  for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
  return transfer;
}
"""


class Server:
    """A running demo/app.py: its address, and the temporary folder that it made in `scratch`."""

    def __init__(self, scratch: Path, *arguments: object):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        command = [sys.executable, ROOT / "demo/app.py", "--port", self.port, *arguments]
        self.process = subprocess.Popen(
            [str(word) for word in command],
            cwd=ROOT,
            env={**environment(), "TMPDIR": str(scratch)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ready, _, _ = select.select([self.process.stdout], [], [], 120)
        line = self.process.stdout.readline() if ready else ""
        if "open http" not in line:
            self.process.kill()
            raise AssertionError(f"no start: {line}{self.process.stderr.read()}")
        self.folders = sorted(scratch.glob("sgz-demo-*"))
        self.folder = self.folders[-1]

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal: the exit code, and what was written to standard error."""
        self.process.send_signal(number)
        try:
            _, errors = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, errors

    def files(self) -> set[str]:
        """All files below its folder."""
        found = os.walk(self.folder)  # which passes over what is deleted meanwhile
        return {f"{Path(place).relative_to(self.folder)}/{n}" for place, _, ns in found for n in ns}

    def ask(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """(status, body) of a request whose path goes out as it stands."""
        request = urllib.request.Request(self.url + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def upload(self, content: bytes) -> tuple[int, str]:
        """(status, name on the server or why not) of a file that is sent."""
        status, answer = self.ask("upload-photo", content)
        return status, json.loads(answer)["key"] if status == 200 else answer.decode()


def environment() -> dict[str, str]:
    """Ours, without what would change where a demo listens."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GRADIO_")}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return probing.getsockname()[1]


def until(ready: Callable[[], object], seconds: float = 20) -> object:
    """Wait for something to be true; AssertionError if it does not become so."""
    deadline = time.monotonic() + seconds
    while not (value := ready()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return value


class Visitor:
    """A page in a browser, with what it asked for and complained of.

    Args:
        context: playwright's BrowserContext.
    """

    def __init__(self, context, url: str, tab: str = "Photo"):
        self.page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self.hear)
        self.page.goto(url)
        self.panel = self.page.get_by_role("tabpanel").filter(visible=True)
        self.panel.locator(".drop strong", has_text="Choose").wait_for()
        if tab != "Photo":
            self.page.get_by_role("tab", name=tab).click()
            self.panel.locator(".work, .drop").first.wait_for()

    def hear(self, message) -> None:
        """Take down errors of the page and of its security policy."""
        if message.type == "error":
            self.complaints.append(message.text)

    def choose(self, *files: tuple[str, bytes]) -> None:
        """Choose files by name and content, without waiting for an answer."""
        given = [
            {"name": name, "mimeType": "application/octet-stream", "buffer": content}
            for name, content in files
        ]
        self.panel.locator(".drop input").set_input_files(given)

    def transfer(self, *files: tuple[str, bytes]):
        """Files as the browser holds them while they are dragged or copied."""
        return self.page.evaluate_handle(TRANSFER, [[name, list(data)] for name, data in files])

    def drop(self, *files: tuple[str, bytes]) -> None:
        """Drop files, without waiting for an answer."""
        transfer = {"dataTransfer": self.transfer(*files)}
        self.panel.locator(".drop").dispatch_event("drop", transfer)

    def brighten(self, name: str, content: bytes) -> None:
        """Choose a photograph and wait until it is shown."""
        self.choose((name, content))
        shown = self.panel.locator(".viewer .name", has_text=re.compile(f"^{re.escape(name)}$"))
        shown.wait_for()
        self.settle()

    def message(self) -> str:
        """What the page answers, once it does."""
        status = self.panel.locator(".message")
        busy = re.compile("Sending|Brightening")
        until(lambda: (text := status.inner_text()) and not busy.search(text), 60)
        return status.inner_text()

    def wait_for_all(self, ready: int) -> None:
        """Wait until so many photographs could be opened."""
        until(lambda: self.panel.locator(".strip [data-state=ready]").count() == ready, 90)
        self.settle()

    def settle(self) -> None:
        """Wait until both pictures are there."""
        loaded = """[...document.querySelectorAll('.viewer :is(.before, .after)')].every(
            (image) => image.complete && image.naturalWidth)"""
        until(lambda: self.page.evaluate(loaded))

    def after(self) -> str:
        """The address of the brightened picture."""
        return self.panel.locator(".viewer .after").get_attribute("src")

    def fetch(self, address: str) -> bytes:
        """What the page fetches from there."""
        return self.page.request.get(self.page.url + address).body()

    def changed(self, act: Callable[[], object]) -> None:
        """Do something, and wait for the new picture that comes of it."""
        before = self.after()
        act()
        until(lambda: self.after() != before)
        self.settle()

    def set(self, name: str, value: float) -> None:
        """Move a slider, and wait for the new picture."""
        self.changed(lambda: self.panel.get_by_label(name, exact=True).fill(str(value)))

    def pick(self, name: str) -> None:
        """Choose one of several by its label, and wait for the new picture."""
        self.changed(lambda: self.panel.locator(".segments label", has_text=name).click())

    def save(self, button: str = "Download") -> tuple[str, bytes]:
        """(name, content) of the download."""
        pressed = self.panel.locator("button, a", has_text=re.compile(f"^{re.escape(button)}$"))
        with self.page.expect_download() as waiting:
            pressed.filter(visible=True).click()
        return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()
