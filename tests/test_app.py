"""demo/app.py's Photo tab as its visitors meet it, in a real browser."""

import io
import re
import zipfile

import numpy as np
import pytest
from app_server import Visitor, until
from pictures import CAMERA, animation, bomb, chunk, deep_png, exif, icc, png, saved, scene
from PIL import Image

from demo.server.settings import Settings
from sgz.enhancer import Enhancer
from sgz.image.photo import Photo, encode_photo, read_photo

SCRIPTED = '<script>alert("polyglot")</script>'
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def jpeg(height: int = 150, width: int = 203, seed: int = 0) -> bytes:
    """A dark photograph with EXIF and a colour profile."""
    image = Image.fromarray(scene(height, width, seed=seed))
    return saved(image, "JPEG", quality=92, exif=exif(6).tobytes(), icc_profile=icc())


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.fixture(scope="module")
def visitor(app, chromium):
    """One visitor who tries one photograph after another."""
    context = chromium.new_context(viewport=DESKTOP)
    yield Visitor(context, app.url)
    context.close()


def test_paper_look_downloads_what_test_py_writes(visit, app, weight, enhance, tmp_path):
    deep = scene(90, 121, 4, np.uint16)
    few = saved(Image.fromarray(scene(40, 50)).quantize(16), "GIF")
    files = {"night out.jpg": jpeg(), "deep.png": deep_png(deep), "few.gif": few,
             "moving.webp": animation("WEBP")}  # fmt: skip
    for name, content in files.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    done = enhance(
        "--input_dir", tmp_path / "in", "--test_dir", tmp_path / "out", "--weight_dir", weight
    )
    assert done.returncode == 0, done.stderr
    visitor = visit()
    visitor.choose(*files.items())
    visitor.wait_for_all(4)
    assert visitor.message().startswith("Done.")
    visitor.pick("Paper")
    name, archive = visitor.save("Download all (one .zip)")
    assert name == "photos-bright.zip"
    expected = {
        f"{path.stem}-bright{path.suffix}": path.read_bytes()
        for path in (tmp_path / "out").iterdir()
    }
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == expected
    visitor.panel.get_by_role("button", name="night out.jpg").click()
    visitor.panel.locator(".viewer .name", has_text="night out.jpg").wait_for()
    assert visitor.save("Download this one") == (
        "night out-bright.jpg", expected["night out-bright.jpg"],
    )  # fmt: skip
    assert np.ptp(read_photo(tmp_path / "out/deep.png").pixels) > 256  # 16 bits went through
    assert CAMERA.encode() in (tmp_path / "out/night out.jpg").read_bytes()
    visitor.panel.get_by_role("button", name="Remove all").click()
    visitor.panel.get_by_text("No photo at hand?").wait_for()
    assert not [name for name in app.files() if "deep" in name or "night" in name]


def test_controls_change_picture_and_download(visitor, weight):
    dark = scene(96, 144)
    visitor.brighten("dark.png", png(dark))
    assert re.search(r"144 \S 96 · \d+ kB.*Noise.*Black.*Exposure", visitor.panel.inner_text())
    enhancer = Enhancer(weight)
    _, download = visitor.save()
    assert np.array_equal(decoded(download), Settings().tuned(enhancer)(dark))
    visitor.set("Brightness", 0.5)
    visitor.set("Shadows", 3)
    visitor.pick("Amount")
    visitor.set("Noise", 5)
    settings = Settings("natural", 0.5, 3, "amount", 5.0)
    expected = settings.tuned(enhancer)(dark)
    _, download = visitor.save()
    assert np.array_equal(decoded(download), expected)
    difference = decoded(visitor.fetch(visitor.after())).astype(int) - expected
    assert abs(difference.mean(axis=(0, 1))).max() < 1.5  # the page's picture is a JPEG
    visitor.changed(lambda: visitor.panel.get_by_role("button", name="Reset").click())
    assert visitor.panel.get_by_label("Shadows").input_value() == "8"
    assert not visitor.panel.get_by_label("Noise", exact=True).is_visible()
    _, download = visitor.save()
    assert np.array_equal(decoded(download), Settings().tuned(enhancer)(dark))


