"""Train the network on dark photographs alone, from scratch or from a checkpoint.

python train.py --lowlight_images_path data/train_data --snapshots_folder weight/
python train.py --load_pretrain True --pretrain_dir weight/Epoch99.pth
accelerate launch train.py --mixed_precision bf16
"""

import signal
import time
import warnings
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

import torch
from tqdm import tqdm

from dataloader import GIGABYTE, LowLightImages, Step, batches_of, plan_epoch
from loss import ZeroReferenceLoss
from option import train_options
from sgz.command import run_script
from sgz.errors import UserError
from sgz.model import EnhanceNet, initialise_paper
from training.guide import SemanticGuide, build_guide
from training.memory import keep_freed_memory
from training.network import TrainedNet
from training.records import Monitor
from training.snapshots import Position, Snapshots, changes, plain
from training.step import Learner, TrainingDiverged, learning_rate, start_accelerator
from training.validation import Validation, preview

SMALLEST_GUIDED = 64  # below, ResNet-50's last stage has one pixel, too few for batch statistics
REMEDIES = {
    "device": "try --device cpu",
    "mixed_precision": "take --mixed_precision bf16 or no",
    "num_classes": "leave --num_of_SegClass at 21, or give other --seg_weights",
    "weights": "see --seg_weights",
    "guide": "or train without it: --seg_weight 0",
    "cache": "name another --cache_dir, or raise --cache_gb",
}
PICTURE_SECONDS = 5  # between pictures: snapshots may follow one another faster


