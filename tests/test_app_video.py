"""demo/app.py's Video and Camera tabs as their visitors meet them, in a real browser."""

import clips
import numpy as np
import pytest
from app_server import Visitor, until
from pictures import png, scene


@pytest.fixture(scope="module")
def videographer(app, chromium):
    """One visitor of the tab for videos."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield Visitor(context, app.url, "Video")
    context.close()


PAIR = """() => ["before", "after"].map((name) => {
  const video = document.querySelector(`.player .${name}`);
  return [video.videoWidth, video.error, video.currentTime, video.readyState >= 2];
})"""


def test_video_is_brightened_and_compared(videographer, tmp_path):
    visitor = videographer
    clip = clips.make_clip(tmp_path / "dim.mp4", frames=30, size=(160, 96), sound=True)
    visitor.drop(("dim.mp4", clip.read_bytes()), ("other.mp4", clip.read_bytes()))
    assert "Done." in visitor.message()
    assert "without the other 1" in visitor.message()
    until(lambda: all(ready for *_, ready in visitor.page.evaluate(PAIR)))
    visitor.panel.get_by_role("button", name="Pause").click()
    visitor.panel.get_by_label("Place in the video").fill("0.5")
    until(lambda: all(abs(at - 0.6) < 0.1 for _, _, at, _ in visitor.page.evaluate(PAIR)))
    for width, error, _, _ in visitor.page.evaluate(PAIR):
        assert (width, error) == (160, None)
    name, download = visitor.save("Download the video")
    assert name == "dim-bright.mp4"
    (tmp_path / name).write_bytes(download)
    dark, bright = clips.decode_all(clip), clips.decode_all(tmp_path / name)
    assert len(bright) == len(dark) == 30
    assert np.mean(bright) > np.mean(dark) + 10
    assert clips.packets_of(tmp_path / name, "audio") == clips.packets_of(clip, "audio")


def test_video_holds_the_queue_and_can_be_stopped(videographer, visit, app, tmp_path):
    other, visitor = visit(), videographer
    other.brighten("first.png", png(scene(60, 80)))
    still = clips.view(0, 1920, 1080)
    clip = clips.make_clip(
        tmp_path / "slow.mp4", 350, (1920, 1080), rate=60, picture=lambda *_: still,
        options={"preset": "ultrafast"},
    )  # fmt: skip
    visitor.choose(("slow.mp4", clip.read_bytes()))
    until(lambda: [name for name in app.files() if name.endswith(".tmp")], 60)
    bar = visitor.panel.get_by_role("progressbar")
    until(lambda: bar.count() and float(bar.get_attribute("aria-valuenow")) > 0, 60)
    status = visitor.panel.locator(".message")
    assert "other people" not in status.inner_text()  # it is alone
    other.choose(("second.png", png(scene(60, 80))))
    other.set("Brightness", 0.4)  # a slider does not wait
    assert other.panel.locator(".viewer .name").inner_text() == "first.png"
    assert "1 of other people's come first" in other.panel.locator(".message").inner_text()
    visitor.panel.get_by_role("button", name="Stop").click()
    other.panel.locator(".viewer .name", has_text="second.png").wait_for()
    until(lambda: visitor.message() == "Stopped.")
    assert not [name for name in app.files() if "slow-bright" in name or name.endswith(".tmp")]


def test_bad_videos_get_a_sentence(videographer, tmp_path):
    visitor = videographer
    long = clips.make_clip(tmp_path / "long.mp4", frames=14, rate=2, size=(64, 48))
    for name, content, reason in (
        ("long.mp4", long.read_bytes(), "7 seconds are over the limit of 6"),
        ("words.mp4", b"no video at all", "is no video that can be read"),
        ("photo.mp4", b"", "was not brightened"),
        ("large.mp4", bytes(3_000_001), "at most 3 MB"),
    ):
        visitor.choose((name, content))
        until(lambda reason=reason: reason in visitor.message())
        assert str(tmp_path.parent) not in visitor.message() and "--" not in visitor.message()
        assert not visitor.panel.locator(".player").is_visible()  # the video before is gone


def test_camera_is_brightened_until_stopped(visit, app):
    others = app.files()
    visitor = visit("Camera", permissions=["camera"])
    assert visitor.panel.locator("output").first.inner_text() == "1"
    visitor.panel.get_by_role("button", name="Start the camera").click()
    picture = visitor.panel.get_by_alt_text("Your camera, brightened")
    until(lambda: picture.get_attribute("src"))
    first = picture.get_attribute("src")
    until(lambda: picture.get_attribute("src") != first)
    assert picture.evaluate("image => image.naturalWidth") == 640
    visitor.panel.get_by_label("Brightness").fill("0.2")
    assert visitor.panel.locator("output").first.inner_text() == "0.2"
    assert app.files() <= others  # no picture of it is written down
    visitor.panel.get_by_role("button", name="Stop the camera").click()
    assert visitor.panel.get_by_role("button", name="Start the camera").is_visible()
    assert not picture.is_visible()
