"""The model, to go: export.py's files, torch.hub, the Hub's folders, and the page about them."""

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import seeded_net

import export
from sgz.command import run_script
from sgz.errors import CheckpointError
from sgz.model import EnhanceNet, load_model
from sgz.onnx_graph import method_to_onnx

ROOT = Path(__file__).parents[1]
WAYS = {
    "onnx": ["--format", "onnx"],
    "onnx_uint8": ["--format", "onnx", "--input", "uint8_nhwc"],
    "torchscript": ["--format", "torchscript"],
    "torch_export": ["--format", "torch_export"],
}


@pytest.fixture
def run_export(monkeypatch, capsys):
    """Runs export.py: (exit code, standard output, errors)."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as leaving:
            warnings.simplefilter("error")
            run_script(export.main)
        return leaving.value.code, *capsys.readouterr()

    return run


def open_file(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file as a program opens it that knows nothing of ours."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        return lambda image: session.run(None, {"image": image})[0]
    if path.suffix == ".pt":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module = torch.jit.load(path)
    else:
        module = torch.export.load(path).module()
    return lambda image: module(torch.from_numpy(image))[0].detach().numpy()


@pytest.mark.parametrize("way", WAYS)
def test_a_file_is_checked_and_does_what_the_network_does(
    way, weight, run_export, plainly, tmp_path
):
    target = tmp_path / f"new/sgz{export.SUFFIXES[WAYS[way][1]]}"
    code, out, errors = run_export(*WAYS[way], "--weight_dir", weight, "--save_path", target)
    assert (code, errors) == (0, "")
    assert len(re.findall(r"^ *\d+ x \d+ x \d+  \d", out, re.MULTILINE)) == 5
    assert out.splitlines()[-1].startswith(f"done: {target}, ")
    assert ("opset 17" in out) == way.startswith("onnx")
    assert [path.name for path in target.parent.iterdir()] == [target.name]

    run = open_file(target)
    rng = np.random.default_rng(1)
    for height, width in ((37, 4001), (12, 24), (3, 50), (1, 1)):
        levels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if way == "onnx_uint8":
            found, expected = run(levels[None])[0], plainly(levels)
            assert found.dtype == np.uint8
            assert np.abs(found.astype(int) - expected).max() <= 1
        else:
            image = levels / np.float32(255)
            found = run(np.ascontiguousarray(image.transpose(2, 0, 1))[None])[0]
            assert np.abs(found.transpose(1, 2, 0) - plainly(image)).max() < export.FLOAT_LIMIT


@pytest.mark.parametrize(
    ("kind", "scale", "iterations"), [("dsc", 1, 8), ("tc", 7, 3), ("dc", 2, 1), ("dsc", 49, 8)]
)
def test_onnx_of_every_network(kind, scale, iterations):
    net = seeded_net(kind, scale)
    net.iterations = iterations
    content = method_to_onnx(net)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == {
        "scale_factor": str(scale),
        "conv_type": kind,
        "iterations": str(iterations),
    }
    image = torch.rand((2, 3, 71, 98), generator=torch.Generator().manual_seed(0))
    (found,) = session.run(["enhanced"], {"image": image.numpy()})
    assert np.abs(found - net(image)[0].numpy()).max() < 2e-5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--weight_dir", "missing.pth"], "no checkpoint at missing.pth"),
        (["--conv_type", "tc"], "it fits conv_type dsc"),
        (["--save_path", "{tmp}/sgz.pt"], "--format onnx writes .onnx files"),
        (["--format", "torch_export", "--save_path", "{tmp}/sgz.pt"], "writes .pt2 files"),
        (["--format", "torchscript", "--input", "uint8_nhwc"], "is for --format onnx"),
        (["--save_path", "{tmp}/file/sgz.onnx"], "choose another --save_path"),
        (["--save_path", "{tmp}/folder.onnx"], "choose another --save_path"),
    ],
)
def test_what_a_user_gets_wrong(arguments, says, weight, run_export, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "folder.onnx").mkdir()
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    code, _, errors = run_export("--weight_dir", weight, *arguments)
    assert code == 1
    assert errors.startswith("export.py: ")
    assert says in errors
    assert errors.count("\n") == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder.onnx"]


def test_a_file_that_differs_is_not_kept(weight, run_export, tmp_path, monkeypatch):
    def wrongly(net: EnhanceNet, layout: str) -> bytes:
        other = seeded_net()
        other.iterations = net.iterations - 1
        return method_to_onnx(other, layout)

    monkeypatch.setattr(export, "method_to_onnx", wrongly)
    target = tmp_path / "sgz.onnx"
    for layout in ("float_nchw", "uint8_nhwc"):
        code, out, errors = run_export(
            *("--weight_dir", weight, "--save_path", target, "--input", layout)
        )
        assert code == 1
        assert "done" not in out
        assert re.search(r"differs from PyTorch by [\d.]+ of (1|255), more than ", errors)
        assert list(tmp_path.iterdir()) == []


FROM_HUB = """
import sys, torch
import model  # the caller's own
repository, weight = sys.argv[1:]
image = torch.rand((1, 3, 37, 50), generator=torch.Generator().manual_seed(0))
boxed = torch.hub.load(repository, "sgz", pretrained=True, source="local")
other = torch.hub.load(repository, "sgz", source="local", weight_dir=weight, scale_factor=7)
fresh = torch.hub.load(repository, "sgz", pretrained=False, source="local", conv_type="tc")
with torch.no_grad():
    torch.save([boxed(image)[0], other(image)[0]], "results.pt")
