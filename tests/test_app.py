"""demo/app.py as its visitors meet it, in a real browser and by hand-made requests."""

import io
import os
import re
import runpy
import shutil
import socket
import sys
import time
from importlib.util import find_spec

import clips
import numpy as np
import pytest
from app_server import ROOT, Server, Visitor, free_port, until
from pictures import CAMERA, bomb, chunk, deep_png, exif, icc, png, saved, scene
from PIL import Image

from demo.app import demo_parser
from demo.server import sessions
from sgz.enhancer import Enhancer
from sgz.errors import UserError
from sgz.image.photo import read_photo

MAX_MB, MAX_MEGAPIXELS, MAX_SECONDS = 3, 4, 6
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCRIPTED = '<script>alert("polyglot")</script>'
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="gradio is not installed")


def jpeg(height: int = 150, width: int = 203, seed: int = 0) -> bytes:
    """A dark photograph with EXIF and a colour profile."""
    image = Image.fromarray(scene(height, width, seed=seed))
    return saved(image, "JPEG", quality=92, exif=exif(6).tobytes(), icc_profile=icc())


@pytest.fixture(scope="module")
def server(weight, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("scratch")
    limits = ("--max_mb", MAX_MB, "--max_megapixels", MAX_MEGAPIXELS, "--max_seconds", MAX_SECONDS)
    running = Server(scratch, "--weight_dir", weight, *limits)
    yield running
    assert running.end() == (0, "")  # SIGTERM is how it is ended, and nothing went wrong
    assert list(scratch.iterdir()) == []


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no chromium here; apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    flags = ["--no-sandbox", "--use-fake-device-for-media-stream",
             "--use-fake-ui-for-media-stream"]  # fmt: skip
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


@pytest.fixture
def visit(server, browser):
    """Opens the page for one more visitor; all leave at the end."""
    contexts = []

    def come(**options) -> Visitor:
        contexts.append(browser.new_context(**{"viewport": DESKTOP, **options}))
        return Visitor(contexts[-1], server.url)

    yield come
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def visitor(server, browser):
    """One visitor who tries one photograph after another."""
    context = browser.new_context(viewport=DESKTOP)
    yield Visitor(context, server.url)
    context.close()


def test_download_is_what_test_py_writes(visitor, server, weight, enhance, tmp_path):
    deep = scene(90, 121, 4, np.uint16)
    files = {"night out.jpg": jpeg(), "deep.png": deep_png(deep), "few.gif": saved(
        Image.fromarray(scene(40, 50)).quantize(16), "GIF")}  # fmt: skip
    for name, content in files.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    done = enhance(
        "--input_dir", tmp_path / "in", "--test_dir", tmp_path / "out", "--weight_dir", weight,
        "--look", "natural",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, content in files.items():
        visitor.brighten(name, content)
        saved_as, download = visitor.save()
        expected = tmp_path / "out" / (name if name != "few.gif" else "few.png")
        assert saved_as == f"{expected.stem}-bright{expected.suffix}"
        assert download == expected.read_bytes()
    kept = "".join(server.files())  # of the last photograph alone
    assert "few-bright.png" in kept and "deep" not in kept and "night" not in kept
    assert kept.count("photo-") == kept.count("before-") == kept.count("after-") == 1
    assert np.ptp(read_photo(tmp_path / "out/deep.png").pixels) > 256  # 16 bits went through
    assert CAMERA.encode() in (tmp_path / "out/night out.jpg").read_bytes()


def test_sliders_change_picture_and_download(visitor, weight):
    dark = scene(96, 144)
    visitor.brighten("dark.png", png(dark))
    first = visitor.after()
    visitor.set("Strength", 0.5)
    visitor.set("Iterations", 3)
    enhancer = Enhancer(weight, look="natural")
    expected = enhancer.apply(dark, enhancer.factor(dark), 0.5, 3)
    _, download = visitor.save()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(download))), expected)
    shown = visitor.page.request.get(visitor.page.url + visitor.after()).body()
    difference = np.asarray(Image.open(io.BytesIO(shown)), int) - expected
    assert abs(difference.mean(axis=(0, 1))).max() < 1.5  # the page's picture is a JPEG
    visitor.set("Strength", 1)
    visitor.set("Iterations", 8)
    again = visitor.page.request.get(visitor.page.url + visitor.after()).body()
    assert visitor.after() != first and Image.open(io.BytesIO(again)).size == (144, 96)


TRANSFER = """
([name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name));
  return transfer;
}
"""


