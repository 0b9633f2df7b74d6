"""What several tests share: a checkpoint of known weights and its plain computation."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

# Before torch comes: tests run side by side, and the threads of one would wait for the
# other's. And sums depend on how many threads share them.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
import torch
from PIL import Image

from sgz import cli, model
from sgz.model import EnhanceNet

ROOT = Path(__file__).parents[1]
# Runs a script once for each list of arguments: the start-up, seconds of imports, is shared.
RUN_EACH = """
import contextlib, io, json, runpy, sys
results = []
for arguments in json.load(sys.stdin):
    sys.argv, out, err = ["test.py", *arguments], io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path("test.py", run_name="__main__")
        except SystemExit as leaving:
            results.append((leaving.code, out.getvalue(), err.getvalue()))
print(json.dumps(results))
"""


@pytest.fixture(scope="session", autouse=True)
def heeded_interrupts():
    """Scripts started by tests hear Ctrl-C, also where a shell in the background ignores it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def seeded_net(conv_type: str = "dsc", scale_factor: int = 12) -> EnhanceNet:
    """A network that brightens unevenly, from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        net = EnhanceNet(scale_factor, conv_type)
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                parameter.mul_(2.0 if name.endswith("weight") else 1.0)
            list(net.e_conv7.children())[-1].bias.copy_(torch.tensor([-0.5, -0.4, -0.6]))
    return net.eval().requires_grad_(False)


@pytest.fixture
def sgz(monkeypatch, capsys):
    """Runs the command: (exit code, standard output, errors)."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sgz", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            cli.run()
        return leaving.value.code, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """{conv_type: its checkpoint}."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {kind: folder / f"{kind}.pth" for kind in ("dsc", "tc", "dc")}
    for kind, path in paths.items():
        torch.save(seeded_net(kind).state_dict(), path)
    return paths


@pytest.fixture(scope="session")
def weight(weights):
    """A checkpoint of the default architecture."""
    return weights["dsc"]


@pytest.fixture(scope="session")
def plainly():
    """The reference: EnhanceNet.forward in float32 with conversions there and back."""

    def enhance(image: np.ndarray, scale: int = 12, strength: float = 1.0, kind: str = "dsc"):
        net = seeded_net(kind, scale)
        peak = {"uint8": 255.0, "uint16": 65535.0}.get(image.dtype.name, 1.0)
        stack = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
        x = torch.from_numpy((stack / peak).astype(np.float32).transpose(2, 0, 1).copy())[None]
        factor = net.extract(model.shrink(x, scale))  # [1, 3, h, w]
        if image.ndim == 2:
            factor = factor.mean(1, keepdim=True).expand(-1, 3, -1, -1)
        factor = model.enlarge((factor * strength).clip(-1, 1), scale)
        factor = factor[..., : x.shape[2], : x.shape[3]]
        for _ in range(8):
            x = x + factor * (x**2 - x)
        y = x[0].permute(1, 2, 0).double().numpy() * peak
        y = y if image.ndim == 3 else y[..., 0]
        return y.astype(image.dtype) if peak == 1 else np.rint(y).astype(image.dtype)

    return enhance


@pytest.fixture(scope="session")
def enhance():
    """Runs test.py as a user does."""

    def run(*arguments, launcher=(sys.executable,), **options) -> subprocess.CompletedProcess:
        command = [*launcher, ROOT / "test.py", *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)

    return run


@pytest.fixture(scope="session")
def enhance_each():
    """Runs test.py for several lists of arguments: [(exit code, standard output, errors)]."""

    def run(*calls: list) -> list[tuple[int, str, str]]:
        done = subprocess.run(
            [sys.executable, "-c", RUN_EACH],
            input=json.dumps([[str(argument) for argument in call] for call in calls]),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Seven small dark photographs to train on."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for i in range(7):
        Image.fromarray(rng.integers(0, 80, (40, 50, 3), np.uint8)).save(folder / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def batch_of_four(photos, tmp_path_factory):
    """A finished run on them, four images a step."""
    from train_runs import train  # only here: most tests do without what it imports

    return train(photos, tmp_path_factory.mktemp("four"), "--train_batch_size", "4")


APP_LIMITS = {"max_mb": 3, "max_megapixels": 4, "max_seconds": 6}


@pytest.fixture(scope="session")
def app(weight, tmp_path_factory):
    """A running demo/app.py; in the end nothing went wrong and nothing is left."""
    from app_server import Server  # only here, as most tests have nothing to do with it

    pytest.importorskip("gradio", reason="gradio is not installed")
    scratch = tmp_path_factory.mktemp("scratch")
    limits = [word for name, value in APP_LIMITS.items() for word in (f"--{name}", value)]
    running = Server(scratch, "--weight_dir", weight, *limits)
    yield running
    assert running.end() == (0, "")  # SIGTERM is how it is ended
    assert list(scratch.iterdir()) == []


@pytest.fixture(scope="session")
def chromium():
    """A playwright Browser with a camera."""
    from browsing import launched

    with launched() as browser:
        yield browser


@pytest.fixture
def visit(app, chromium):
    """Opens the demo for one more visitor; all leave at the end."""
    from app_server import Visitor

    contexts = []

    def come(tab: str = "Photo", **options) -> Visitor:
        size = {"width": 1280, "height": 900}
        contexts.append(chromium.new_context(**{"viewport": size, **options}))
        return Visitor(contexts[-1], app.url, tab)

    yield come
    for context in contexts:
        context.close()
