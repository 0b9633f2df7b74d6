"""What demo/app.py answers to hand-made requests: only what its page asks for."""

import asyncio
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from app_server import ROOT, free_port

from demo.app import demo_parser
from demo.server.guard import QUEUE_FULL, Answer, Guard
from demo.server.requests import is_plain
from demo.server.sessions import temporary_root
from sgz.errors import UserError

JSON = {"Content-Type": "application/json"}
JOIN, DIRECT, CAMERA = (
    f"gradio_api/{route}" for route in ("queue/join", "run/predict", "component_server")
)


def config(app) -> dict:
    """What the page is told of itself."""
    return json.loads(app.ask("config")[1])


def test_nothing_else_is_served(app, weight):
    shown = app.folder / "served" / "shown.txt"
    shown.write_text("content")
    assert app.ask(f"gradio_api/file={shown}") == (200, b"content")  # so a 403 means something
    shown.unlink()
    assert app.upload(b"sent")[0] == 200
    [sent] = (app.folder / "uploads").iterdir()
    kept = app.folder / "kept" / "secret.txt"
    kept.write_text("hidden")
    for path in (
        "/etc/passwd", ROOT / "option.py", "option.py", "demo/app.py", "weight/Epoch99.pth",
        weight, kept, sent, f"{app.folder}/served/../kept/secret.txt", app.folder / "lock",
        f"{app.folder}/served/..%2fkept/secret.txt", "../../../../../etc/passwd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/proc/self/environ", "file:///etc/passwd",
        "http://127.0.0.1:1/", "https://example.com/", "data/test_data/samples/cat.png",
    ):  # fmt: skip
        for route in ("gradio_api/file=", "file=", "gradio_api/file/", "static/", "assets/"):
            status, body = app.ask(f"{route}{path}")
            assert status in (400, 403, 404, 405), (route, path, status)
            assert b"root:" not in body and b"hidden" not in body and b"import " not in body
            assert body != b"sent"
    kept.unlink()
    sent.unlink()


def test_hostile_requests_are_refused(app):
    status, sentence = app.upload(bytes(3_200_000))
    assert (status, sentence) == (413, "larger than 3 MB")
    file = b'{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}'
    for body in (
        b'{"data": [%b], "fn_index": 0, "session_hash": "a"}' % file,
        b'{"data": [%b]}' % file.replace(b"/etc/passwd", b"http://example.com/x"),
        b"[" * 100_000,
        b"no json",
        b"",
    ):
        assert app.ask(JOIN, body, **JSON)[0] == 403
    assert app.ask(JOIN, b" " * 3_000_000, **JSON)[0] == 413
    assert app.ask("gradio_api/upload", b"x")[0] == 403  # gradio's own uploads
    assert app.ask("gradio_api/proxy=https://example.com/")[0] == 403
    assert app.ask("")[0] == 200


def test_bad_calls_leave_the_log_empty(app):
    """Whatever a call holds, it is answered; the fixture sees to the log at the end."""
    strange = [
        None, -1, 10**9, 1.5, "x", [], [1], {}, {"a": 1}, True, {"sample": []}, {"sample": 1e300},
        {"name": 5, "upload": [], "first": 1}, {"upload": "a" * 40, "name": "x" * 5000},
        {"brightness": "x", "shadows": -1e9, "look": []}, {"key": {}}, {"image": 1},
    ]  # fmt: skip
    known = config(app)
    answers = set()
    for number in [d["id"] for d in known["dependencies"]] + [10**6, "x"]:
        for value in strange:
            call = {"data": [], "event_data": value, "fn_index": number, "session_hash": "stranger"}
            for change in ({}, {"data": value}, {"trigger_id": value}, {"session_hash": value}):
                body = json.dumps(call | change).encode()
                answers.add(app.ask(DIRECT, body, **JSON)[0])
            answers.add(app.ask(JOIN, json.dumps(call).encode(), **JSON)[0])
    for number in [c["id"] for c in known["components"]]:
        for value in strange[::4]:
            call = {"component_id": number, "fn_name": "enhance", "data": value}
            body = json.dumps(call | {"session_hash": "stranger"}).encode()
            answers.add(app.ask(CAMERA, body, **JSON)[0])
    assert answers == {200, 403, 404}  # 404: of those in the queue, called past it


