"""Which requests the page itself can send: what else comes is refused before gradio sees it.

All events of our page have no inputs but the data of their trigger, so this is soon told. Gradio
writes a traceback into the log for each of the others.
"""

from demo.server.guard import SERVER

MAX_DEPTH = 6


def is_possible(page, path: str, body: object) -> bool:
    """Whether a request's body can come from the page.

    Args:
        page: gradio's Blocks.
        body: decoded JSON.
    """
    if not isinstance(body, dict) or not is_plain(body):
        return False
    visitor = body.get("session_hash")
    if not (isinstance(visitor, str) and 0 < len(visitor) <= 64):
        return False
    if path == SERVER:
        block = page.blocks.get(whole(body.get("component_id")))
        function = getattr(block, str(body.get("fn_name")), None)
        return getattr(function, "_is_server_fn", False) and isinstance(body.get("data"), dict)
    trigger, data = body.get("trigger_id"), body.get("event_data")
    return (
        whole(body.get("fn_index")) in page.fns
        and body.get("data") == []
        and (trigger is None or whole(trigger) in page.blocks)
        and (data is None or isinstance(data, dict))
        and body.keys() <= {"data", "event_data", "fn_index", "trigger_id", "session_hash"}
    )


def whole(value: object) -> int:
    """A whole number, or -1, which is nothing's."""
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def is_plain(body: object) -> bool:
    """Whether it is shallow and names no file for the server to open or fetch."""
    waiting = [(body, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            return False
        if isinstance(value, dict):
            if "meta" in value:  # gradio's mark of a file; the page's own requests have none
                return False
            waiting.extend((inner, depth + 1) for inner in value.values())
        elif isinstance(value, list):
            waiting.extend((inner, depth + 1) for inner in value)
    return True
