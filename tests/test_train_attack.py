"""A training run under attack: damaged files, a second run, no memory, names that forge lines."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image
from train_runs import ROOT, arguments, train

from option import train_options, train_parser
from sgz.errors import CheckpointError, UserError
from sgz.model import EnhanceNet, load_model
from training.interrupts import StopSignals
from training.lock import lock_folder
from training.memory import running_out_told
from training.progress import Progress, in_words
from training.snapshots import load_snapshot
from training.trainer import Trainer


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """A finished run of one epoch."""
    return train(photos, tmp_path_factory.mktemp("runs") / "one", "--num_epochs", "1")


@pytest.mark.parametrize("suffix", [".pth", ".resume"])
def test_a_flipped_bit_is_seen_or_changes_nothing(run, tmp_path, suffix):
    contents = {s: (run / f"Epoch0{s}").read_bytes() for s in (".pth", ".resume")}
    path = tmp_path / "Epoch0.pth"
    path.write_bytes(contents[".pth"])
    path.with_suffix(".resume").write_bytes(contents[".resume"])
    good, state = load_snapshot(path, EnhanceNet())
    whole, seen = contents[suffix], 0
    for number in range(60):
        damaged = bytearray(whole)
        damaged[(2 * number + 1) * len(whole) // 120] ^= 1 << number % 8
        path.with_suffix(suffix).write_bytes(damaged)
        try:
            found, found_state = load_snapshot(path, EnhanceNet())
        except UserError:
            seen += 1
            continue
        assert all(torch.equal(found[name], good[name]) for name in good)
        assert found_state is None or found_state["seal"] == state["seal"]
    assert seen > 30


EDITS = {
    "an epoch": lambda state: state["position"].update(epoch=-3),
    "a step": lambda state: state["position"].update(step="many"),
    "no position": lambda state: state.pop("position"),
    "no optimiser": lambda state: state.update(optimizer={}),
    "weights": lambda state: state["model"]["e_conv1.point_conv.bias"].add_(1),
    "a moment": lambda state: state["optimizer"]["state"][0]["exp_avg"].zero_(),
    "random state": lambda state: state.update(random=torch.zeros(3)),
    "the seed": lambda state: state.update(seed=-1),
    "options": lambda state: state.update(options=None),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_run_state_edited_by_hand_is_refused(photos, run, tmp_path, edit):
    state = torch.load(run / "Epoch0.resume", weights_only=True)
    edit(state)
    torch.save(state, tmp_path / "Epoch0.resume")
    (tmp_path / "Epoch0.pth").write_bytes((run / "Epoch0.pth").read_bytes())
    again = ["--load_pretrain", "--pretrain_dir", str(tmp_path / "Epoch0.pth")]
    with pytest.raises(UserError, match=r"not as a run leaves it: .* remove it to start a new run"):
        Trainer(train_options(arguments(photos, tmp_path, *again)))


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.to("meta"),
        lambda value: value.to_sparse(),
        lambda value: torch.full_like(value, 3e38),
        lambda value: torch.full_like(value, float("nan")),
        lambda value: value.to(torch.int32),
    ],
    ids=["meta", "sparse", "3e38", "NaN", "integers"],
)
def test_weights_beyond_sense_are_refused(tmp_path, change):
    state = EnhanceNet().state_dict()
    state["e_conv3.point_conv.weight"] = change(state["e_conv3.point_conv.weight"])
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"a\.pth holds"):
        load_model(tmp_path / "a.pth")


def test_one_run_in_a_folder_at_a_time(tmp_path):
    with lock_folder(tmp_path):
        code = "import sys; sys.argv[0] = 'train.py'; import train; train.run_script(train.main, "
        code += "train.REMEDIES)"
        done = subprocess.run(
            [sys.executable, "-c", code, "--snapshots_folder", str(tmp_path)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"train.py: another run is writing into {tmp_path}; "
        "wait for it, or name another --snapshots_folder\n"
    )
    with lock_folder(tmp_path):
        pass


def test_out_of_memory_is_a_sentence():
    with pytest.raises(UserError, match="out of memory"), running_out_told():
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(ZeroDivisionError), running_out_told():
        _ = 1 / 0


def test_names_are_shown_escaped(tmp_path, capfd):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (40, 40), (9, 8, 7)).save(folder / "good.png")
    (folder / "bad\x1b[2J\nforged 夜.png").write_bytes(b"no image")
    train(folder, tmp_path / "run", "--num_epochs", "1")
    said = capfd.readouterr().err
    assert "\x1b[2J" not in said and r"bad\x1b[2J\nforged 夜.png" in said
    assert r"\nforged 夜" in (tmp_path / "run/train.log").read_text()


def test_a_signal_is_answered_within_a_long_step_and_a_second_one_leaves():
    """The main thread is in a call that runs no handler but lets threads run, as torch does."""
    code = """
