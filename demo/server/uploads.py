"""Takes files that visitors send: as they stream in, each under a name that nobody else knows.

The web framework's own way names an upload by its content, so that two visitors who send the same
file get one another's, and keeps it where it can be fetched from.
"""

import json
import secrets

from demo.server.sessions import Sessions

PATH = "/upload-photo"
BUSY = "so many photos wait that there is no room for more; please try again in a minute"


class Uploads:
    """ASGI application for POST of a file's bytes: {"key"} of what was kept.

    Args:
        max_bytes: of a file.
    """

    def __init__(self, sessions: Sessions, max_bytes: int):
        self.sessions, self.max_bytes = sessions, max_bytes

    async def __call__(self, scope, receive, send) -> None:
        key = secrets.token_hex(16)
        path = self.sessions.uploads / key
        length = int(dict(scope["headers"])[b"content-length"])  # the guard has seen to it
        count, more = 0, True
        try:
            with path.open("xb") as file:
                while more:
                    message = await receive()
                    if message["type"] != "http.request":  # gone before it had sent all
                        break
                    part, more = message.get("body", b""), message.get("more_body", False)
                    count += len(part)
                    if count > self.max_bytes:
                        break
                    file.write(part)
            whole = count == length and not more
        except OSError:
            whole = False
        if not whole:
            path.unlink(missing_ok=True)
            await respond(send, 400, "the file did not arrive whole; please send it again")
            return
        await respond(send, 200, json.dumps({"key": key}), b"application/json")


async def respond(send, status: int, text: str, kind: bytes = b"text/plain; charset=utf-8") -> None:
    """Answer a request with a short text."""
    headers = [(b"content-type", kind), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