def test_several_photos_none_left_out(visit):
    visitor = visit()
    assert visitor.panel.locator(".samples").is_visible()
    assert visitor.panel.locator(".hero .stage").is_visible()
    good = [(f"{n}.png", png(scene(60 + n, 80, seed=n))) for n in range(4)]
    visitor.choose(*good[:2], ("words.png", b"no picture"), *good[2:], ("0.png", good[1][1]))
    visitor.wait_for_all(5)
    message = visitor.message()
    assert "“words.png” was not brightened: not an image" in message
    tiles = visitor.panel.locator(".strip button:not(.remove)")
    assert tiles.count() == 6
    assert not visitor.panel.locator(".samples").is_visible()
    assert not visitor.panel.locator(".hero").is_visible()
    tiles.nth(4).click()
    visitor.panel.locator(".viewer .name", has_text="3.png").wait_for()
    with zipfile.ZipFile(io.BytesIO(visitor.save("Download all (one .zip)")[1])) as archive:
        names = [name.replace("-bright", "") for name in archive.namelist()]
        assert names == ["0.png", "1.png", "2.png", "3.png", "0-2.png"]


def test_every_pixel_at_100_percent(visitor, weight):
    dark = scene(300, 1800)
    visitor.brighten("wide.png", png(dark))
    visitor.panel.get_by_role("button", name="100 %").click()
    tiles = visitor.panel.locator(".after-plane .tile")
    until(lambda: tiles.count() == 2)
    plane = visitor.panel.locator(".after-plane")
    until(lambda: plane.bounding_box()["width"] == 1800)
    expected = Settings().tuned(Enhancer(weight))(dark)[:, :1024]
    tile = visitor.fetch(tiles.nth(0).get_attribute("src"))
    assert tile == encode_photo(Photo(expected), ".jpg")
    stage = visitor.panel.locator(".viewer .stage").bounding_box()
    left = plane.bounding_box()["x"]
    place = stage["x"] + 60, stage["y"] + stage["height"] / 2
    visitor.page.mouse.move(*place)
    visitor.page.mouse.down()
    visitor.page.mouse.move(place[0] + 100, place[1], steps=5)
    visitor.page.mouse.up()
    assert plane.bounding_box()["x"] == pytest.approx(left + 100, abs=2)
    visitor.changed(lambda: visitor.panel.get_by_label("Brightness").fill("0.5"))
    until(lambda: tiles.count() == 2)  # at the new setting
    visitor.panel.get_by_role("button", name="Fit").click()
    assert tiles.count() == 0


def test_photo_can_be_dropped_or_pasted(visitor):
    content = png(scene(40, 60))
    visitor.drop(("dropped.png", content))
    visitor.panel.locator(".viewer .name", has_text="dropped.png").wait_for()
    paste = "(data) => window.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}))"
    visitor.page.evaluate(paste, visitor.transfer(("pasted.png", content)))
    visitor.panel.locator(".viewer .name", has_text="pasted.png").wait_for()


def test_map_is_shown_on_request(visitor):
    visitor.brighten("map.png", png(scene(96, 144)))
    tick = visitor.panel.get_by_label("Show the factor map")
    visitor.changed(tick.check)
    assert visitor.panel.locator(".viewer .tag.right").inner_text() == "Factor map"
    assert visitor.panel.get_by_text("more light").filter(visible=True).count() == 1
    colours = Image.open(io.BytesIO(visitor.fetch(visitor.after()))).convert("HSV")
    assert np.asarray(colours)[..., 1].mean() > 60  # in colours, where the scene is nearly gray
    assert visitor.panel.get_by_role("img", name="Factor map").count() == 1
    visitor.changed(tick.uncheck)
    assert visitor.panel.locator(".viewer .tag.right").inner_text() == "After"


def test_keyboard_alone_goes_all_the_way(visit):
    visitor = visit()
    page = visitor.page
    for _ in range(20):
        page.keyboard.press("Tab")
        picture = page.evaluate("document.activeElement.querySelector('img')?.alt")
        if picture == "Try the sample rocket":
            break
    page.keyboard.press("Enter")
    visitor.panel.locator(".viewer .name", has_text="rocket.png").wait_for()
    visitor.settle()
    divider = visitor.panel.get_by_role("slider", name=re.compile("Divider"))
    for _ in range(40):
        if divider.evaluate("field => field === document.activeElement"):
            break
        page.keyboard.press("Tab")
    left = visitor.panel.locator(".viewer .divider").bounding_box()["x"]
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    moved = visitor.panel.locator(".viewer .divider").bounding_box()["x"] - left
    width = visitor.panel.locator(".viewer .stage").bounding_box()["width"]
    assert moved == pytest.approx(width / 10, abs=3)


