"""A fence around a web server (ASGI): what the page itself asks for, no more; strict headers."""

import ipaddress
import json
import socket
import sys
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import unquote

from demo.server import uploads

SMALL = 2_000_000  # bytes; all that is no upload: button presses and camera frames
JOIN, SERVER = "/gradio_api/queue/join", "/gradio_api/component_server"
DIRECT = "/gradio_api/run/predict"
QUEUE_FULL = "So many people are here that the queue is full; please try again in a minute."
# Only this server: nothing on the page can call elsewhere. Its scripts are compiled from templates.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'; "
    "frame-ancestors "
)
SPACE_FRAMES = "https://huggingface.co https://*.hf.space"  # where a space is shown in a frame
UNCACHED = (b"cache-control", b"no-store")


class Guard:
    """ASGI middleware that refuses what the page itself never asks for.

    Args:
        app: the application behind it.
        upload: the ASGI application for uploads.
        max_upload: bytes that an upload may have.
        may_upload: whether there is room for one more.
        is_possible: whether the page could have sent this: (path, body as decoded JSON) -> bool.
        hosts: names that this server goes by, besides its addresses; ".name" for all below a name,
            "*" for any.
        frames: what may show the page in a frame: a list of sources for its security policy.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable],
        upload: Callable[..., Awaitable],
        max_upload: int,
        may_upload: Callable[[], bool],
        is_possible: Callable[[str, object], bool],
        hosts: Collection[str] = (),
        frames: str = "'none'",
    ):
        self.app, self.upload, self.max_upload = app, upload, max_upload
        self.may_upload, self.is_possible = may_upload, is_possible
        self.hosts = {name.lower() for name in hosts}
        self.headers = [
            (b"content-security-policy", (POLICY + frames).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]
        if frames == "'none'":
            self.headers.append((b"x-frame-options", b"DENY"))

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = unquote(scope["path"]).rstrip("/") or "/"
        answer = Answer(send, self.headers, served="/file=" in path)
        if refusal := self.refusal(scope, path):
            await drain(scope, receive, 4 * self.max_upload)
            await uploads.respond(answer, *refusal)
            return
        try:
            await self.pass_on(path, scope, receive, answer)
        except Exception as error:  # one line of it, as what was asked may be anything
            print(f"{scope['method']} {path[:80]!r}: {type(error).__name__}", file=sys.stderr)
            if not answer.started:
                await uploads.respond(answer, 400, "this could not be answered")
            elif not answer.finished:
                await answer({"type": "http.response.body", "body": b""})

    def refusal(self, scope, path: str) -> tuple[int, str] | None:
        """(status, sentence) if the head of a request is enough to refuse it."""
        headers = dict(scope["headers"])
        local = (scope.get("server") or ("", 0))[0]
        for name in (b"host", b"x-forwarded-host"):
            if not self.is_own(headers.get(name, b"localhost").decode("latin-1"), local):
                return 421, "this server does not go by that name (see --allow_host)"
        # A URL in place of a file would make the server fetch it.
        foreign = "://" in path if "/file=" in path else "/proxy=" in path
        if foreign or ".." in path.split("/"):
            return 403, "not allowed"
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        if scope["method"] != "POST" or path not in (JOIN, SERVER, DIRECT, uploads.PATH):
            return 403, "not allowed"
        length = headers.get(b"content-length", b"")
        if not (length.isdigit() and len(length) < 16):
            return 411, "say how long it is"
        limit = self.max_upload if path == uploads.PATH else SMALL
        if int(length) > limit:
            return 413, f"larger than {limit / 1e6:g} MB"
        if path == uploads.PATH and not self.may_upload():
            return 503, uploads.BUSY
        return None

    def is_own(self, host: str, local: str) -> bool:
        """Whether a Host header names this server: by a name of its own, or an address of a house.

        A page of somebody else's whose name was bent to our address would name itself.
        """
        host = host.split(",")[0].strip().lower()
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.strip("[]")
        if "*" in self.hosts or name in self.hosts or name in ("localhost", local):
            return True
        if any(own.startswith(".") and name.endswith(own) for own in self.hosts):
            return True
        try:
            return ipaddress.ip_address(name).is_private
        except ValueError:
            return False

    async def pass_on(self, path: str, scope, receive, answer) -> None:
        """Let a request through, if its body is one that the page could have sent."""
        if path == uploads.PATH:
            await self.upload(scope, receive, answer)
            return
        if scope["method"] == "POST":
            body = await read_whole(receive)
            if not self.is_possible(path, decode(body)):
                await uploads.respond(answer, 403, "not allowed")
                return
            receive = replay(body, receive)
            answer.rewrites_full = path == JOIN
        await self.app(scope, receive, answer)


class Answer:
    """send() of a response: adds headers, and says what to do where the queue is full."""

    def __init__(self, send, headers: list[tuple[bytes, bytes]], served: bool):
        self.send = send
        self.headers = [*headers, UNCACHED] if served else headers
        self.started = self.finished = self.rewrites_full = self.full = False

    async def __call__(self, message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.full = self.rewrites_full and message["status"] == 503
            names = {name for name, _ in self.headers}
            names |= {b"content-length"} if self.full else set()
            kept = [pair for pair in message["headers"] if pair[0].lower() not in names]
            message = {**message, "headers": [*kept, *self.headers]}
        else:
            self.finished = not message.get("more_body", False)
            if self.full:
                if not self.finished:
                    return
                body = json.dumps({"detail": QUEUE_FULL}).encode()
                message = {"type": "http.response.body", "body": body}
        await self.send(message)


def own_names() -> set[str]:
    """What this machine is called in its network."""
    name = socket.gethostname().lower()
    return {name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}


def decode(body: bytes) -> object:
    """JSON, or None for what is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def drain(scope, receive, most: int) -> None:
    """Read what a refused request still sends: who is sending would not hear the answer."""
    length = dict(scope["headers"]).get(b"content-length", b"0")
    if length.isdigit() and len(length) < 16 and 0 < int(length) < most:
        await read_whole(receive, keep=False)


async def read_whole(receive, keep: bool = True) -> bytes:
    """The body of a request whose length is known; nothing of it if it is not to be kept."""
    parts, more = [], True
    while more:
        message = await receive()
        if keep:
            parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def replay(body: bytes, receive):
    """A receive() that gives the body that was read, then what is to come."""
    given = False

    async def again():
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
