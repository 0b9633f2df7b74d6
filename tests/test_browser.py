"""The page in demo/browser, in chromium: its pictures against Python's, and what a person meets."""

import io
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browsing import FLAGS, WEBGPU
from clips import decode_all, frame_times, make_clip, packets_of
from pictures import bomb, png, saved, scene, turned
from PIL import Image, ImageCms

from sgz.enhancer import Enhancer
from sgz.model import load_model
from sgz.onnx_graph import network_to_onnx

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "demo/browser"
WEIGHT = ROOT / "weight/Epoch99.pth"
SIZES = [(37, 53), (130, 96), (7, 5), (1, 1), (401, 603), (40, 3700)]  # height, width
PATIENCE = 60_000  # milliseconds, on a busy machine


class Quiet(SimpleHTTPRequestHandler):
    """A static host that knows no type for .wasm; `seen` holds what it was asked for."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".wasm": "text/plain"}
    seen: list[tuple[str, str]]

    def log_message(self, *_):
        self.seen.append((self.headers["Host"], self.path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page, with the network of the weights in the box."""
    if not (PAGE / "vendor/ort.js").is_file():
        pytest.skip("demo/browser/vendor is not there; run python demo/browser/prepare.py")
    target = tmp_path_factory.mktemp("host") / "page"
    shutil.copytree(PAGE, target)
    (target / "sgz.onnx").write_bytes(network_to_onnx(load_model(WEIGHT)))
    return target


