"""evaluate.py as a user runs it, and the tables it prints."""

import csv
import importlib.util
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from evaluate import REMEDIES, main
from evaluation import matching, metrics, protocol, report, tables
from evaluation.tables import Column, Results
from sgz.command import run_script
from sgz.errors import UserError

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


def evaluate_as_a_user(*arguments):
    """Run evaluate.py in a process of its own; the finished process with its output as text."""
    command = [sys.executable, str(ROOT / "evaluate.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def evaluate(*arguments):
    """The same in this process, where seconds of imports are done already."""
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(errors):
        patch.setattr(sys, "argv", ["evaluate.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            run_script(main, REMEDIES)
    return SimpleNamespace(
        returncode=leaving.value.code, stdout=out.getvalue(), stderr=errors.getvalue()
    )


def picture(seed, height=200, width=224):
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((8, 9, 3)).astype(np.float32), (width, height))
    values = coarse + rng.normal(0, 0.03, (height, width, 3))
    return (255 * np.clip(values, 0, 1)).astype(np.uint8)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folders(tmp_path):
    """Three images: bright references, dark inputs and two methods of different quality."""
    for number, name in enumerate(("a", "b", "deep/c")):
        bright = picture(number)
        noise = np.random.default_rng(number).normal(0, 1, bright.shape)
        save(tmp_path / f"high/{name}.png", bright)
        save(tmp_path / f"low/{name}.png", bright // 5)
        for method, size in (("good", 4), ("bad", 16)):
            noisy = np.clip(bright + size * noise, 0, 255).astype(np.uint8)
            save(tmp_path / f"{method}/{name}.png", noisy)
    return tmp_path


def scores(process):
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def fails(process, *words):
    """The process ended with exit code 1 and one sentence with these words, no traceback."""
    assert process.returncode == 1, process.stdout + process.stderr
    assert "Traceback" not in process.stderr
    for word in words:
        assert word in process.stderr


def test_one_method_against_references(folders):
    process = evaluate_as_a_user(
        "--result_dir", folders / "good", "--reference_dir", folders / "high"
    )
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert lines[0].split() == ["image", "PSNR", "↑", "SSIM", "↑", "MAE", "↓", "MSE", "↓"]
    assert [line.split()[0] for line in lines[2:5]] == ["a", "b", "deep/c"]
    image, reference = (np.asarray(Image.open(folders / f"{d}/a.png")) for d in ("good", "high"))
    assert float(lines[2].split()[1]) == pytest.approx(metrics.psnr(image, reference), abs=0.005)
    assert "mean of 3 images" in process.stdout
    assert "uniform 7x7 window" in process.stdout  # the protocol is spelled out


def test_means_are_means_and_the_best_is_marked(folders):
    arguments = ("--compare", f"good={folders}/good", f"bad={folders}/bad",
                 "--reference_dir", folders / "high", "--input_dir", folders / "low",
                 "--metrics", "psnr,ssim", "mean_luma", "loe", "newly_clipped")  # fmt: skip
    document = scores(evaluate(*arguments, "--format", "json"))
    for method in ("good", "bad", "input"):
        values = [row["psnr"] for row in document["images"][method].values()]
        assert document["mean"][method]["psnr"] == pytest.approx(np.mean(values))
    assert document["best"]["psnr"] == document["best"]["ssim"] == ["good"]
    assert "mean_luma" not in document["best"]
    assert "loe" not in document["images"]["input"]["a"]  # the input against itself says nothing
    table = evaluate(*arguments, "--format", "markdown").stdout
    assert re.search(r"\| good \| \*\*\d+\.\d\d\*\* \|", table)
    assert not re.search(r"\| (bad|input) \| \*\*", table)
    rows = [*csv.DictReader(io.StringIO(evaluate(*arguments, "--format", "csv").stdout))]
    assert len(rows) == 3 * 4
    mean = next(row for row in rows if row["method"] == "bad" and row["image"] == "mean")
    assert float(mean["psnr"]) == pytest.approx(document["mean"]["bad"]["psnr"])
    text = evaluate(*arguments).stdout
    assert re.search(r"^good +\d+\.\d\d\*", text, re.MULTILINE)


def test_without_references(folders):
    process = evaluate("--result_dir", folders / "good", "--input_dir", folders / "low")
    assert process.returncode == 0, process.stderr
    for heading in ("NIQE", "LOE", "mean luma", "newly clipped"):
        assert heading in process.stdout
    assert "PSNR" not in process.stdout


def test_report_is_whole_and_self_contained(folders):
    target = folders / "out" / "report"
    process = evaluate(
        "--compare", f"good={folders}/good", f"<b>={folders}/bad", "--reference_dir",
        folders / "high", "--input_dir", folders / "low", "--metrics", "psnr", "niqe",
        "--report", target, "--samples", 2,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    names = {path.name for path in target.iterdir()}
    assert names == {"report.html", "samples.png", "scores.md", "scores.csv", "scores.json"}
    page = (target / "report.html").read_text("utf-8")
    assert page.count("<svg") == 2 and "<details>" in page and "data:image/jpeg;base64," in page
    assert not re.search(r"(src|href)=\"(?!data:)|https?://|url\(", page)  # no other file
    assert "&lt;b&gt;" in page and "<b>=" not in page
    with Image.open(target / "samples.png") as figure:
        assert figure.width == 4 * (report.CELL + report.GAP) + report.GAP
    json.loads((target / "scores.json").read_text("utf-8"))
    chosen = evaluate("--result_dir", folders / "good", "--metrics", "mean_luma",
                      "--report", target, "--sample_names", "deep/c")  # fmt: skip
    assert chosen.returncode == 0, chosen.stderr
    fails(evaluate("--result_dir", folders / "good", "--metrics", "mean_luma",
                   "--report", target, "--sample_names", "x"), "no scored image x")  # fmt: skip


def test_gt_mean_is_marked_and_inflates(folders):
    base = ("--result_dir", folders / "low", "--reference_dir", folders / "high")
    plain = scores(evaluate(*base, "--format", "json"))
    marked = scores(evaluate(*base, "--format", "json", "--gt_mean"))
    assert marked["mean"]["low"]["psnr"] > plain["mean"]["low"]["psnr"] + 10
    assert any("inflates" in line for line in marked["protocol"])
    output = evaluate(*base, "--gt_mean").stdout
    assert output.count("(GT mean)") >= 4 and "inflates" in output
    fails(evaluate("--result_dir", folders / "low", "--gt_mean"), "--gt_mean needs --reference_dir")


def test_protocol_choices_change_the_numbers(folders):
    paths = {"good": folders / "good/a.png", matching.INPUT: folders / "low/a.png",
             matching.REFERENCE: folders / "high/a.png"}  # fmt: skip

    def value(key, **choices):
        scored = protocol.score_image("a", paths, (key,), protocol.Protocol(**choices))
        return scored.scores["good"][key]

    assert value("ssim") != value("ssim", ssim="luma")
    assert value("loe") != value("loe", loe="100x100")
    niqe = {value("niqe"), value("niqe", niqe_colour="full"), value("niqe", niqe_border=3)}
    assert len(niqe) == 3
    process = evaluate("--result_dir", folders / "good/a.png", "--reference_dir",
                       folders / "high/a.png", "--metrics", "ssim", "niqe", "--ssim", "luma",
                       "--niqe_colour", "full", "--niqe_border", 3, "--format", "json")  # fmt: skip
    mean = scores(process)["mean"]["a.png"]
    assert mean["ssim"] == pytest.approx(value("ssim", ssim="luma"))
    assert mean["niqe"] == pytest.approx(value("niqe", niqe_colour="full", niqe_border=3))


def test_names_without_a_partner_are_listed(folders):
    save(folders / "good/only.png", picture(9))
    (folders / "high/b.png").unlink()
    process = evaluate("--result_dir", folders / "good", "--reference_dir", folders / "high")
    assert process.returncode == 0
    assert "mean of 2 images" in process.stdout
    assert "2 of" in process.stderr and "without a partner elsewhere: b, only" in process.stderr


def test_suffixes_need_not_agree(folders):
    image = np.asarray(Image.open(folders / "good/a.png"))
    (folders / "good/a.png").unlink()
    save(folders / "good/a.bmp", image)
    process = evaluate("--result_dir", folders / "good", "--reference_dir", folders / "high")
    assert "mean of 3 images" in process.stdout
    save(folders / "good/a.png", image)
    fails(evaluate("--result_dir", folders / "good"), "a.bmp", "a.png", "have one name")


def test_sizes_must_be_equal_or_cropped(folders):
    save(folders / "good/b.png", picture(1)[:-8, :-3])
    base = ("--result_dir", folders / "good", "--reference_dir", folders / "high")
    process = evaluate(*base)
    fails(process, "b: sizes differ (good 221x192, reference 224x200)")
    assert "--crop_to_match" in process.stderr
    assert "mean of 2 images" in process.stdout
    cropped = evaluate(*base, "--crop_to_match")
    assert cropped.returncode == 0 and "mean of 3 images" in cropped.stdout
    assert "cropped to their common top left" in cropped.stdout


def test_damaged_files_are_named_and_left_out_everywhere(folders):
    path = folders / "bad/b.png"
    path.write_bytes(path.read_bytes()[:400])
    process = evaluate("--compare", f"good={folders}/good", f"bad={folders}/bad",
                       "--reference_dir", folders / "high", "--format", "json")  # fmt: skip
    fails(process, "bad/b.png: truncated; replace or remove it")
    document = json.loads(process.stdout)
    assert set(document["images"]["good"]) == {"a", "deep/c"}
    assert len(document["excluded"]) == 1
    for name in ("a", "deep/c"):
        file = folders / f"bad/{name}.png"
        file.write_bytes(b"nothing")
    fails(evaluate("--result_dir", folders / "bad"), "no image could be scored")


def test_gray_16_bit_and_alpha(folders):
    image = np.asarray(Image.open(folders / "high/a.png"))
    save(folders / "good/a.png", cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    cv2.imwrite(str(folders / "good/b.png"), picture(1)[..., ::-1].astype(np.uint16) * 257)
    save(folders / "good/deep/c.png", np.dstack((picture(2), picture(3)[..., 0])))
    process = evaluate("--result_dir", folders / "good", "--reference_dir", folders / "high",
                       "--format", "json", "--metrics", "mse")  # fmt: skip
    document = scores(process)
    assert 0 < document["images"]["good"]["a"]["mse"] < 0.1
    assert document["images"]["good"]["b"]["mse"] == 0
    assert document["images"]["good"]["deep/c"]["mse"] == 0
    for remark in ("gray, taken as three equal channels: a", "rounded to 8: b", "alpha channel"):
        assert remark in process.stderr


def test_a_single_image(folders):
    process = evaluate("--result_dir", folders / "good/a.png", "--reference_dir",
                       folders / "high/b.png", "--metrics", "psnr")  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert "mean of 1 image " in process.stdout
    process = evaluate("--result_dir", folders / "good/a.png", "--reference_dir", folders / "high")
    assert process.returncode == 0 and "mean of 1 image " in process.stdout


def test_constant_and_identical_images_do_not_spoil_a_mean(folders):
    save(folders / "good/a.png", np.full((200, 224, 3), 128, np.uint8))
    save(folders / "good/b.png", np.asarray(Image.open(folders / "high/b.png")))
    process = evaluate("--result_dir", folders / "good", "--reference_dir", folders / "high",
                       "--metrics", "psnr", "ssim", "niqe", "--format", "json")  # fmt: skip
    document = scores(process)
    assert document["images"]["good"]["a"]["niqe"] is None
    assert document["images"]["good"]["b"]["psnr"] == "inf"
    assert all(math.isfinite(value) for value in document["mean"]["good"].values())
    assert "NIQE: the mean is over 2 of 3 images" in process.stderr
    assert "PSNR: the mean is over 2 of 3 images" in process.stderr
    assert "nan" not in process.stdout.lower()


def test_images_too_small_for_a_metric(tmp_path):
    save(tmp_path / "small/a.png", picture(0, 5, 6))
    process = evaluate("--result_dir", tmp_path / "small", "--reference_dir", tmp_path / "small")
    assert process.returncode == 0 and "Traceback" not in process.stderr
    assert "SSIM undefined" in process.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ["nothing to score; give --result_dir"]),
        (("--result_dir", "missing"), ["no such file or folder: missing"]),
        (("--result_dir", "empty"), ["no images under empty"]),
        (("--result_dir", "good", "--reference_dir", "other"), ["no image name in common"]),
        (("--result_dir", "good", "--metrics", "psnr"), ["psnr needs", "give --reference_dir"]),
        (("--result_dir", "good", "--metrics", "loe"), ["loe needs", "give --input_dir"]),
        (("--result_dir", "good", "--metrics", "fid"), ["no metric fid; choose from psnr"]),
        (("--compare", "x=good", "x=good"), ["names of their own"]),
        (("--compare", "input=good"), ["names of their own"]),
        (("--task", "segmentation"), ["needs --label_dir FOLDER"]),
    ],
)  # fmt: skip
def test_what_cannot_be_scored(folders, monkeypatch, arguments, words):
    monkeypatch.chdir(folders)
    (folders / "empty").mkdir()
    save(folders / "other/z.png", picture(0))
    fails(evaluate(*arguments), *words)


def test_iqa_pytorch_where_it_is_installed(folders):
    process = evaluate("--result_dir", folders / "good", "--reference_dir", folders / "high",
                       "--metrics", "pyiqa:psnr", "psnr", "--format", "json")  # fmt: skip
    if importlib.util.find_spec("pyiqa") is None:
        fails(process, "pyiqa:psnr needs IQA-PyTorch", "pip install pyiqa")
        return
    mean = scores(process)["mean"]["good"]
    assert mean["pyiqa:psnr"] == pytest.approx(mean["psnr"], abs=0.01)


def test_ctrl_c_ends_at_once_and_writes_nothing(folders):
    save(folders / "many/0.png", picture(0, 400, 600))
    for number in range(1, 400):
        (folders / f"many/{number}.png").hardlink_to(folders / "many/0.png")
    arguments = ("--result_dir", folders / "many", "--metrics", "niqe", "--num_workers", 2,
                 "--report", folders / "r")  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "evaluate.py"), *map(str, arguments)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's background jobs ignore Ctrl-C, and so would a test run that is one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    time.sleep(1.5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers as well
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert errors.count("Traceback") == 0 and "interrupted" in errors
    assert not (folders / "r").exists()


def test_processes_agree_with_one(folders):
    for number in range(9):
        save(folders / f"many/{number}.png", picture(number))
    arguments = ("--result_dir", folders / "many", "--format", "json", "--num_workers")
    outputs = {evaluate_as_a_user(*arguments, n).stdout for n in (1, 2)}
    assert len(outputs) == 1 and len(json.loads(outputs.pop())["images"]["many"]) == 9


# Segmentation


@pytest.fixture
def labels(tmp_path):
    """Bands of three classes, void (11) on the right; images whose brightness is the class."""
    label = np.repeat(np.arange(3, dtype=np.uint8), 8)[:, None].repeat(32, 1)
    label[:, 28:] = 11
    image = (np.clip(label, 0, 2) * 100 + 20)[..., None].repeat(3, 2).astype(np.uint8)
    for name in ("a", "b"):
        save(tmp_path / f"labels/{name}.png", label)
        save(tmp_path / f"images/{name}.png", image)
        save(tmp_path / f"dark/{name}.png", image // 4)
        wrong = label.copy()
        wrong[0:4] = 1  # half of class 0
        wrong[label == 11] = 0
        save(tmp_path / f"pred/{name}.png", wrong)
    return tmp_path


def segmentation(labels, *arguments):
    return evaluate("--task", "segmentation", "--label_dir", labels / "labels", "--num_classes", 3,
                    "--ignore_index", 11, *arguments)  # fmt: skip


def test_label_maps_by_hand(labels):
    process = segmentation(labels, "--pred_dir", labels / "pred", "--format", "json")
    mean = scores(process)["mean"]["prediction"]
    assert mean["pa"] == pytest.approx(100 * (0.5 + 1 + 1) / 3)
    assert mean["iou"] == pytest.approx(100 * (4 / 8 + 8 / 12 + 1) / 3)
    text = segmentation(labels, "--pred_dir", labels / "pred", "--class_names", "x", "y", "z")
    assert re.search(r"^x +50\.00 +50\.00$", text.stdout, re.MULTILINE)
    assert "mPA %" in text.stdout and "mIoU %" in text.stdout


def threshold_network(path):
    """A frozen network that finds the three brightness classes of the bright images."""
    import torch

    class Threshold(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            value = image.mean(1, keepdim=True) * 255
            return torch.cat([-((value - level) ** 2) for level in (20.0, 120.0, 220.0)], 1)

    example = torch.zeros(1, 3, 24, 32)
    if path.suffix == ".pt":
        torch.jit.trace(Threshold(), example).save(path)
        return
    from onnx import TensorProto, helper, save

    # The same as three 1x1 convolutions' worth of arithmetic: -(v - l)^2 = 2 l v - l^2 - v^2.
    levels = np.array([20.0, 120.0, 220.0]) / 255
    weight = np.repeat(2 * levels[:, None] / 3, 3, 1).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w", "b"], ["logits"])],
        "threshold",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [
            helper.make_tensor("w", TensorProto.FLOAT, [3, 3, 1, 1], weight.ravel()),
            helper.make_tensor("b", TensorProto.FLOAT, [3], -(levels**2)),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


@pytest.mark.parametrize("name", ["net.pt", "net.onnx"])
def test_does_enhancement_help_a_frozen_network(labels, name):
    if name.endswith("onnx"):
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
    threshold_network(labels / name)
    document = scores(segmentation(labels, "--seg_model", labels / name, "--input_dir",
                                   labels / "dark", "--result_dir", labels / "images",
                                   "--report", labels / "report", "--format", "json"))  # fmt: skip
    assert document["mean"]["images"] == {"pa": 100, "iou": 100}
    assert document["mean"]["input"]["pa"] < 67  # dark: everything is the darkest class
    assert (labels / "report/samples.png").is_file()


def test_a_network_with_other_classes_and_its_interval(labels):
    """Outputs put together as the labels' classes; one that is in no class never wins."""
    import torch

    class Four(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            value = image.mean(1, keepdim=True) * 255
            found = [-((value - level) ** 2) for level in (220.0, 20.0, 120.0, 20.0)]
            return torch.cat([*found, torch.full_like(value, 9e9)], 1)

    torch.jit.trace(Four(), torch.zeros(1, 3, 24, 32)).save(labels / "net.pt")
    mapping = labels / "classes.json"
    mapping.write_text('{"dark": [1, 3], "middle": [2], "bright": [0]}')

    def run(*more):
        return evaluate("--task", "segmentation", "--label_dir", labels / "labels", "--seg_model",
                        labels / "net.pt", "--classes", mapping, "--ignore_index", 11,
                        "--input_dir", labels / "dark", "--result_dir", labels / "images",
                        *more)  # fmt: skip

    document = scores(run("--format", "json", "--seg_scale", 2))
    assert document["mean"]["images"]["iou"] > 90  # edges are blurred by the enlargement
    assert set(document["classes"]["images"]) == {"dark", "middle", "bright"}
    text = run().stdout
    assert re.search(r"images 100\.0 to 100\.0 \(\+\d+\.\d to \+\d+\.\d over the input\)", text)
    mapping.write_text('{"dark": [1, 9]}')
    fails(run(), "has outputs 0 to 4; the mapping of classes names 9")
    mapping.write_text('{"a": [1], "b": [1]}')
    fails(run(), "is no mapping of classes")
    fails(run("--num_classes", 3), "without --num_classes")


@pytest.mark.parametrize("wrong", ["[1]", '{"a": []}', '{"a": ["x"]}', "{", ""])
def test_what_is_no_mapping_of_classes(tmp_path, wrong):
    from evaluation.segmenter import read_mapping

    mapping = tmp_path / "classes.json"
    mapping.write_text(wrong)
    with pytest.raises(UserError, match="is no mapping of classes"):
        read_mapping(mapping)


def test_the_bootstrap_against_a_plain_one():
    from evaluation.metrics import class_scores
    from evaluation.segmentation import bootstrap

    rng = np.random.default_rng(3)
    matrices = rng.integers(0, 50, (2, 40, 3, 3))
    matrices[1] += 20 * np.eye(3, dtype=np.int64)
    intervals, gains = bootstrap({"a": matrices[0], "b": matrices[1]}, "a")
    drawn = [rng.integers(0, 40, 40) for _ in range(3000)]
    plain = np.array([[class_scores(m[d].sum(0))[1].mean() for m in matrices] for d in drawn])
    for column, method in enumerate("ab"):
        expected = np.percentile(plain[:, column], (2.5, 97.5))
        assert intervals[method] == pytest.approx(expected, abs=0.01)
    expected = np.percentile(plain[:, 1] - plain[:, 0], (2.5, 97.5))
    assert gains["b"] == pytest.approx(expected, abs=0.01) and set(gains) == {"b"}


def test_segmentation_bad_input(labels):
    base = ("--pred_dir", labels / "pred")
    fails(segmentation(labels), "nothing to score")
    fails(segmentation(labels, *base, "--seg_model", "x.pt"), "not both")
    fails(segmentation(labels, *base, "--class_names", "x"), "3 classes need as many different")
    fails(segmentation(labels, "--seg_model", "x.pt", "--input_dir", labels / "dark"),
          "x.pt cannot be loaded as a TorchScript")  # fmt: skip
    fails(segmentation(labels, "--seg_model", "x.onnx", "--input_dir", labels / "dark"),
          "x.onnx cannot be loaded")  # fmt: skip
    save(labels / "pred/a.png", np.full((24, 32), 7, np.uint8))
    process = segmentation(labels, *base, "--format", "json")
    fails(process, "prediction holds class 7, but there are classes 0 to 2")
    assert json.loads(process.stdout)["mean"]["prediction"]["pa"] == pytest.approx(250 / 3)
    save(labels / "pred/a.png", np.zeros((24, 32, 3), np.uint8))
    fails(segmentation(labels, *base), "one channel, this is RGB")
    (labels / "pred/a.png").write_bytes(b"")
    (labels / "pred/b.png").write_bytes(b"")
    fails(segmentation(labels, *base), "no image could be scored")


# The tables


def table(values, better=1, baseline=None):
    columns = [Column("m", "M", better, 2)]
    rows = {method: {f"i{n}": {"m": v} for n, v in enumerate(vs)} for method, vs in values.items()}
    return Results(columns, rows, baseline), columns[0]


def test_ties_are_both_best_and_the_baseline_never():
    results, column = table({"input": [9, 9], "a": [1.001, 1], "b": [1.0, 1], "c": [0, 0]})
    assert results.best(column) == {"input"}
    results.baseline = "input"
    assert results.best(column) == {"a", "b"}
    lower, column = table({"a": [1], "b": [2]}, better=-1)
    assert lower.best(column) == {"a"}
    equal, column = table({"a": [1], "b": [1.001]})
    assert equal.best(column) == set()
    alone, column = table({"a": [1]})
    assert alone.best(column) == set()


def test_an_image_undefined_for_one_method_counts_for_none():
    results, column = table({"a": [1, math.nan, 3], "b": [5, 100, 7]})
    assert results.mean("a", column) == 2 and results.mean("b", column) == 6
    assert "2 of 3 images" in results.undefined_notes()[0]
    nothing, column = table({"a": [math.inf]})
    assert nothing.mean("a", column) is None
    assert tables.summary_rows(nothing) == [["a", "—"]]
    assert report.box_plot(nothing, column) == ""


def test_the_crop_is_where_the_detail_is():
    image = np.full((120, 160, 3), 90, np.uint8)
    image[80:110, 100:140] = np.random.default_rng(0).integers(0, 255, (30, 40, 3))
    x, y, width, height = report.busiest_crop(image)
    assert (width, height) == (40, 30)
    assert abs(x - 100) <= 3 and abs(y - 80) <= 3
    for shape in ((1, 1, 3), (3, 200, 3), (200, 3, 3)):
        x, y, width, height = report.busiest_crop(np.zeros(shape, np.uint8))
        assert 0 <= x <= shape[1] - width and 0 <= y <= shape[0] - height


def test_the_figure_holds_any_shape():
    rows = [("n", {"a" * 60: picture(0, 300, 40), "b": picture(1, 300, 40)}, {"b": "score"})]
    grid = report.picture_grid([*rows, ("m", {"x": picture(2, 10, 400)}, {})])
    assert grid.dtype == np.uint8 and grid.shape[1] == 2 * (report.CELL + report.GAP) + report.GAP