assert fresh.conv_type == "tc" and fresh.training and not boxed.training
assert model.MINE and sys.modules["model"] is model
assert "huggingface_hub" not in sys.modules
"""


def test_torch_hub_from_another_folder_beside_another_model(weight, tmp_path):
    (tmp_path / "model.py").write_text("MINE = True")
    subprocess.run(
        [sys.executable, "-c", FROM_HUB, ROOT, weight], cwd=tmp_path, check=True, timeout=60
    )
    image = torch.rand((1, 3, 37, 50), generator=torch.Generator().manual_seed(0))
    boxed, other = torch.load(tmp_path / "results.pt")
    assert torch.equal(boxed, load_model(ROOT / "weight/Epoch99.pth")(image)[0])
    assert torch.equal(other, seeded_net(scale_factor=7)(image)[0])


@pytest.mark.parametrize("kind", ["dsc", "tc"])
def test_a_folder_of_the_hub_holds_the_same_network(kind, tmp_path):
    net = seeded_net(kind, 7)
    net.iterations = 5
    net.save_pretrained(tmp_path / "new")
    assert (tmp_path / "new/model.safetensors").is_file()
    again = EnhanceNet.from_pretrained(tmp_path / "new")
    assert type(again) is EnhanceNet
    assert not again.training
    assert (again.scale_factor, again.conv_type, again.iterations) == (7, kind, 5)
    image = torch.rand((2, 3, 31, 44), generator=torch.Generator().manual_seed(0))
    for one, other in zip(net(image), again(image), strict=True):
        assert torch.equal(one, other)


def test_a_folder_that_holds_no_network(tmp_path):
    seeded_net().save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text()
    for wrong in (config.replace("dsc", "tc"), config.replace("dsc", "x"), "{}", "[", None):
        (tmp_path / "config.json").unlink()
        if wrong is not None:
            (tmp_path / "config.json").write_text(wrong)
        with pytest.raises(CheckpointError, match="holds no EnhanceNet"):
            EnhanceNet.from_pretrained(tmp_path)
        (tmp_path / "config.json").write_text(config)
    (tmp_path / "model.safetensors").write_bytes(b"none")
    with pytest.raises(CheckpointError, match="holds no EnhanceNet"):
        EnhanceNet.from_pretrained(tmp_path)


RUN_BLOCKS = """
import json, sys
for block in json.loads(sys.argv[1]):
    exec(compile(block, block, "exec"), {})
"""


def test_the_pages_python_for_other_programs_runs(run_export, tmp_path):
    section = (ROOT / "docs/use-it-from.md").read_text(encoding="utf-8")
    command = "python export.py --format onnx --input uint8_nhwc --save_path sgz_uint8.onnx"
    assert command in section  # CI runs it; here only its file is needed
    assert run_export(*command.split()[2:-1], tmp_path / "sgz_uint8.onnx")[0] == 0
    for name in ("hubconf.py", "weight", "data", "demo"):
        (tmp_path / name).symlink_to(ROOT / name)
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 5
    frames = bytes(252 * 448 * 3 * 2)  # for the block that reads a pipe
    done = subprocess.run(
        [sys.executable, "-c", RUN_BLOCKS, json.dumps(blocks)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        input=frames,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert len(done.stdout) >= len(frames)
    for name in ("sgz_pretrained/model.safetensors", "bright.png", "bright.mp4"):
        assert (tmp_path / name).stat().st_size > 10_000