def test_photo_can_be_dropped_or_pasted(visitor):
    content = list(png(scene(40, 60)))
    dropped = visitor.page.evaluate_handle(TRANSFER, ["dropped.png", content])
    visitor.panel.locator(".drop").dispatch_event("drop", {"dataTransfer": dropped})
    visitor.panel.get_by_text("dropped.png").wait_for()
    pasted = visitor.page.evaluate_handle(TRANSFER, ["pasted.png", content])
    paste = "(data) => window.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}))"
    visitor.page.evaluate(paste, pasted)
    visitor.panel.get_by_text("pasted.png").wait_for()


def test_map_is_shown_on_request(visitor):
    visitor.brighten("map.png", png(scene(96, 144)))
    before = visitor.after()
    visitor.panel.get_by_label("Show where light is added").check()
    visitor.panel.get_by_text("more light").wait_for()
    until(lambda: visitor.after() != before)
    visitor.settle()
    body = visitor.page.request.get(visitor.page.url + visitor.after()).body()
    colours = np.asarray(Image.open(io.BytesIO(body)).convert("HSV"))
    assert colours[..., 1].mean() > 60  # in colours, where the scene is nearly gray
    assert visitor.panel.get_by_role("img", name="Where light is added").count() == 1
    visitor.panel.get_by_label("Show where light is added").uncheck()
    visitor.panel.get_by_text("more light").wait_for(state="hidden")


def test_keyboard_alone_goes_all_the_way(visit):
    visitor = visit()
    page = visitor.page
    for _ in range(20):
        page.keyboard.press("Tab")
        picture = page.evaluate("document.activeElement.querySelector('img')?.alt")
        if picture == "Try the sample rocket":
            break
    page.keyboard.press("Enter")
    visitor.panel.locator(".compare .name", has_text="rocket.png").wait_for()
    visitor.settle()
    divider = visitor.panel.get_by_role("slider", name=re.compile("Divider"))
    for _ in range(40):
        if divider.evaluate("field => field === document.activeElement"):
            break
        page.keyboard.press("Shift+Tab")
    left = visitor.panel.locator(".compare .divider").bounding_box()["x"]
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    moved = visitor.panel.locator(".compare .divider").bounding_box()["x"] - left
    width = visitor.panel.locator(".compare .stage").bounding_box()["width"]
    assert moved == pytest.approx(width / 10, abs=3)


UNNAMED = """
[...document.querySelectorAll("button, input, a[href], video, img, select, textarea")].filter(
  (e) => e.checkVisibility() && !(e.getAttribute("aria-label") || e.labels?.length || e.alt ||
    e.textContent.trim() || e.title || e.querySelector("img[alt]"))).map((e) => e.outerHTML)
"""


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_page_fits_and_calls_nobody(visit, server, size, scheme, tmp_path):
    visitor = visit(viewport=size, color_scheme=scheme)
    page = visitor.page
    visitor.brighten("a name that is long enough to have to be broken somewhere.jpg", jpeg())
    for tab in ("Video", "Camera", "Photo"):
        page.get_by_role("tab", name=tab).click()
        page.screenshot(path=tmp_path / f"{tab}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert page.evaluate(UNNAMED) == []
    with Image.open(tmp_path / "Photo.png") as shot:
        corner = np.asarray(shot.convert("L"))[:8, :8].mean()
    assert (corner < 60) if scheme == "dark" else (corner > 200)
    assert {
        r for r in visitor.requests if not r.startswith((server.url, "data:", "blob:"))
    } == set()
    assert visitor.complaints == []


BAD = {
    "words.png": (b"no picture at all", "not an image that can be decoded"),
    "photo.exe": (b"MZ" + bytes(100), "not an image that can be decoded"),
    "page.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image that can be decoded"),
    "bomb.png": (bomb(), "over the limit of 4 megapixels"),
    "cut.jpg": (jpeg()[:2000], "damaged or truncated"),
    "empty.png": (b"", "not an image that can be decoded"),
    "<img src=x onerror=document.title='owned'>.png": (b"x", "was not brightened"),
    "large.png": (bytes(MAX_MB * 1_000_000 + 1), "at most 3 MB"),
}


def test_bad_files_get_a_sentence_and_the_page_goes_on(visitor):
    for name, (content, reason) in BAD.items():
        visitor.choose(name, content)
        until(lambda reason=reason: reason in visitor.message())
        assert visitor.panel.locator(".message.error").count() == 1
        assert "command" not in visitor.message() and "--" not in visitor.message()
    assert visitor.page.title() != "owned"
    visitor.brighten("good.jpg", jpeg())
    assert visitor.panel.locator(".message.error").count() == 0