def served(folder: Path) -> ThreadingHTTPServer:
    handler = type("Handler", (Quiet,), {"seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=folder))
    server.seen = handler.seen
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def host(folder):
    server = served(folder.parent)  # the page lies in a folder of its host
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(chromium):
    """The session's one: playwright has a single loop in a process."""
    return chromium


@pytest.fixture(scope="module")
def enhancer():
    return enhancer_of("natural")


def enhancer_of(look: str) -> Enhancer:
    return Enhancer(WEIGHT, threads=1, look=look, denoise="off")


@pytest.fixture(scope="module")
def visit(browser, host):
    """Opens the page. Every request of all these tests must stay with its host, and nothing may
    go wrong inside the page that it does not expect."""
    requests, troubles = [], []

    def open_page(query: str = "", wait: bool = True, script: str | None = None):
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: troubles.append((message.type, message.text)))
        page.on("pageerror", lambda error: troubles.append(("error", str(error))))
        if script:
            page.add_init_script(script)
        page.goto(f"http://127.0.0.1:{host.server_port}/page/{query}")
        if wait:
            page.wait_for_selector("[data-network=ready]")
        return page

    yield open_page
    ours = (f"http://127.0.0.1:{host.server_port}/", f"blob:http://127.0.0.1:{host.server_port}/")
    assert [url for url in requests if not url.startswith(ours)] == []
    wrong = [text for kind, text in troubles if kind == "error"]
    assert [text for text in wrong if "Content Security Policy" not in text] == []


@pytest.fixture(scope="module")
def shared(visit):
    """A page that several tests take on, one after another."""
    return visit()


def until(true, *arguments) -> None:
    """Wait for a condition; a page's own waiting is refused by its security policy."""
    stop = time.monotonic() + PATIENCE / 1000
    while not true(*arguments):
        assert time.monotonic() < stop
        time.sleep(0.02)


def choose(page, content: bytes, name: str = "photo.png") -> None:
    """Give the page a file and wait until it says what became of it."""
    page.set_input_files("#file", {"name": name, "mimeType": type_of(name), "buffer": content})
    settled(page)


def settled(page) -> None:
    """Wait until the page has done what it was asked."""
    until(lambda: page.get_attribute("#page", "aria-busy") == "false")


def type_of(name: str) -> str:
    return {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}[name.split(".")[-1]]


def downloaded(page) -> tuple[str, Image.Image]:
    """The file that the Download button gives: its name and content."""
    with page.expect_download() as waiting:
        page.click("#download")
    content = Path(waiting.value.path()).read_bytes()
    return waiting.value.suggested_filename, Image.open(io.BytesIO(content))


def colours(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def largest_difference(image: np.ndarray, expected: np.ndarray) -> int:
    assert image.shape == expected.shape
    return int(np.abs(image.astype(int) - expected).max())


def count(page, name: str) -> int:
    return int(page.get_attribute("#page", f"data-{name}"))


@pytest.mark.parametrize("look", ["natural", "paper"])
@pytest.mark.parametrize("painter", ["WebGL", "JavaScript"])
def test_pictures_equal_pythons(shared, visit, painter, look):
    page = shared if painter == "WebGL" else visit("?plain")
    choose(page, png(scene(9, 9)))
    page.check(f"[value={look}]")
    enhancer = enhancer_of(look)
    for number, size in enumerate(SIZES):
        dark = scene(*size, seed=number)
        choose(page, png(dark), f"{number}.png")
        assert page.get_attribute("#page", "data-painter") == painter
        name, image = downloaded(page)
        assert (name, image.format) == (f"{number}-bright.png", "PNG")
        bright = enhancer(dark)
        assert largest_difference(colours(image), bright) <= 2
        assert dark.shape == (1, 1, 3) or largest_difference(bright, dark) > 10
    page.check("[value=natural]")


def test_both_pages_hold_the_same_tokens():
    assert (PAGE / "tokens.css").read_text() == (ROOT / "demo/page/tokens.css").read_text()


def test_what_was_measured_is_said(shared, enhancer):
    veiled = np.clip(scene(240, 320) + 9, 0, 255).astype(np.uint8)
    choose(shared, png(veiled), "veiled.png")
    black = 255 * enhancer.treatment(veiled).black.mean()
    found = re.fullmatch(r"Black (\d+) · Exposure (\d\.\d)", shared.inner_text("#measured"))
    assert abs(int(found[1]) - black) <= 0.51
    assert shared.inner_text("#name").startswith("veiled.png · 320 ")


def test_several_photos_are_all_taken_and_come_as_one_zip(visit, enhancer):
    page = visit()
    pictures = [scene(50 + i, 60, seed=i) for i in range(3)]
    contents = [("a.png", png(pictures[0])), ("a.png", png(pictures[1])), ("b.png", b"none"),
                ("c.png", png(pictures[2]))]  # fmt: skip
    page.set_input_files("#file", [
        {"name": name, "mimeType": "image/png", "buffer": content} for name, content in contents
    ])  # fmt: skip
    settled(page)
    assert page.locator("#shelf button").count() == 4
    page.wait_for_selector("#download:has-text('Download this one')")
    with page.expect_download() as waiting:
        page.click("#download-all")
    with zipfile.ZipFile(waiting.value.path()) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a-bright.png", "a-bright-2.png", "c-bright.png"]
        for name, dark in zip(archive.namelist(), pictures, strict=True):
            image = colours(Image.open(io.BytesIO(archive.read(name))))
            assert largest_difference(image, enhancer(dark)) <= 2
    settled(page)
    assert page.inner_text("#error-text").startswith("“b.png” was not brightened: it is damaged")
    page.close()


def test_the_first_screen_shows_a_sample_before_and_after(visit):
    page = visit()
    assert page.locator("#after canvas").is_visible()
    assert page.inner_text("h1") == "Light for dark photos"
    assert page.locator("#samples button").count() == 3
    until(lambda: page.input_value("#split") == "50")
    page.locator("#samples button").nth(1).click()
    page.wait_for_selector("#status:has-text('Done.')")
    assert not page.is_visible("#samples")
    page.close()


def brightened(page, path: Path) -> tuple[Path, str]:
    """The video that the page makes of one: its file and name."""
    page.set_input_files("#video-file", path)
    page.wait_for_selector("#status:has-text('Done.'), #error:visible")
    assert page.is_hidden("#error"), page.inner_text("#error-text")
    with page.expect_download() as waiting:
        page.click("#download")
    return Path(waiting.value.path()), waiting.value.suggested_filename


def test_a_video_is_brightened_frame_by_frame_with_its_times_and_sound(visit, tmp_path):
    times = [0, 40, 80, 200, 240, 320, 330, 400]  # of no even rate
    dark = make_clip(
        tmp_path / "dark.mp4", len(times), (128, 96), times=times, sound=True,
        time_base=Fraction(1, 1000),
    )  # fmt: skip
    page = visit()
    path, name = brightened(page, dark)
    assert page.inner_text("#status") == f"Done. {len(times)} frames."
    assert name.rsplit(".", 1)[0] == "dark-bright"
    assert [round(1000 * time) for time in frame_times(path)] == times
    for before, after in zip(decode_all(dark), decode_all(path), strict=True):
        assert after.shape == before.shape
        assert after.mean() > before.mean() + 20
    assert packets_of(path, "audio")
    if name.endswith("mp4"):
        assert packets_of(path, "audio") == packets_of(dark, "audio")  # copied
    assert page.locator("#before-frame").is_visible()

    page.set_input_files("#video-file", ROOT / "demo/Movie/sample.mp4")
    page.wait_for_selector("#status:has-text('%')")
    page.click("#camera")  # which now stops it
    assert page.get_attribute("#page", "data-state") == "empty"
    path, _ = brightened(page, dark)
    assert len(decode_all(path)) == len(times)
    page.close()


def test_where_there_is_no_webcodecs_a_video_is_played_and_recorded(visit, tmp_path):
    page = visit("?plain&played")
    clip = make_clip(tmp_path / "sample.mp4", 24, (128, 96), sound=True)
    path, name = brightened(page, clip)
    assert name.startswith("sample-bright.")
    frames, dark = decode_all(path), decode_all(clip)[0]
    assert frames
    assert frames[-1].shape == dark.shape
    assert frames[-1].mean() > dark.mean() + 20
    page.set_input_files(
        "#video-file", {"name": "no.mp4", "mimeType": "video/mp4", "buffer": b"none"}
    )
    page.wait_for_selector("#error:visible")
    assert page.inner_text("#error-text").startswith("“no.mp4” was not brightened: it is damaged")
    page.close()


def test_a_picture_is_seen_at_its_own_size_and_moved(shared):
    choose(shared, png(scene(800, 1000)), "large.png")
    shared.click("#whole")
    box = "(() => { const b = document.querySelector('#after').getBoundingClientRect(); " \
          "return [b.left, b.top, b.width, b.height] })()"  # fmt: skip
    left, top, width, height = shared.evaluate(box)
    assert (width, height) == (1000, 800)
    stage = shared.locator("#stage").bounding_box()
    x, y = stage["x"] + 100, stage["y"] + stage["height"] - 60
    shared.mouse.move(x, y)
    shared.mouse.down()
    shared.mouse.move(x - 40, y - 30)
    shared.mouse.up()
    assert shared.evaluate(box)[:2] == [left - 40, top - 30]
    shared.click("#fit")
    assert shared.evaluate(box)[2] == shared.locator("#stage").bounding_box()["width"] < 1000


@pytest.fixture
def gpu_page(folder, browser):
    """The page in a chromium that has WebGPU, in software."""
    chromium = shutil.which("chromium")
    other = browser.browser_type.launch(executable_path=chromium, args=[*FLAGS, *WEBGPU])
    server = served(folder)
    page = other.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    page.wait_for_selector("[data-network=ready]")
    yield page
    other.close()
    server.shutdown()
    server.server_close()


def test_webgpu_paints_what_the_others_do(gpu_page):
    page = gpu_page
    if page.get_attribute("#page", "data-painter") != "WebGPU":
        pytest.skip("this chromium has no WebGPU")
    dark, alpha = scene(50, 70), np.tile(np.arange(70, dtype=np.uint8) * 3 + 40, (50, 1))
    choose(page, png(dark))
    for look in ("natural", "paper"):
        page.check(f"[value={look}]")
        enhancer = enhancer_of(look)
        for number, size in enumerate(SIZES):
            picture = scene(*size, seed=number)
            choose(page, png(picture), f"{number}.png")
            assert largest_difference(colours(downloaded(page)[1]), enhancer(picture)) <= 2
        choose(page, png(np.dstack((dark, alpha))), "clear.png")
        result = np.asarray(downloaded(page)[1])
        assert (result[..., 3] == alpha).all()
        assert largest_difference(result[..., :3], enhancer(dark)) <= 6  # a 2D canvas rounds
    assert page.get_attribute("#page", "data-painter") == "WebGPU"


def test_a_picture_larger_than_a_texture(shared, enhancer):
    dark = scene(10, 8300)  # of the software renderer's textures
    choose(shared, png(dark))
    assert shared.get_attribute("#page", "data-painter") == "JavaScript"
    assert largest_difference(colours(downloaded(shared)[1]), enhancer(dark)) <= 2


def test_gray_stays_gray_and_clear_stays_clear(shared, enhancer):
    page = shared
    gray = scene(50, 70, 1)
    for name, content in (("gray.png", png(gray)), ("gray.jpg", jpeg(gray))):
        choose(page, content, name)
        result = colours(downloaded(page)[1])
        assert (result == result[..., :1]).all()
        assert largest_difference(result[..., 0], enhancer(gray)) <= (2 if "png" in name else 12)
    dark, alpha = scene(50, 70), np.tile(np.arange(70, dtype=np.uint8), (50, 1))
    choose(page, png(np.dstack((dark, alpha))), "clear.png")
    result = np.asarray(downloaded(page)[1])
    assert (result[..., 3] == alpha).all()
    seen = alpha > 0  # what is wholly clear has no colour to compare
    assert largest_difference(result[seen][:, :3], enhancer(dark)[seen]) <= 2


def jpeg(pixels: np.ndarray, **options) -> bytes:
    return saved(Image.fromarray(pixels), "JPEG", quality=98, subsampling=0, **options)


def test_a_turned_jpeg_comes_back_upright_as_jpeg(shared, enhancer):
    page = shared
    dark = scene(90, 40)
    dark[:30] = dark[:30, :, ::-1]  # enhancing may even out how bright the two ends are
    bright = enhancer(dark)
    choose(page, turned(dark, 6, "JPEG"), "turned.jpg")
    name, image = downloaded(page)
    assert (name, image.format, image.getexif().get(0x0112, 1)) == ("turned-bright.jpg", "JPEG", 1)
    assert image.size == (40, 90)
    parts, expected = (a.reshape(9, 10, 4, 10, 3).mean((1, 3)) for a in (colours(image), bright))
    assert np.abs(parts - expected).max() < 6  # JPEG's own loss is in the details
    assert np.abs(parts - expected[::-1]).max() > 20


def test_a_picture_is_enhanced_as_its_profile_makes_it_look(shared, enhancer):
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = usual  # in its table of tags red and green change places
    for old, new in ((b"rXYZ", b"...."), (b"gXYZ", b"rXYZ"), (b"....", b"gXYZ")):
        exchanged = exchanged.replace(old, new, 1)
    dark = scene(40, 60)
    for profile, seen in ((usual, dark), (exchanged, dark[..., [1, 0, 2]])):
        choose(shared, saved(Image.fromarray(dark), "PNG", icc_profile=profile))
        result = colours(downloaded(shared)[1])
        assert largest_difference(result, enhancer(seen)) <= 6  # the profile's tables round


def test_sliders_change_the_picture_without_the_network(shared, enhancer):
    page = shared
    dark = scene(61, 83)
    factor = enhancer.factor(dark)
    choose(page, png(dark))
    runs = count(page, "runs")
    for strength, iterations in ((0.5, 4), (1.5, 16), (0, 1), (1, 8)):
        draws = count(page, "draws")
        page.fill("#strength", str(strength))
        page.fill("#iterations", str(iterations))
        until(lambda least: count(page, "draws") > least, draws)
        page.wait_for_timeout(150)  # both sliders may not have met the same frame
        result = colours(downloaded(page)[1])
        expected = enhancer.apply(dark, factor, strength, iterations)
        assert largest_difference(result, expected) <= (2 if strength else 0)
    assert count(page, "runs") == runs


def test_the_divider_is_worked_by_keyboard(shared):
    page = shared
    choose(page, png(scene(60, 90)))
    divider = page.get_by_role("slider", name="Divider: before on its left")
    divider.focus()
    edge = "getComputedStyle(document.querySelector('.clip')).clipPath"
    before = page.evaluate(edge)
    divider.press("ArrowLeft")
    assert divider.input_value() == "49"
    assert page.evaluate(edge) != before
    for control in ("Brightness", "Shadows"):
        assert page.get_by_role("slider", name=control).is_visible()
    page.get_by_role("checkbox", name="Show the factor map").press("Space")
    assert page.locator("#map").is_visible()
    assert page.evaluate("document.getElementById('map').width") == 8  # 90 / 12, rounded up


def test_a_bad_file_gets_a_sentence_and_the_page_goes_on(shared):
    page = shared
    for name in ("nothing.jpg", "cut.png"):
        content = b"no picture" if "jpg" in name else png(scene(60, 90))[:60]
        choose(page, content, name)
        sentence = page.inner_text("#error-text")
        assert sentence.startswith(f"“{name}” was not brightened: it is damaged")
        assert page.get_attribute("#page", "data-state") == "empty"  # the old picture goes
    choose(page, bomb(20_000), "bomb.png")
    assert "400 megapixels" in page.inner_text("#error-text")
    open_sample(page)
    assert not page.is_visible("#error")
    assert downloaded(page)[1].size == (1280, 746)  # the theatre


def open_sample(page) -> None:
    page.locator("#samples button").first.click()
    page.wait_for_selector("[data-state=photo]")
    settled(page)


@pytest.mark.parametrize(
    "event",
    ["ClipboardEvent('paste', {clipboardData: data})", "DragEvent('drop', {dataTransfer: data})"],
)
def test_photos_are_pasted_and_dropped(shared, event):
    name = f"{event[:4]}.png"
    shared.evaluate(f"""async () => {{
        const content = await (await fetch("vendor/chelsea.png")).blob();
        const data = new DataTransfer();
        data.items.add(new File([content], "{name}", {{type: content.type}}));
        document.dispatchEvent(new {event});
    }}""")
    shared.wait_for_selector(f"#name:has-text('{name} · 451 ')")


def test_the_camera(shared):
    page = shared
    page.click("#camera")
    page.wait_for_selector("[data-state=camera]")
    draws = count(page, "draws")
    until(lambda: count(page, "draws") > draws + 2)
    track = page.evaluate_handle("document.querySelector('video').srcObject.getVideoTracks()[0]")
    page.check("#show-map")
    assert page.inner_text("#after-tag") == "Factor map"
    name, image = downloaded(page)
    assert name == "camera-bright.jpg"
    size = page.evaluate("[document.querySelector('video').videoWidth, "
                         "document.querySelector('video').videoHeight]")  # fmt: skip
    assert list(image.size) == size
    assert colours(image).std() > 10
    page.click("#camera")
    page.wait_for_selector("[data-state=empty]")
    assert track.evaluate("track => track.readyState") == "ended"
    open_sample(page)


def test_a_refused_camera_gets_a_sentence(shared):
    refuse = "() => Promise.reject(new DOMException('', 'NotAllowedError'))"
    shared.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {refuse}; }}")
    shared.click("#camera")
    shared.wait_for_selector("#error:visible")
    assert "may not use the camera" in shared.inner_text("#error-text")
    shared.evaluate("delete navigator.mediaDevices.getUserMedia")  # the prototype's shows again


