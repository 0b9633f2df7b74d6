"""The demo's parts without a server: visitors' folders, settings, photographs, lists."""

import io
import os
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pictures import png, scene
from PIL import Image

from demo.server import photos
from demo.server.camera import Camera
from demo.server.gallery import Gallery, unused_name
from demo.server.sessions import Sessions, safe_name
from demo.server.settings import Settings
from demo.tabs.parts import answering
from sgz.enhancer import Enhancer
from sgz.errors import UserError


def test_old_folders_are_swept(tmp_path):
    shelf = Sessions(tmp_path)
    left, busy, here = (shelf.open(name) for name in ("left", "busy", "here"))
    left.used -= 3600
    busy.used, busy.pending = busy.used - 3600, 1
    old, new = shelf.uploads / ("a" * 32), shelf.uploads / ("b" * 32)
    old.touch()
    new.touch()
    os.utime(old, (time.time() - 3600,) * 2)
    shelf.sweep()
    assert left.closed and not left.kept.exists() and not left.served.exists()
    assert busy.kept.exists() and here.kept.exists()
    assert new.exists() and not old.exists()


def test_page_closed_meanwhile_leaves_nothing(tmp_path, capfd):
    """A slow answer finds its folders gone; no trace of it, in the log or on the disk."""
    shelf = Sessions(tmp_path)

    def answer(session, _event):
        shelf.close(session)
        session.show("after", "after.png", b"picture")
        raise FileNotFoundError("the photograph that it was at")

    said = answering(shelf, lambda text: {"note": text})(answer)
    visit = SimpleNamespace(session_hash="here")
    assert said(None, visit) == {"note": ""}
    assert capfd.readouterr().err == "" and not list(shelf.served.iterdir())


def test_who_comes_back_keeps_what_is_theirs(tmp_path):
    """A slow answer to the page that was closed ends later than the next one begins."""
    shelf = Sessions(tmp_path)
    left = shelf.open("here")
    shelf.close(left)
    back = shelf.open("here")
    shelf.close(left)  # as the slow answer does in the end
    assert back.kept.exists() and back.served.exists()
    assert shelf.open("here") is back and not back.closed


def test_uploads_are_given_to_who_knows_their_name(tmp_path):
    shelf = Sessions(tmp_path)
    here = shelf.open("here")
    (shelf.uploads / ("c" * 32)).write_text("photo")
    assert shelf.take_upload("c" * 32, here, "photo").read_text() == "photo"
    for key in ("c" * 32, "/etc/passwd", "../kept", "", "C" * 32):
        with pytest.raises(UserError, match="send it again"):
            shelf.take_upload(key, here, "photo")
    with pytest.raises(UserError, match="by the page alone"):
        shelf.open("")


def test_opened_photo_that_is_gone_says_so(tmp_path):
    with pytest.raises(UserError, match="rested too long"):
        photos.load_photo(tmp_path / "gone")


@pytest.mark.parametrize(("look", "most"), [("natural", 4), ("paper", 3)])
def test_large_photo_is_shown_small_and_saved_whole(weight, tmp_path, monkeypatch, look, most):
    monkeypatch.setattr(photos.shrink, "__defaults__", (210,))
    dark, source = scene(300, 420), tmp_path / "source"
    source.write_bytes(png(dark))
    enhancer, settings = Enhancer(weight), Settings(look)
    photo = photos.open_photo(enhancer, source, "x.png", 10**6)
    assert (photo.size, photo.dark.shape, photo.ratio) == ((420, 300), (150, 210, 3), 0.5)
    photo.save()
    assert photos.load_photo(source).measured == photo.measured
    bright = settings.tuned(enhancer)(dark)
    shown = photos.render(enhancer, photo, settings).astype(int)
    assert abs(shown - photos.shrink(bright)).mean() < most  # alike for the eye
    name, content = photos.export_photo(enhancer, photo, settings, 10**6)
    assert name == "x-bright.png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), bright)


def test_what_was_measured_is_true(weight):
    rng = np.random.default_rng(0)
    clean = np.full((240, 320, 3), 60.0)
    noisy = (clean + rng.normal(0, 5, clean.shape)).clip(0, 255).astype(np.uint8)
    words = photos.measure(Enhancer(weight), noisy)
    noise = float(words.split()[1])
    assert noise == pytest.approx(5, rel=0.2)
    assert photos.measure(Enhancer(weight), clean.astype(np.uint8)).startswith("Noise 0.0")


def test_settings_take_anything():
    assert Settings.of_request({}) == Settings()
    sent = {"look": "paper", "brightness": 9, "shadows": -3, "denoise": "amount", "noise": 1e9,
            "shows_map": True}  # fmt: skip
    assert Settings.of_request(sent) == Settings("paper", 2.0, 1, "amount", 12.0, True)
    strange = {"look": [], "brightness": "1", "shadows": float("nan"), "denoise": None, "noise": {},
               "shows_map": 1}  # fmt: skip
    assert Settings.of_request(strange) == Settings()


def test_both_pages_have_the_same_colours():
    """demo/design.md: the server's page and the browser's hold one file of tokens."""
    files = sorted((Path(__file__).parents[1] / "demo").glob("*/tokens.css"))
    assert Path("page/tokens.css") in [file.relative_to(file.parents[1]) for file in files]
    assert len({file.read_text() for file in files}) == 1


def test_names_for_files():
    assert safe_name("../../etc/pass\x00wd<>.png") == "passwd.png"
    assert safe_name("") == "photo"
    names = set()
    given = [unused_name(name, names) for name in ("a.png", "A.png", "a.png", "b.png")]
    assert given == ["a.png", "A-2.png", "a-3.png", "b.png"]


def test_list_is_limited_and_says_so(weight, tmp_path, monkeypatch):
    monkeypatch.setattr("demo.server.gallery.MAX_PHOTOS", 2)
    shelf = Sessions(tmp_path)
    gallery, session = Gallery(Enhancer(weight), shelf, 10**6, 10**6), shelf.open("here")
    for number in range(3):
        (shelf.uploads / f"{number:032x}").write_bytes(png(scene(20, 20)))
        gallery.receive(session, f"{number}.png", f"{number:032x}", 0, number)
    assert gallery.failures(session) == [
        "“2.png” was not brightened: 2 photos are taken at a time: download these, remove them, "
        "then choose the others."
    ]
    while gallery.open_next(session):
        pass
    assert len(session.listed("ready")) == 2 and session.pending == 0
    assert gallery.view(session)["name"] == "0.png"
    gallery.start_batch(session, 1)
    assert not session.listed("failed")
    gallery.clear(session)
    assert not list(session.kept.iterdir())


def test_camera_refuses_what_is_no_picture(weight):
    camera = Camera(Enhancer(weight))
    for data in ({}, {"image": 1}, {"image": "data:image/jpeg;base64,eHg="}, {"image": "xx"}):
        assert "could not be read" in camera.enhance(data)["error"]
