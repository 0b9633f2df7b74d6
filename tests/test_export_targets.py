"""export.py --target: each program's file, read as that program reads it."""

import importlib.resources
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import seeded_net

import export
from exporting import phones, tfjs
from exporting.natural import NaturalMethod
from exporting.targets import TARGETS, fit_scale, sample_picture
from sgz.command import run_script
from sgz.enhancer import Enhancer
from sgz.model import enhance_plainly, load_model
from sgz.onnx_static import static_method_to_onnx

ROOT = Path(__file__).parents[1]
SIZES = [(180, 324), (360, 648), (540, 972)]


@pytest.fixture
def run_export(monkeypatch, capsys):
    """Runs export.py: (exit code, standard output, errors)."""

    def run(*arguments) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            run_script(export.main)
        return leaving.value.code, *capsys.readouterr()

    return run


def session_of(model) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_by_index(session: onnxruntime.InferenceSession, image: np.ndarray) -> np.ndarray:
    """As OBS's plugin does: the first input and output, [H, W, 3] -> [H, W, 3]."""
    batch = np.ascontiguousarray(image.transpose(2, 0, 1))[None]
    (found,) = session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: batch})
    return found[0].transpose(1, 2, 0)


def test_obs_gets_the_plugins_file_and_onnx_runtimes_own(weight, run_export, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("--target", "obs", "--look", "natural", "--weight_dir", weight)
    code, out, errors = run_export(*arguments)
    assert (code, errors) == (0, "")
    assert out.count("of the project's own result") == 3
    names = [f"semantic_guided_llie_180x324{end}.ort" for end in ("", ".with_runtime_opt")]
    names.append("semantic_guided_llie_180x324.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    image = sample_picture((180, 324), 5)
    enhancer = Enhancer(weight, scale_factor=2, look="natural", denoise="off", threads=1)
    for name in names:
        session = session_of(name)
        assert np.abs(run_by_index(session, image) - enhancer(image)).max() < 1e-3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("look", ["paper", "natural"])
def test_the_static_graph_is_one_that_old_runtimes_take(size, look, weight):
    net = seeded_net(scale_factor=fit_scale(size))
    content = static_method_to_onnx(net, *size, look)
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version <= 6
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 11)]
    for ends in (model.graph.input, model.graph.output):
        (end,) = ends
        assert end.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        dims = [dim.dim_value for dim in end.type.tensor_type.shape.dim]
        assert dims == [1, 3, *size]
    operators = {node.op_type for node in model.graph.node}
    assert not operators & {"Pow", "Loop", "If", "Scan", "NonZero"}
    image = sample_picture(size, 3)
    found = run_by_index(session_of(content), image)
    enhancer = Enhancer(weight, net.scale_factor, look=look, denoise="off", threads=1)
    expected = enhancer(image)
    assert np.abs(found - expected).max() < 1e-3
    assert found.mean() > image.mean() + 0.05


def letterboxed() -> np.ndarray:
    picture = sample_picture((96, 168), 1)
    picture[:12], picture[-24:], picture[:, :12] = 0, 0, 0
    return picture


PICTURES = {
    "black": np.zeros((96, 168, 3), np.float32),
    "white": np.ones((96, 168, 3), np.float32),
    "one colour": np.full((96, 168, 3), (0.1, 0.02, 0.3), np.float32),
    "noise": np.random.default_rng(0).random((96, 168, 3), np.float32),
    "letterbox": letterboxed(),
    "bright": 0.5 + 0.5 * sample_picture((96, 168), 2),
}


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("scale", [1, 3, 12])
def test_the_natural_graph_on_odd_pictures(name, scale, weight):
    session = session_of(static_method_to_onnx(seeded_net(scale_factor=scale), 96, 168, "natural"))
    found = run_by_index(session, PICTURES[name])
    enhancer = Enhancer(weight, scale, look="natural", denoise="off", threads=1)
    assert np.abs(found - enhancer(PICTURES[name])).max() < 2e-3


def test_a_dead_pixel_of_nan_spoils_no_more_than_it_must():
    session = session_of(static_method_to_onnx(seeded_net(), 96, 168))
    image = sample_picture((96, 168), 2)
    image[0, 0] = np.nan
    assert np.isfinite(run_by_index(session, image)[1:]).all()


def test_ffmpeg_takes_every_size_one_at_a_time(weight, run_export, tmp_path):
    target = tmp_path / "f.onnx"
    arguments = ("--target", "ffmpeg", "--weight_dir", weight, "--save_path", target)
    assert run_export(*arguments)[0] == 0
    session, net = session_of(target), seeded_net()
    assert [end.type for end in session.get_inputs()] == ["tensor(float)"]
    assert [end.name for end in session.get_outputs()] == ["enhanced"]
    for size in ((270, 480), (71, 33)):
        image = sample_picture(size, 4)
        assert np.abs(run_by_index(session, image) - enhance_plainly(net, image)).max() < 1e-4


def test_web_is_the_pages_network(run_export, tmp_path):
    target = tmp_path / "sgz.onnx"
    assert run_export("--target", "web", "--save_path", target)[0] == 0
    packaged = importlib.resources.files("sgz.weights") / "Epoch99.onnx"
    small = np.random.default_rng(0).random((1, 3, 9, 14), np.float32)
    one, other = (session_of(path.read_bytes()) for path in (target, packaged))
    for session in (one, other):
        assert [end.name for end in session.get_inputs()] == ["image"]
    assert np.array_equal(
        one.run(["factor"], {"image": small})[0], other.run(None, {"image": small})[0]
    )


