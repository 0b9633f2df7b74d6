"""Train the network on dark photographs alone, from scratch or from a checkpoint.

python train.py --lowlight_images_path data/train_data --snapshots_folder weight/
python train.py --load_pretrain True --pretrain_dir weight/Epoch99.pth
accelerate launch train.py --mixed_precision bf16
"""

import os
import signal
import sys
from argparse import Namespace
from contextlib import nullcontext

from option import train_options, ways_to_go_on
from sgz.command import run_script, without_native_lines
from training.lock import lock_folder

REMEDIES = {
    "device": "try --device cpu",
    "mixed_precision": "take --mixed_precision bf16 or no",
    "num_classes": "leave --num_of_SegClass at 21, or give other --seg_weights",
    "weights": "see --seg_weights",
    "guide": "or train without it: --seg_weight 0",
    "guided_size": "raise --image_size, or train without the guide: --seg_weight 0",
    "image_size": "raise --image_size",
    "memory": "lower --train_batch_size or --image_size, or --num_workers",
    "folder": "wait for it, or name another --snapshots_folder",
    "pretrained": "name one with --load_pretrain True --pretrain_dir",
    "more_epochs": "leave --more_epochs out and say with --num_epochs how many there are to be",
    "rate": "try a lower --lr",
}


def main() -> int:
    options = train_options()
    signal.signal(signal.SIGINT, leave)
    first = int(os.environ.get("RANK", 0)) == 0  # of the processes that a launcher started
    with lock_folder(options.snapshots_folder) if first else nullcontext():
        code = train(options)
    if "RANK" in os.environ:
        # Threads of torch.distributed outlive its process group, and now and then end the
        # interpreter on its way out ("terminate called"): all is written, so go without it.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def train(options: Namespace) -> int:
    """Build the run and train, hearing Ctrl-C and SIGTERM; returns the exit code."""
    # Late: torch reads the environment that run_script has set, and takes seconds to import.
    from training.interrupts import StopSignals
    from training.memory import keep_freed_memory, running_out_told
    from training.trainer import RunFinished, Trainer

    signal.signal(signal.SIGINT, signal.default_int_handler)
    keep_freed_memory()
    # Several processes' errors come from C++ alone: a run of one says all in Python.
    quiet = nullcontext() if "RANK" in os.environ else without_native_lines()
    with quiet, running_out_told():
        try:
            trainer = Trainer(options)
        except RunFinished as finished:
            print(f"{finished}; --more_epochs N trains N further ones", file=sys.stderr)
            return 0

        def ask_to_stop(number: int) -> None:
            trainer.ask_to_stop(number)
            trainer.log("finishing this step, then saving; press again to stop now")

        def say_what_is_kept() -> None:
            kept = trainer.snapshots.last
            ways = f"go on with {ways_to_go_on(kept, trainer.options.num_epochs)}" if kept else ""
            trainer.log(f"stopped now; {ways or 'nothing had been saved yet'}")

        with StopSignals(ask_to_stop, say_what_is_kept):
            return trainer.run()


def leave(number: int, _frame: object) -> None:
    """End the process, which has nothing to save yet; an import would turn errors around."""
    os.write(2, b"\ntrain.py: interrupted\n")
    os._exit(128 + number)


if __name__ == "__main__":
    run_script(main, REMEDIES)