UNNAMED = """
[...document.querySelectorAll("button, input, a[href], video, img, select, textarea")].filter(
  (e) => e.checkVisibility() && !(e.getAttribute("aria-label") || e.labels?.length || e.alt ||
    e.textContent.trim() || e.title || e.querySelector("img[alt]") ||
    e.closest("button[aria-label], .tile"))).map((e) => e.outerHTML)
"""


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_page_fits_and_calls_nobody(visit, app, size, scheme, tmp_path):
    visitor = visit(viewport=size, color_scheme=scheme)
    page = visitor.page
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    visitor.brighten("a name that is long enough to have to be broken somewhere.jpg", jpeg())
    for tab in ("Video", "Camera", "Photo"):
        page.get_by_role("tab", name=tab).click()
        page.screenshot(path=tmp_path / f"{tab}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert page.evaluate(UNNAMED) == []
    with Image.open(tmp_path / "Photo.png") as shot:
        corner = np.asarray(shot.convert("L"))[:8, :8].mean()
    assert (corner < 60) if scheme == "dark" else (corner > 200)
    known = (app.url, "data:", "blob:")
    assert {r for r in visitor.requests if not r.startswith(known)} == set()
    assert visitor.complaints == []


def damaged_tiff() -> bytes:
    """One of whose damage libtiff would write a line to the log by itself."""
    file = io.BytesIO()
    Image.fromarray(scene(96, 96)).save(file, "TIFF", compression="tiff_lzw")
    content = bytearray(file.getvalue())
    content[500:600] = bytes(100)
    return bytes(content)


BAD = {
    "words.png": (b"no picture at all", "not an image that can be decoded"),
    "photo.exe": (b"MZ" + bytes(100), "not an image that can be decoded"),
    "page.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image that can be decoded"),
    "bomb.png": (bomb(), "over the limit of 4 megapixels"),
    "cut.jpg": (jpeg()[:2000], "damaged or truncated"),
    "cut.tif": (damaged_tiff(), "damaged or truncated"),
    "empty.png": (b"", "not an image that can be decoded"),
    "<img src=x onerror=document.title='owned'>.png": (b"x", "was not brightened"),
    "large.png": (bytes(3_000_001), "at most 3 MB"),
}


def test_bad_files_get_a_sentence_and_the_page_goes_on(visit):
    visitor = visit()
    for number, (name, (content, reason)) in enumerate(BAD.items()):
        if number == 3:
            visitor.brighten("between.png", png(scene(40, 40)))
        visitor.choose((name, content))
        until(lambda reason=reason: reason in visitor.message())
        assert visitor.panel.locator(".message.error").count() == 1
        assert "command" not in visitor.message() and "--" not in visitor.message()
        assert not visitor.panel.locator(".viewer").is_visible()  # the picture before is gone
    assert visitor.page.title() != "owned"
    visitor.brighten("good.jpg", jpeg())
    assert visitor.panel.locator(".message.error").count() == 0


def test_polyglot_is_written_anew(visit):
    """A picture that is also a page with a script gives a picture alone."""
    visitor = visit()
    content = png(scene(60, 60))
    content = content[:33] + chunk(b"tEXt", b"Comment\0" + SCRIPTED.encode()) + content[33:]
    visitor.brighten("picture.html.png", content + SCRIPTED.encode())
    name, download = visitor.save()
    assert name == "picture.html-bright.png"
    assert b"script" not in download
    assert Image.open(io.BytesIO(download)).size == (60, 60)


def test_two_visitors_do_not_mix(visit, weight):
    """Not even where both send the same file."""
    enhancer, dark = Enhancer(weight), scene(70, 90)
    visitors = [visit() for _ in range(2)]
    for visitor in visitors:
        visitor.choose(("same name.png", png(dark)))
    for visitor in visitors:
        assert visitor.message().startswith("Done.")
        visitor.settle()
    visitors[0].set("Brightness", 0.3)
    for visitor, strength in zip(visitors, (0.3, 1.0), strict=True):
        _, download = visitor.save()
        assert np.array_equal(
            decoded(download), Settings(brightness=strength).tuned(enhancer)(dark)
        )
    assert visitors[0].after().split("/")[-3] != visitors[1].after().split("/")[-3]


def test_nothing_is_left_of_a_visitor_who_left(app, chromium):
    others = app.files()
    context = chromium.new_context()
    visitor = Visitor(context, app.url)
    visitor.brighten("mine.png", png(scene(50, 50, seed=5)))
    visitor.save()
    # Of what was sent, nothing lies where the server could serve it from.
    assert not [name for name in app.files() if re.search("served.*mine.png", name)]
    shown = visitor.after()
    assert app.ask(shown)[0] == 200
    context.close()
    until(lambda: app.files() <= others)
    assert app.ask(shown)[0] == 403