def test_foreign_hosts_are_not_reflected(app):
    for name in ("Host", "X-Forwarded-Host"):
        for foreign in ("evil.example", "evil.example:80", "8.8.8.8", "127.0.0.1.evil.example"):
            status, body = app.ask("config", **{name: foreign})
            assert status == 421 and foreign.encode() not in body
        assert app.ask("config", **{name: f"localhost:{app.port}"})[0] == 200
        assert app.ask("config", **{name: "192.168.1.7:80"})[0] == 200  # another name of ours


def test_same_file_of_many_visitors(app):
    """All arrive, each under a name of its own."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: app.upload(b"the same"), range(48)))
    assert {status for status, _ in answers} == {200}
    assert len({key for _, key in answers}) == 48
    for _, key in answers:
        (app.folder / "uploads" / key).unlink()


def run(coroutine) -> None:
    """Run it beside playwright, whose own loop has this thread."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, coroutine).result()


def respond(guard: Guard, headers: dict[str, str], path: str = "/") -> list[dict]:
    """What a guard answers to a GET."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": path, "server": ("10.0.0.5", 80),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    run(guard(scope, None, send))
    return sent


async def hello(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def broken(scope, receive, send):
    raise RuntimeError


def test_pages_in_frames():
    """None show ours, but the hub's where it is a space."""
    for frames in ("'none'", "https://huggingface.co"):
        guard = Guard(hello, None, 1, lambda: True, None, ["my.name", ".below"], frames)
        start = respond(guard, {"host": "My.Name:443"})[0]
        assert (
            f"frame-ancestors {frames}"
            in dict(start["headers"])[b"content-security-policy"].decode()
        )
        assert (b"x-frame-options" in dict(start["headers"])) == (frames == "'none'")
        assert respond(guard, {"host": "x.below"})[0]["status"] == 200
        assert respond(guard, {"host": "xbelow"})[0]["status"] == 421


def test_failures_inside_are_one_line(capsys):
    sent = respond(Guard(broken, None, 1, lambda: True, None), {"host": "localhost"}, "/x\ny")
    assert sent[0]["status"] == 400
    assert capsys.readouterr().err == "GET '/x\\ny': RuntimeError\n"


def test_full_queue_says_how_to_go_on():
    sent = []

    async def send(message):
        sent.append(message)

    async def answer_full():
        answer = Answer(send, [], served=False)
        answer.rewrites_full = True
        await answer(
            {"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"9")]}
        )
        await answer({"type": "http.response.body", "body": b"Queue is", "more_body": True})
        await answer({"type": "http.response.body", "body": b" full"})

    run(answer_full())
    assert sent[0]["headers"] == [] and len(sent) == 2
    assert json.loads(sent[1]["body"]) == {"detail": QUEUE_FULL}


def test_files_in_requests_are_found_at_any_depth():
    assert is_plain({"a": [{"b": 1}]})
    assert not is_plain({"a": [{"meta": {}}]})
    assert not is_plain([[[[[[[[1]]]]]]]])


HOLD = """
import sys, time
from demo.server.sessions import temporary_root
with temporary_root() as root:
    (root / "photo").write_text("of a visitor")
    print(root, flush=True)
    time.sleep(600)
"""


def test_kill_leaves_nothing_for_long(tmp_path, monkeypatch):
    """What a killed server could not delete, the next one does; not what another still uses."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # found anew
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        left = Path(server.stdout.readline().strip())
        with temporary_root() as root:
            assert sorted(tmp_path.iterdir()) == sorted((left, root))
        server.kill()
    assert (left / "photo").exists()
    with temporary_root() as root:
        assert list(tmp_path.iterdir()) == [root]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.pop("GRADIO_SERVER_NAME", None)
    serve = runpy.run_path(str(ROOT / "demo/app.py"))["serve"]
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"pip install -r requirements-demo\.txt"):
        serve(demo_parser().parse_args(["--port", str(free_port())]), tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(UserError, match=f"{port}; choose another --port"):
            serve(demo_parser().parse_args(["--port", port]), tmp_path)