import hashlib, os, sys
sys.path.insert(0, sys.argv[1])
from training.interrupts import StopSignals
told = lambda: os.write(1, b"kept\\n")
with StopSignals(lambda number: os.write(1, b"finishing %d\\n" % number), told):
    os.write(1, b"ready\\n")
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1 << 30)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, ROOT], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"finishing 2\n"
        process.send_signal(signal.SIGINT)  # a launcher's echo of the first
        time.sleep(1.5)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == b"kept\n"
        assert process.returncode == 130
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def test_handlers_are_as_before_afterwards():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals(print, print):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_images_too_small_for_a_loss_are_a_sentence(photos, tmp_path):
    with pytest.raises(UserError, match=r"2x2 pixels are too small: the exposure loss needs 16"):
        train(photos, tmp_path, "--image_size", "2")
    none = ["--exposure_weight", "0", "--spatial_weight", "0"]
    train(photos, tmp_path, "--image_size", "2", *none, "--num_epochs", "1")


def test_two_validation_images_of_one_name_are_named(photos, tmp_path):
    for name in ("low/a.png", "high/a.png", "high/a.bmp"):
        (tmp_path / "val" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40)).save(tmp_path / "val" / name)
    with pytest.raises(UserError, match=r"a\.bmp and .*a\.png have one name; keep one of them"):
        train(photos, tmp_path / "run", "--val_images_path", str(tmp_path / "val"))


def test_a_long_run_says_how_to_be_shorter(photos, tmp_path, capfd):
    """Stopped after six steps of a planned hundred million."""
    given = arguments(photos, tmp_path, "--num_epochs", "100000000", "--train_batch_size", "1")
    trainer = Trainer(train_options(given))
    step = trainer.train_step

    def counted(*batch):
        if trainer.position.step == 5:
            trainer.ask_to_stop(signal.SIGUSR1)
        return step(*batch)

    trainer.train_step = counted
    trainer.run()
    said = capfd.readouterr().err
    assert said.count("this run will take about") == 1
    assert "--num_epochs 50000000 half of it; a GPU far less" in said


def test_time_left_is_of_the_whole_run():
    with Progress(0, 50, hidden=True) as progress:
        for _ in range(10):
            time.sleep(0.02)
            progress.step("")
        assert 0.7 < progress.seconds_left() < 4
        assert progress.time_left().endswith("s left")
    words = [in_words(s) for s in (5, 95, 3600, 7500, 90_000, 200_000)]
    assert words == ["5 s", "1 min 35 s", "1 h", "2 h 5 min", "1 day 1 h", "2 days 7 h"]


def test_help_and_errors_are_plain(capsys):
    text = train_parser().format_help()
    assert "None)" not in text and "('" not in text
    with pytest.raises(SystemExit):
        train_parser().parse_args(["--num-epochs", "3"])
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(SystemExit):
        train_parser().parse_args(["--image_sise", "3"])
    assert "did you mean --image_size?" in capsys.readouterr().err


def test_scripts_have_threads_wait_without_spinning(tmp_path):
    code = "import os; from sgz.command import run_script; "
    code += "run_script(lambda: print(os.environ['OMP_WAIT_POLICY']))"
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout == "PASSIVE\n"