@pytest.mark.parametrize("kind", ["dsc", "tc", "dc"])
@pytest.mark.parametrize("scale", [1, 3, 4])
def test_what_converters_are_given_is_the_method(kind, scale):
    net, image = seeded_net(kind, scale), sample_picture((48, 84), 1)
    import torch

    batch = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    found = phones.StaticMethod(net, 48, 84)(batch)[0].numpy().transpose(1, 2, 0)
    assert np.abs(found - enhance_plainly(net, image)).max() < 1e-6


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("scale", [1, 4])
def test_what_converters_are_given_has_the_natural_look(name, scale, weight):
    import torch

    image = PICTURES[name]
    batch = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    found = NaturalMethod(seeded_net(scale_factor=scale), 96, 168).eval()(batch)[0]
    enhancer = Enhancer(weight, scale, look="natural", denoise="off", threads=1)
    found = found.detach().numpy().transpose(1, 2, 0)
    assert np.abs(found - enhancer(image)).max() < 1e-4


@pytest.mark.parametrize("look", ["paper", "natural"])
def test_tfjs_runs_what_is_written(look, run_export, tmp_path, monkeypatch):
    if not (ROOT / "node_modules/@tensorflow/tfjs").exists():
        pytest.skip("npm install @tensorflow/tfjs, in this folder, lets this test run")
    monkeypatch.chdir(ROOT)
    target = tmp_path / "model"
    arguments = ("--target", "tfjs", "--look", look, "--size", "48x84", "--save_path", target)
    code, out, errors = run_export(*arguments)
    assert (code, errors) == (0, "")
    assert "of the project's own result" in out


@pytest.mark.parametrize("kind", ["dsc", "tc", "dc"])
def test_tfjs_is_what_the_network_is(kind, weights, run_export, tmp_path):
    target = tmp_path / "model"
    arguments = ("--target", "tfjs", "--conv_type", kind, "--weight_dir", weights[kind])
    code, out, errors = run_export(*arguments, "--size", "48x84", "--save_path", target)
    assert (code, errors) == (0, "")
    model = json.loads((target / "model.json").read_text())
    (manifest,) = model["weightsManifest"]
    values = sum(int(np.prod(one["shape"])) for one in manifest["weights"])
    assert (target / manifest["paths"][0]).stat().st_size == 4 * values
    named = {node["name"] for node in model["modelTopology"]["node"]}
    assert {one["name"] for one in manifest["weights"]} <= named
    assert all(set(node["input"]) <= named for node in model["modelTopology"]["node"])
    if tfjs.run_tfjs(target) is None:
        pytest.skip("@tensorflow/tfjs is not installed where node looks")
    assert "of the project's own result" in out


@pytest.mark.parametrize(
    ("target", "package"), [("litert", "litert-torch"), ("coreml", "coremltools")]
)
def test_a_converter_converts_or_says_what_to_install(target, package, run_export, tmp_path):
    path = tmp_path / TARGETS[target].name.format(size="48x84")
    arguments = ("--target", target, "--size", "48x84", "--save_path", path)
    code, _, errors = run_export(*arguments)
    if importlib.util.find_spec(package.replace("-", "_")) is None:
        assert code == 1
        assert f"this target needs {package}: pip install {package}" in errors
        assert errors.count("\n") == 1
        assert list(tmp_path.iterdir()) == []
    else:
        assert code == 0
        assert path.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--target obs --size 181x324", "no multiple of 12; try 180x324"),
        ("--target obs --size 180x320 --scale_factor 7", "no multiple of 7"),
        ("--target obs --size 180", "expected HEIGHTxWIDTH such as 180x324"),
        ("--target obs --size 0x324", "expected HEIGHTxWIDTH"),
        ("--target tensorrt", "invalid choice: 'tensorrt' (choose from"),
        ("--target obs --conv_type tc", "of another architecture"),
        ("--target obs --save_path {tmp}/a.ort", "writes .onnx files"),
        ("--target tfjs --save_path {tmp}/a.json", "writes a folder without a suffix"),
        ("--target web --size 180x324", "leave out --size"),
        ("--target web --look natural", "leave out --look natural"),
        ("--target ffmpeg --look natural", "--look natural needs --size"),
        ("--look natural", "--size and --look are for a --target"),
        ("--target web --save_path {tmp}/file/sgz.onnx", "choose another --save_path"),
    ],
)
def test_what_a_user_gets_wrong(arguments, says, run_export, tmp_path):
    (tmp_path / "file").touch()
    code, _, errors = run_export(*arguments.format(tmp=tmp_path).split())
    assert code in (1, 2)
    assert says in errors
    assert errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_target_that_differs_is_not_kept(run_export, tmp_path, monkeypatch):
    def wrongly(net, *size):
        other = load_model(ROOT / "weight/Epoch99.pth", net.scale_factor, iterations=7)
        return static_method_to_onnx(other, *size)

    monkeypatch.setattr("exporting.targets.static_method_to_onnx", wrongly)
    code, _, errors = run_export("--target", "obs", "--save_path", tmp_path / "a.onnx")
    assert code == 1
    assert "not kept" in errors
    assert list(tmp_path.iterdir()) == []
