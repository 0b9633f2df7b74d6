"""The rules of the house, read from the source: quiet imports, honest docstrings, known packages.

What may import what is checked by import-linter (pyproject.toml), which .ci/run calls.
"""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sgz.enhancer import Enhancer

ROOT = Path(__file__).parents[1]
PACKAGE_OF = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "scipy": "scikit-image",  # which needs it
    "skimage": "scikit-image",
}
# Missing, what needs it says so; starlette comes with gradio.
OPTIONAL = {
    "atheris",
    "pi_heif",
    "rawpy",
    "matplotlib",
    "gradio",
    "starlette",
    "pyiqa",
    "ray",
    "pyarrow",
    "fsspec",
}

SOURCES = sorted(
    path
    for pattern in (
        "*.py", "sgz/**/*.py", "training/*.py", "evaluation/*.py", "benchmarks/*.py",
        "demo/**/*.py", "data/*.py", "fuzz/*.py",
    )
    for path in ROOT.glob(pattern)
)  # fmt: skip
OWN = {path.stem for path in ROOT.glob("*.py")}
OWN |= {"sgz", "training", "evaluation", "exporting", "benchmarks", "demo", "fuzz"}
SCRIPTS = [path for path in SOURCES if '__name__ == "__main__"' in path.read_text()]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports_of(path: Path, everywhere: bool = True) -> set[str]:
    """The top-level names that a file imports: anywhere, or only when it is imported."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            names.add(node.module.split(".")[0])
    return names


def test_the_root_is_small_and_the_door_shows_what_is_behind_it():
    assert len(list(ROOT.glob("*.py"))) <= 11
    import model
    from sgz import model as network

    assert all(getattr(model, n) is getattr(network, n) for n in model.__all__)


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_every_package_is_asked_for(path):
    names = ("requirements.txt", "requirements-dev.txt", "requirements-demo.txt")
    text = "\n".join((ROOT / name).read_text() for name in names)
    asked = {re.split(r"[<>=~!\[ ]", line)[0].lower() for line in text.splitlines()}
    for name in imports_of(path) - OWN - OPTIONAL - set(sys.stdlib_module_names):
        assert PACKAGE_OF.get(name, name) in asked, f"{path.name} imports {name}"


IMPORT_EACH = """
import contextlib, io, json, os, random, runpy, sys, threading
import cv2, numpy, torch  # cv2 sets LD_LIBRARY_PATH

def state():
    rng = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    torch_state = (torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype(),
                   torch.backends.cudnn.benchmark, torch.cuda.is_initialized())
    return repr((rng, torch_state, dict(os.environ), os.getcwd(), threading.active_count()))

sys.argv = ["imported", "--not-an-option"]
troubles = {}
for path in json.load(sys.stdin):
    before, out = state(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            runpy.run_path(path, run_name="imported")
    except BaseException as error:
        troubles[path] = repr(error)
        continue
    if out.getvalue() or state() != before or sys.argv != ["imported", "--not-an-option"]:
        troubles[path] = f"says {out.getvalue()!r} or leaves something changed"
print(json.dumps(troubles))
"""


def run_python(code: str, *arguments, **options) -> str:
    """What a fresh interpreter prints on standard output; its errors must be silent."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        **options,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_importing_does_nothing(tmp_path):
    before = {path: path.stat().st_mtime_ns for path in ROOT.iterdir()}
    troubles = json.loads(run_python(IMPORT_EACH, input=json.dumps([str(p) for p in SOURCES])))
    assert troubles == {}
    after = {path: path.stat().st_mtime_ns for path in ROOT.iterdir()}
    assert {p for p in after if after[p] != before.get(p)} <= {ROOT / "__pycache__"}


ENHANCE = """
import runpy, sys
weight, source, target = sys.argv[1:]
sys.argv = ["test.py"]
runpy.run_path("test.py", run_name="imported")
print(*sys.modules)
sys.argv += ["--weight_dir", weight, "--input_dir", source, "--test_dir", target]
try:
    runpy.run_path("test.py", run_name="__main__")
except SystemExit as leaving:
    assert leaving.code == 0
print(*sys.modules)
"""


def test_enhancing_loads_nothing_heavy(weight, tmp_path):
    Enhancer(weight, device="cpu")  # caches the network's graph
    source = ROOT / "data/test_data/lowCUT/cat.png"
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    environment["TMPDIR"] = str(tmp_path)  # ONNX Runtime's telemetry leaves its mark there
    lines = run_python(ENHANCE, weight, source, tmp_path / "out", env=environment).splitlines()
    imported, enhanced = lines[0].split(), lines[-1].split()
    never = {"torchvision", "av", "gradio", "matplotlib", "skimage", "accelerate", "pandas"}
    never |= {"torch", "onnx"}  # on a processor, with the network's graph cached
    assert not never & set(enhanced)
    assert not {"onnx", "numba", "cv2", "onnxruntime"} & set(imported)  # only once it is needed
    assert (tmp_path / "out/cat.png").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_every_file_says_what_it_is(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{path} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names)


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_a_scripts_docstring_is_a_command(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    commands = re.findall(r"^\s*python (\S+\.py)", text, re.MULTILINE)
    if path.parent.name == "sgz":
        assert re.search(r"^\s*sgz |python -m sgz ", text, re.MULTILINE)
    else:
        assert named(path) in commands, f"{path} shows no command that runs it"
    for command in commands:
        assert (ROOT / command).is_file(), f"{path} names {command}"
    parsers = (ROOT / "option.py").read_text() + (ROOT / "sgz/command.py").read_text()
    known = parsers + path.read_text().replace(text, "")
    for flag in set(re.findall(r"--\w+", text)) - {"--help"}:
        assert f'"{flag}"' in known, f"{path} shows {flag}"


def test_test_py_is_imported_by_nothing():
    for path in [*SOURCES, *(ROOT / "tests").glob("*.py")]:
        assert "test" not in imports_of(path)