def test_polyglot_is_written_anew(visitor):
    """A picture that is also a page with a script gives a picture alone."""
    content = png(scene(60, 60))
    content = content[:33] + chunk(b"tEXt", b"Comment\0" + SCRIPTED.encode()) + content[33:]
    visitor.brighten("picture.html.png", content + SCRIPTED.encode())
    name, download = visitor.save()
    assert name == "picture.html-bright.png"
    assert b"script" not in download
    assert Image.open(io.BytesIO(download)).size == (60, 60)


def test_two_visitors_do_not_mix(visit, weight):
    enhancer = Enhancer(weight, look="natural")
    scenes = [scene(70 + 9 * number, 90, seed=number) for number in range(2)]
    visitors = [visit() for _ in scenes]
    for visitor, dark in zip(visitors, scenes, strict=True):
        visitor.choose("same name.png", png(dark))
    for visitor, dark in zip(visitors, scenes, strict=True):
        visitor.panel.get_by_text(re.compile(f"90 . {len(dark)}")).wait_for()
        visitor.settle()
    visitors[0].set("Strength", 0.3)
    for visitor, dark, strength in zip(visitors, scenes, (0.3, 1.0), strict=True):
        _, download = visitor.save()
        expected = enhancer.apply(dark, enhancer.factor(dark), strength)
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(download))), expected)
    assert visitors[0].after().split("/")[-3] != visitors[1].after().split("/")[-3]


def test_nothing_is_left_of_a_visitor_who_left(visit, server, browser):
    others = server.files()
    context = browser.new_context()
    visitor = Visitor(context, server.url)
    visitor.brighten("mine.png", png(scene(50, 50, seed=5)))
    visitor.save()
    # Of what was sent, nothing lies where the server could serve it from.
    assert not [name for name in server.files() if re.search("served.*mine.png", name)]
    shown = visitor.after()
    assert server.ask(shown)[0] == 200
    context.close()
    until(lambda: server.files() <= others)
    assert server.ask(shown)[0] == 403


@pytest.fixture(scope="module")
def videographer(server, browser):
    """One visitor of the tab for videos."""
    context = browser.new_context(viewport=DESKTOP)
    visitor = Visitor(context, server.url)
    visitor.page.get_by_role("tab", name="Video").click()
    yield visitor
    context.close()


def test_video_is_brightened_and_plays(videographer, tmp_path):
    visitor = videographer
    clip = clips.make_clip(tmp_path / "dim.mp4", frames=30, size=(160, 96), sound=True)
    visitor.choose("dim.mp4", clip.read_bytes())
    assert visitor.message().startswith("Done.")
    video = visitor.panel.locator("video")
    until(lambda: video.evaluate("video => video.readyState") >= 2)
    assert video.evaluate("video => [video.videoWidth, video.error]") == [160, None]
    name, download = visitor.save("Download the video")
    assert name == "dim-bright.mp4"
    (tmp_path / name).write_bytes(download)
    dark, bright = clips.decode_all(clip), clips.decode_all(tmp_path / name)
    assert len(bright) == len(dark) == 30
    assert np.mean(bright) > np.mean(dark) + 10
    assert clips.packets_of(tmp_path / name, "audio") == clips.packets_of(clip, "audio")


def test_video_shows_progress_holds_the_queue_and_can_be_stopped(
    videographer, visitor, server, tmp_path
):
    other, visitor = visitor, videographer
    other.brighten("first.png", png(scene(60, 80)))
    still = clips.view(0, 1280, 720)
    clip = clips.make_clip(
        tmp_path / "slow.mp4", 330, (1280, 720), rate=60, picture=lambda *_: still
    )
    visitor.choose("slow.mp4", clip.read_bytes())
    bar = visitor.panel.get_by_role("progressbar")
    until(lambda: bar.count() and float(bar.get_attribute("aria-valuenow")) > 0, 60)
    other.choose("second.png", png(scene(60, 80)))
    other.set("Strength", 0.4)  # a slider does not wait
    assert other.panel.locator(".compare .name").inner_text() == "first.png"
    visitor.panel.get_by_role("button", name="Stop").click()
    other.panel.get_by_text("second.png").wait_for()
    other.set("Strength", 1)
    until(lambda: visitor.message() == "Stopped.")
    assert not [name for name in server.files() if "slow-bright" in name or name.endswith(".tmp")]


def test_bad_videos_get_a_sentence(videographer, tmp_path):
    visitor = videographer
    long = clips.make_clip(tmp_path / "long.mp4", frames=14, rate=2, size=(64, 48))
    for name, content, reason in (
        ("long.mp4", long.read_bytes(), "7 seconds are over the limit of 6"),
        ("words.mp4", b"no video at all", "is no video that can be read"),
        ("photo.mp4", b"", "was not brightened"),
    ):
        visitor.choose(name, content)
        until(lambda reason=reason: reason in visitor.message())
        assert str(tmp_path.parent) not in visitor.message() and "--" not in visitor.message()