def test_the_page_can_talk_to_nobody_else(shared, host):
    page = shared
    elsewhere = (
        f"http://localhost:{host.server_port}/page/style.css"  # the same host by another name
    )
    attempt = f"fetch('{elsewhere}', {{mode: 'no-cors'}}).then(() => 'answered', () => 'refused')"
    assert page.evaluate(attempt) == "refused"
    assert not [name for name, _ in host.seen if name.startswith("localhost")]


def test_a_lost_graphics_card_is_done_without(visit, enhancer):
    page = visit()
    dark = scene(61, 83)
    choose(page, png(dark))
    page.evaluate(
        "document.querySelector('#after canvas').getContext('webgl2')"
        ".getExtension('WEBGL_lose_context').loseContext()"
    )
    page.wait_for_selector("[data-painter=JavaScript]")
    settled(page)
    assert largest_difference(colours(downloaded(page)[1]), enhancer(dark)) <= 2


def test_a_phone_scrolls_one_way(shared):
    page = shared
    page.set_viewport_size({"width": 390, "height": 844})
    too_wide = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(too_wide)
    choose(page, png(scene(40, 300)), "a" * 120 + ".png")
    page.check("#show-map")
    assert not page.evaluate(too_wide)
    choose(page, b"no picture", "b" * 120 + ".jpg")
    page.wait_for_selector("#error:visible")
    assert not page.evaluate(too_wide)


