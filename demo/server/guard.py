"""A fence around a web server (ASGI): small requests, no foreign addresses, strict headers."""

import json
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

SMALL = 2_000_000  # bytes; all that is no upload: button presses and camera frames
# Only this server: nothing on the page can call elsewhere. Its scripts are compiled from templates.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
UNCACHED = (b"cache-control", b"no-store")


class Guard:
    """ASGI middleware that refuses what the page itself never asks for.

    Args:
        app: the application behind it.
        max_upload: bytes that a request to /upload may have.
        has_room: whether there is room for one more upload.
    """

    def __init__(
        self, app: Callable[..., Awaitable], max_upload: int, has_room: Callable[[], bool]
    ):
        self.app = app
        self.has_room = has_room
        self.max_upload = max_upload + 100_000  # names and boundaries around the file

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = unquote(scope["path"])
        served = "/file=" in path
        # A URL in place of a file would make the server fetch it.
        foreign = "://" in path if served else "/proxy=" in path
        if foreign or ".." in path.split("/"):
            await refuse(send, 403, "not allowed")
            return
        if scope["method"] == "POST":
            is_upload = path.rstrip("/").endswith("/upload")
            length = dict(scope["headers"]).get(b"content-length", b"")
            limit = self.max_upload if is_upload else SMALL
            if not length.isdigit():
                await refuse(send, 411, "say how long it is")
                return
            if int(length) > limit:
                if int(length) < 4 * limit:  # who is still sending would not hear the answer
                    await read_whole(receive, keep=False)
                await refuse(send, 413, f"larger than {limit / 1e6:.0f} MB")
                return
            if is_upload and not self.has_room():
                await refuse(send, 507, "no room for more at the moment")
                return
            if not is_upload:
                body = await read_whole(receive)
                if not is_plain(body):
                    await refuse(send, 403, "not allowed")
                    return
                receive = replay(body, receive)

        async def answer(message) -> None:
            if message["type"] == "http.response.start":
                extra = [*HEADERS, UNCACHED] if served else HEADERS
                names = {name for name, _ in extra}
                kept = [pair for pair in message["headers"] if pair[0].lower() not in names]
                message = {**message, "headers": [*kept, *extra]}
            await send(message)

        await self.app(scope, receive, answer)


async def refuse(send, status: int, sentence: str) -> None:
    """Answer with a sentence and nothing else."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})


async def read_whole(receive, keep: bool = True) -> bytes:
    """The body of a request whose length is known; nothing of it if it is not to be kept."""
    body, more = b"", True
    while more:
        message = await receive()
        if keep:
            body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


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


def is_plain(body: bytes) -> bool:
    """Whether it is nothing, or JSON that names no file for the server to open or fetch."""
    if not body:
        return True
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        return False
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "meta" in value:  # gradio's mark of a file; the page's own requests have none
                return False
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return True