def test_camera_is_brightened_until_stopped(visit, server):
    others = server.files()
    visitor = visit(permissions=["camera"])
    visitor.page.get_by_role("tab", name="Camera").click()
    visitor.panel.get_by_role("button", name="Start the camera").click()
    picture = visitor.panel.get_by_alt_text("Your camera, brightened")
    until(lambda: picture.get_attribute("src"))
    first = picture.get_attribute("src")
    until(lambda: picture.get_attribute("src") != first)
    assert picture.evaluate("image => image.naturalWidth") == 640
    assert server.files() <= others  # no picture of it is written down
    visitor.panel.get_by_role("button", name="Stop the camera").click()
    assert visitor.panel.get_by_role("button", name="Start the camera").is_visible()
    assert not picture.is_visible()


def test_nothing_else_is_served(server, weight):
    status, path = server.upload("../../x.png", b"content")
    assert status == 200
    assert os.path.commonpath([path, server.folder / "served"]) == str(server.folder / "served")
    assert server.ask(f"gradio_api/file={path}") == (200, b"content")  # so a 403 means something
    kept = server.folder / "kept" / "secret.txt"
    kept.write_text("hidden")
    for path in (
        "/etc/passwd", ROOT / "option.py", "option.py", "demo/app.py", "weight/Epoch99.pth",
        weight, kept, f"{server.folder}/served/../kept/secret.txt",
        f"{server.folder}/served/..%2fkept/secret.txt", "../../../../../etc/passwd",
        "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/proc/self/environ", "file:///etc/passwd",
        "http://127.0.0.1:1/", "https://example.com/", "data/test_data/samples/cat.png",
    ):  # fmt: skip
        for route in ("gradio_api/file=", "file=", "gradio_api/file/", "static/", "assets/"):
            status, body = server.ask(f"{route}{path}")
            assert status in (400, 403, 404, 405), (route, path, status)
            assert b"root:" not in body and b"hidden" not in body and b"import " not in body
    kept.unlink()


def test_hostile_requests_are_refused(server):
    heading = {"Content-Type": "application/json"}
    assert server.upload("large.png", bytes(MAX_MB * 1_000_000 + 200_000))[0] == 413
    file = b'{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}'
    for body in (
        b'{"data": [%b], "fn_index": 0, "session_hash": "a"}' % file,
        b'{"data": [%b]}' % file.replace(b"/etc/passwd", b"http://example.com/x"),
        b"[" * 100_000,
        b"no json",
    ):
        assert server.ask("gradio_api/queue/join", body, **heading)[0] == 403
    assert server.ask("gradio_api/queue/join", b" " * 3_000_000, **heading)[0] == 413
    assert server.ask("gradio_api/proxy=https://example.com/")[0] == 403
    assert server.ask("")[0] == 200


def test_old_folders_are_swept(tmp_path):
    shelf = sessions.Sessions(tmp_path)
    left, here = shelf.open("left"), shelf.open("here")
    upload = shelf.served / ("a" * 64)
    upload.mkdir()
    for folder, seconds in ((left.kept, 3600), (left.served, 3600), (upload, 3600)):
        os.utime(folder, (time.time() - seconds,) * 2)
    shelf.sweep()
    assert not left.alive and not upload.exists() and here.alive
    with pytest.raises(UserError, match="rested too long"):
        sessions.load_sheet(here)
    with pytest.raises(UserError, match="send it again"):
        shelf.take_upload("/etc/passwd", here, "photo")


@pytest.mark.parametrize("look", ["paper", "natural"])
def test_large_photo_is_shown_small_and_saved_whole(look, weight, tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "PREVIEW", 100)
    monkeypatch.setattr(sessions.shrink, "__defaults__", (100,))
    dark, source = scene(300, 420), tmp_path / "source"
    source.write_bytes(png(dark))
    enhancer = Enhancer(weight, look=look)
    sheet = sessions.new_sheet(enhancer, source, "../../etc/x.png", 10**6)
    assert (sheet.name, sheet.size, sheet.dark.shape) == ("x.png", (420, 300), (71, 100, 3))
    shown = sessions.brighten_preview(enhancer, sheet, 1.0, 8).astype(int)
    whole = sessions.shrink(enhancer(dark)).astype(int)
    assert abs(shown - whole).mean() < 3  # alike for the eye
    content = sessions.finish(enhancer, sheet, 1.0, 8, 10**6)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), enhancer(dark))


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
