"""One training run: network, losses, data and optimiser put together, and its loop."""

import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from dataloader import LowLightImages, Step, batches_of, plan_epoch
from option import ways_to_go_on, ways_to_shorten
from sgz.errors import UserError
from sgz.model import initialise_paper
from training.network import TrainedNet
from training.objective import build_loss, check_image_size, start_guide
from training.progress import Progress, in_words
from training.records import Monitor
from training.snapshots import Position, Snapshots, changes, load_snapshot, plain, plan
from training.step import Learner, TrainingDiverged, learning_rate, start_accelerator
from training.validation import Validation, preview

PICTURE_SECONDS = 5  # between pictures: snapshots may follow one another faster
LONG = 3600  # seconds; a run that takes longer is told how to be shorter


class RunFinished(Exception):
    """The run to go on with has had its epochs; the message is a sentence."""


class Trainer:
    """One training run.

    Args:
        options: what train_options() returns.

    Raises:
        RunFinished: there is nothing left to do.
        UserError: what the user can mend.
    """

    def __init__(self, options: Namespace):
        check_image_size(options)
        self.options = Namespace(**vars(options))  # a resumed run's number of epochs may change
        self.accelerator, self.device = start_accelerator(options.device, options.mixed_precision)
        self.processes = self.accelerator.num_processes
        self.signal_here = 0  # what asked this process to stop; may change at any moment
        self.stop_signal = 0  # what the processes have agreed to stop for
        self.unsaved = ""  # why the newest snapshot is not on the disk
        self.pictured = float("-inf")  # when the last pictures were drawn
        self.advised = False
        options.snapshots_folder.mkdir(parents=True, exist_ok=True)
        self.snapshots = Snapshots(options.snapshots_folder)
        self.monitor = Monitor(
            options.snapshots_folder, self.accelerator.is_main_process, options.tracker
        )
        self.seed, self.position = options.seed, Position()
        torch.manual_seed(self.seed)
        net = TrainedNet(options.scale_factor, options.conv_type)
        if options.init == "paper":
            initialise_paper(net)
        state = self._load_pretrained(net)
        resumed_here = self.snapshots.last is not None
        with self.accelerator.local_main_process_first():  # it downloads, and fills the cache
            self._read_images()
            guide = start_guide(options, self.seed, self.log)
        self.guide_source = guide.source if guide else "none"
        self.learner = Learner(
            net,
            build_loss(options, guide),
            self.accelerator,
            self.device,
            options.weight_decay,
            options.grad_clip_norm,
        )
        if state:
            self._restore(state)
        self._begin(resumed_here)

    def _load_pretrained(self, net: torch.nn.Module) -> dict | None:
        """Load --pretrain_dir if asked to; the run's state beside it, if it is of these weights."""
        options = self.options
        if not options.load_pretrain:
            if options.more_epochs:
                raise UserError("there is no run to train for more epochs", "pretrained")
            return None
        path = options.pretrain_dir
        weights, state = load_snapshot(path, net)
        if state is None:
            if options.more_epochs:
                raise UserError(f"{path} has no run state beside it to go on from", "more_epochs")
            net.load_state_dict(weights)
            self.log(f"{path} has no run state beside it: a new run starts from its weights")
            return None
        net.load_state_dict(state["model"])
        self.position, options.num_epochs = plan(state, options.num_epochs, options.more_epochs)
        position = self.position
        if position.epoch >= options.num_epochs:
            raise RunFinished(f"the run of {path} is finished after {position.epoch} epochs")
        before = state.get("images_per_step", self.images_per_step)
        position.step = position.step * before // self.images_per_step
        self.seed = state["seed"]
        self.log(f"going on with {path} at epoch {position.epoch}, step {position.step}")
        if changed := changes(state["options"], plain(vars(options))):
            self.log(f"options changed since: {changed}")
        self.snapshots.begin(path, weights)
        return state

    def _read_images(self) -> None:
        """The images to train on, and those to validate on."""
        options, cache = self.options, self._cache_folder()
        self.data = LowLightImages(
            options.lowlight_images_path,
            options.image_size,
            options.darken,
            options.cutmix,
            self.seed,
            cache,
        )
        self.validation = None
        if options.val_images_path:
            self.validation = Validation(
                options.val_images_path,
                options.val_batch_size,
                size=options.image_size,
                seed=self.seed,
                cache=cache,
            )
        for path, reason in self.data.skipped:
            self.log(f"skipped {path}: {reason}")
        notes = self.validation.notes if self.validation else []
        for note in filter(None, [self.data.note, *notes]):
            self.log(note)

    def _cache_folder(self) -> Path | None:
        """--cache_dir, or None where it is in a home that this user does not have."""
        try:
            return self.options.cache_dir.expanduser()
        except RuntimeError:
            self.log("images stay in memory: this user has no home folder to cache them in")
            return None

    def _restore(self, state: dict) -> None:
        """Put the optimiser and all that is random where the run left them."""
        if state["data"] != self.data.fingerprint:
            self.log("the images differ from those the run began with; it goes on with these")
        try:
            self.learner.load_state(state)
        except Exception as error:  # torch raises many kinds where a state is not as it was saved
            raise UserError(
                f"the run state beside {self.options.pretrain_dir} does not fit its weights "
                f"({str(error).splitlines()[0]}); remove it to start a new run from them"
            ) from error

    def _begin(self, resumed_here: bool) -> None:
        """Begin, or go on with, the records; the files of another run are moved aside."""
        position, step = self.position, self.global_step()
        if self.accelerator.is_main_process and not resumed_here:
            moved = self.snapshots.move_earlier_run()
            if moved:
                self.log(f"the run that was in {self.options.snapshots_folder} is in {moved} now")
        self.monitor.begin(
            {
                "options": plain(vars(self.options)),
                "position": asdict(position),
                "guide": self.guide_source,
                "images": len(self.data),
                "fingerprint": self.data.fingerprint,
                "device": str(self.device),
                "processes": self.processes,
            },
            (position.epoch, position.step) if resumed_here else None,
            step,
        )

    @property
    def images_per_step(self) -> int:
        """Images in one step of the optimiser, over all processes."""
        options = self.options
        return options.train_batch_size * options.gradient_accumulation_steps * self.processes

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimiser in an epoch."""
        return -(-len(self.data) // self.images_per_step)

    def global_step(self) -> int:
        """Steps since epoch 0."""
        return self.position.epoch * self.steps_per_epoch + self.position.step

    def run(self) -> int:
        """Train to the end, or until asked to stop; returns the exit code."""
        start, images = time.perf_counter(), 0
        total = self.options.num_epochs * self.steps_per_epoch
        hidden = not self.accelerator.is_main_process
        with Progress(self.global_step(), total, hidden) as progress:
            while self.position.epoch < self.options.num_epochs and not self.stop_signal:
                images += self.train_epoch(progress)
        seconds = time.perf_counter() - start
        self.monitor.close()
        self.accelerator.end_training()
        saved = self.snapshots.last
        if self.unsaved:
            raise UserError(f"{self.unsaved}; the last good snapshot is {saved or 'none'}")
        if self.stop_signal:
            ways = ways_to_go_on(saved, self.options.num_epochs)
            self.log(
                f"stopped at epoch {self.position.epoch}, step {self.position.step}; "
                f"go on with {ways}"
            )
            return 128 + self.stop_signal
        self.log(f"{images} images in {seconds:.0f} s ({images / seconds:.1f}/s); weights: {saved}")
        if saved and saved.stem.endswith(".trained"):
            plainly = saved.with_name(f"Epoch{self.position.epoch - 1}.pth")
            self.log(f"{plainly}, which no run here wrote, is as it was: name {saved} to use yours")
        return 0

    def ask_to_stop(self, number: int) -> None:
        """Finish the step and save."""
        self.signal_here = number

    def train_epoch(self, progress: Progress) -> int:
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
        for step in rest:
            values = self.train_step(batches, step, len(steps))
            images += step.images
            position.step += 1
            progress.step(f"epoch {position.epoch} of 0-{options.num_epochs - 1}")
            done = position.step == len(steps)
            if done or position.step % options.display_iter == 0:
                values["images_per_second"] = images / (time.perf_counter() - start)
                self._display(values, progress)
            self._advise(progress)
            self.stop_signal = self.learner.any_process(self.signal_here)
            if done:
                break
            if self.stop_signal or position.step % options.snapshot_iter == 0:
                self.snapshot(position.epoch)
            if self.stop_signal:
                return images
        position.epoch, position.step = position.epoch + 1, 0
        self.snapshot(position.epoch - 1)
        if self.validation and not self.stop_signal:
            self._validate(len(steps))
        return images

    def train_step(self, batches: Iterator, step: Step, steps: int) -> dict[str, float]:
        """One step of `steps` in this epoch; returns what log.csv shows of it."""
        options, position = self.options, self.position
        done = (position.epoch - position.first_epoch) + position.step / steps
        part = done / (options.num_epochs - position.first_epoch)
        rate = learning_rate(options.lr, options.schedule, part)
        try:
            return self.learner.step(batches, step.counts, step.images, rate) | {"lr": rate}
        except TrainingDiverged as error:
            raise TrainingDiverged(
                f"not a number at epoch {position.epoch}, step {position.step}: {error}; "
                "the last snapshot is kept",
                "rate",
            ) from error

    def _display(self, values: dict[str, float], progress: Progress) -> None:
        """Record the loss at a step, and show it."""
        position, steps = self.position, self.steps_per_epoch
        text = self.monitor.progress(
            values, position.epoch, position.step, steps, self.global_step()
        )
        progress.show(text)
        left = progress.time_left()
        line = f"epoch {position.epoch} step {position.step}/{steps} {text}"
        self.log(f"{line}, {left}" if left and progress.left else line, quiet=progress.is_bar)

    def _advise(self, progress: Progress) -> None:
        """Say once, after a few steps, that a run will be long, and what shortens it."""
        seconds = progress.seconds_left()
        if self.advised or seconds is None:
            return
        self.advised = True
        if seconds > LONG:
            options = self.options
            self.log(
                f"this run will take about {in_words(seconds)}: {progress.left} more steps of "
                f"{seconds / progress.left:.1f} s, {self.images_per_step} images of "
                f"{options.image_size}x{options.image_size} each. Shorter: "
                f"{ways_to_shorten(options, self.device.type != 'cpu')}"
            )

    def _validate(self, steps: int) -> None:
        """Measure the network on the validation images."""
        values = self.validation.measure(
            self.learner.plain_net, self.learner.loss, self.accelerator, self.device
        )
        epoch = self.position.epoch - 1
        self.monitor.scalars(
            "validation.csv", {"epoch": epoch, "step": steps} | values, self.global_step()
        )
        text = " ".join(f"{name} {value:.4f}" for name, value in values.items())
        self.log(f"validation after epoch {epoch}: {text}")

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
            self.snapshots.save(epoch, self.learner.weights(), state)
            self.unsaved = ""
        except OSError as error:
            self.unsaved = f"cannot save {self.snapshots.path(epoch)}: {error.strerror or error}"
            good = f"the last good snapshot is {self.snapshots.last or 'none yet'}"
            self.log(f"WARNING: {self.unsaved}; training goes on; {good}")
        ends = self.stop_signal or self.position.epoch == self.options.num_epochs
        if ends or time.monotonic() > self.pictured + PICTURE_SECONDS:
            images = self.validation.images if self.validation else self.data
            self.monitor.pictures(
                preview(self.learner.plain_net, images, self.device), self.global_step()
            )
            self.pictured = time.monotonic()

    def log(self, line: str, quiet: bool = False) -> None:
        """Append to train.log beside the snapshots, and print unless quiet."""
        self.monitor.say(line, quiet)