def test_what_is_missing_is_named(visit, browser, folder, tmp_path):
    page = visit(script="delete window.WebAssembly", wait=False)
    page.wait_for_selector("#error:visible")
    assert "WebAssembly" in page.inner_text("#error-text")
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri())  # opened as a file, no module loads
    page.wait_for_selector("#unstarted", state="visible")
    assert "python -m http.server" in page.inner_text("#unstarted")
    shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("vendor"))
    server = served(tmp_path / "bare")
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    page.wait_for_selector("#error:visible")
    assert "run: python demo/browser/prepare.py" in page.inner_text("#error-text")
    page.close()
    server.shutdown()
    server.server_close()


def test_prepare_says_why_it_cannot_fetch(tmp_path):
    no_npm = {"PATH": str(tmp_path)}
    no_answer = {"npm_config_registry": "http://127.0.0.1:9", "npm_config_fetch_retries": "0",
                 "npm_config_cache": str(tmp_path / "cache")}  # fmt: skip
    cases = [(no_npm, "npm is not installed")]
    if shutil.which("npm"):
        cases.append((no_answer, "npm could not fetch onnxruntime-web"))
    for environment, sentence in cases:
        done = subprocess.run(
            [sys.executable, PAGE / "prepare.py", "--page_dir", tmp_path / "page"],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1
        assert done.stderr.startswith(f"prepare.py: {sentence}")
        assert done.stderr.count("\n") == 1