class Trainer:
    """One training run: network, optimiser, data and its position.

    Args:
        options: what train_options() returns.

    Raises:
        UserError: what the user can mend.
    """

    def __init__(self, options: Namespace):
        self.options = options
        self.accelerator, self.device = start_accelerator(options.device, options.mixed_precision)
        self.processes = self.accelerator.num_processes
        self.position = Position()
        self.seed = options.seed
        self.signal_here = 0  # what asked this process to stop; may change at any moment
        self.stop_signal = 0  # what the processes have agreed to stop for
        self.unsaved = ""  # why the newest snapshot is not on the disk
        self.pictured = float("-inf")  # when the last pictures were drawn
        options.snapshots_folder.mkdir(parents=True, exist_ok=True)
        self.snapshots = Snapshots(options.snapshots_folder)
        self.monitor = Monitor(
            options.snapshots_folder, self.accelerator.is_main_process, options.tracker
        )

        torch.manual_seed(self.seed)
        net = TrainedNet(options.scale_factor, options.conv_type)
        if options.init == "paper":
            initialise_paper(net)
        state = self.load_pretrained(net) if options.load_pretrain else None
        resumed_here = state is not None and self.snapshots.last is not None
        cache = {
            "cache_bytes": options.cache_gb * GIGABYTE,
            "cache_folder": options.cache_dir.expanduser(),
        }
        with self.accelerator.local_main_process_first():  # it downloads, and fills the disk cache
            self.data = LowLightImages(
                options.lowlight_images_path, options.image_size, options.darken, self.seed, **cache
            )
            self.validation = None
            if options.val_images_path:
                self.validation = Validation(
                    options.val_images_path,
                    options.val_batch_size,
                    size=options.image_size,
                    seed=self.seed,
                    **cache,
                )
            guide = self.build_guide()
        for path, reason in self.data.skipped:
            self.log(f"skipped {path}: {reason}")
        for note in self.validation.notes if self.validation else ():
            self.log(note)
        if state and state["data"] != self.data.fingerprint:
            self.log("the images differ from those the run began with; it goes on with these")
        self.guide_source = guide.source if guide else "none"
        loss = ZeroReferenceLoss(
            {
                "tv": options.tv_weight,
                "spatial": options.spatial_weight,
                "colour": options.colour_weight,
                "exposure": options.exposure_weight,
                "semantic": options.seg_weight,
            },
            options.patch_size,
            options.exp_level,
            options.exposure_patch,
            guide,
            options.objective,
        )
        self.learner = Learner(
            net,
            loss,
            self.accelerator,
            self.device,
            options.weight_decay,
            options.grad_clip_norm,
        )
        if state:
            self.learner.load_state(state)
        self.monitor.begin(
            {
                "options": plain(vars(options)),
                "position": asdict(self.position),
                "guide": self.guide_source,
                "images": len(self.data),
                "fingerprint": self.data.fingerprint,
                "device": str(self.device),
                "processes": self.processes,
            },
            (self.position.epoch, self.position.step) if resumed_here else None,
            self.global_step(),
        )

    def build_guide(self) -> SemanticGuide | None:
        """The semantic guide, or None where its weight is 0."""
        options = self.options
        if not options.seg_weight:
            return None
        if options.image_size < SMALLEST_GUIDED:
            raise UserError(
                f"the semantic guide needs --image_size {SMALLEST_GUIDED} or more, "
                f"not {options.image_size}; or leave it out: --seg_weight 0"
            )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            guide = build_guide(
                options.seg_model,
                options.seg_weights,
                options.seg_init,
                options.num_of_SegClass,
                self.seed,
                self.device,
            )
        for warning in caught:
            self.log(f"WARNING: {warning.message}")
        self.log(f"semantic guide: {options.seg_model}, weights: {guide.source}")
        return guide

    def load_pretrained(self, net: EnhanceNet) -> dict | None:
        """Load --pretrain_dir; the run's state beside it, if it belongs to these weights."""
        options = self.options
        state, notes = self.snapshots.resume(
            options.pretrain_dir, net, options.num_epochs, self.images_per_step
        )
        for note in notes:
            self.log(note)
        if state:
            self.seed, self.position = state["seed"], state["position"]
            if changed := changes(state["options"], plain(vars(options))):
                self.log(f"options changed since: {changed}")
        return state

    @property
    def images_per_step(self) -> int:
        """Images in one step of the optimiser, over all processes."""
        options = self.options
        return options.train_batch_size * options.gradient_accumulation_steps * self.processes

    @property
    def last_epoch(self) -> int:
        """The epoch that the run ends before."""
        return self.position.first_epoch + self.options.num_epochs

    def global_step(self) -> int:
        """Steps since epoch 0."""
        return self.position.epoch * -(-len(self.data) // self.images_per_step) + self.position.step

    def run(self) -> int:
        """Train to the end, or until asked to stop; returns the exit code."""
        start, images = time.perf_counter(), 0
        while self.position.epoch < self.last_epoch and not self.stop_signal:
            images += self.train_epoch()
        seconds = time.perf_counter() - start
        self.monitor.close()
        self.accelerator.end_training()
        saved = self.snapshots.last
        if self.unsaved:
            raise UserError(f"{self.unsaved}; the last good snapshot is {saved or 'none'}")
        if self.stop_signal:
            self.log(
                f"stopped at epoch {self.position.epoch}, step {self.position.step}; go on with "
                f"--load_pretrain True --pretrain_dir {saved}"
            )
            return 128 + self.stop_signal
        self.log(f"{images} images in {seconds:.0f} s ({images / seconds:.1f}/s); weights: {saved}")
        return 0

    def ask_to_stop(self, number: int, _frame: object) -> None:
        """Finish the step and save; a second signal stops at once."""
        self.signal_here = number
        signal.signal(number, signal.SIG_DFL)

    def train_epoch(self) -> int:
        """The rest of one epoch, with its snapshots; returns how many images were seen."""
        options, position = self.options, self.position
        steps = plan_epoch(
            len(self.data),
            self.seed,
            position.epoch,
            options.train_batch_size,
            options.gradient_accumulation_steps,
            self.processes,
            self.accelerator.process_index,
        )
        rest = steps[position.step :]
        batches = iter(batches_of(self.data, rest, options.num_workers, self.device.type == "cuda"))
        images, start = 0, time.perf_counter()
        hidden = None if self.accelerator.is_main_process else True
        with (
            tqdm(
                rest,
                desc=f"epoch {position.epoch} of {position.first_epoch}-{self.last_epoch - 1}",
                initial=position.step,
                total=len(steps),
                disable=hidden,
            ) as bar,
            # A line of its own: beside the bar, 80 columns show two of the parts.
            tqdm(bar_format="{desc}", position=1, leave=False, disable=hidden) as parts,
        ):
            for step in bar:
                values = self.train_step(batches, step, len(steps))
                images += step.images
                position.step += 1
                done = position.step == len(steps)
                if done or position.step % options.display_iter == 0:
                    values["images_per_second"] = images / (time.perf_counter() - start)
                    text = self.monitor.progress(
                        values, position.epoch, position.step, len(steps), self.global_step()
                    )
                    parts.set_description_str(text)
                    self.log(
                        f"epoch {position.epoch} step {position.step}/{len(steps)} {text}",
                        quiet=not bar.disable,
                    )
                self.stop_signal = self.learner.any_process(self.signal_here)
                if done:
                    bar.update()  # which leaving the loop would spare
                    bar.refresh()  # even where the last one was a moment ago
                    break
                if self.stop_signal or position.step % options.snapshot_iter == 0:
                    self.snapshot(position.epoch)
                if self.stop_signal:
                    return images
        position.epoch, position.step = position.epoch + 1, 0
        self.snapshot(position.epoch - 1)
        if self.validation and not self.stop_signal:
            values = self.validation.measure(
                self.learner.plain_net, self.learner.loss, self.accelerator, self.device
            )
            row = {"epoch": position.epoch - 1, "step": len(steps)} | values
            self.monitor.scalars("validation.csv", row, self.global_step())
            text = " ".join(f"{name} {value:.4f}" for name, value in values.items())
            self.log(f"validation after epoch {position.epoch - 1}: {text}")
        return images

    def train_step(self, batches: Iterator, step: Step, steps: int) -> dict[str, float]:
        """One step of `steps` in this epoch; returns what log.csv shows of it."""
        options, position = self.options, self.position
        done = (position.epoch - position.first_epoch) + position.step / steps
        rate = learning_rate(options.lr, options.schedule, done / options.num_epochs)
        try:
            return self.learner.step(batches, step.counts, step.images, rate) | {"lr": rate}
        except TrainingDiverged as error:
            raise TrainingDiverged(
                f"not a number at epoch {position.epoch}, step {position.step}: {error}; "
                "the last snapshot is kept; try a lower --lr"
            ) from error

    def snapshot(self, epoch: int) -> None:
        """Save the run and draw its pictures; a disk that is full is no reason to stop."""
        if not self.accelerator.is_main_process:
            return
        state = self.learner.state() | {
            "position": asdict(self.position),
            "images_per_step": self.images_per_step,
            "seed": self.seed,
            "options": plain(vars(self.options)),
            "guide": self.guide_source,
            "data": self.data.fingerprint,
        }
        try:
            for note in self.snapshots.save(epoch, self.learner.weights(), state):
                self.log(note)
            self.unsaved = ""
        except OSError as error:
            self.unsaved = f"cannot save {self.snapshots.path(epoch)}: {error.strerror or error}"
            good = f"the last good snapshot is {self.snapshots.last or 'none yet'}"
            self.log(f"WARNING: {self.unsaved}; training goes on; {good}")
        ends = self.stop_signal or self.position.epoch == self.last_epoch
        if ends or time.monotonic() > self.pictured + PICTURE_SECONDS:
            images = self.validation.images if self.validation else self.data
            self.monitor.pictures(
                preview(self.learner.plain_net, images, self.device), self.global_step()
            )
            self.pictured = time.monotonic()

    def log(self, line: str, quiet: bool = False) -> None:
        """Append to train.log beside the snapshots, and print unless quiet."""
        self.monitor.say(line, quiet)


def main() -> int:
    keep_freed_memory()
    trainer = Trainer(train_options())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, trainer.ask_to_stop)
    return trainer.run()


if __name__ == "__main__":
    run_script(main, REMEDIES)
