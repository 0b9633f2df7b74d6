"""Train the network on dark photographs alone, from scratch or from a checkpoint.

python train.py --lowlight_images_path data/train_data --snapshots_folder weight/
python train.py --load_pretrain True --pretrain_dir weight/Epoch99.pth
"""

import math
import signal
import sys
import time
import warnings
from argparse import Namespace
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from dataloader import LowLightImages, epoch_batches
from loss import ZeroReferenceLoss
from model import CheckpointError, EnhanceNet, check_state_dict, read_state_dict
from option import train_parser
from segmentation import SemanticGuide
from utils import (
    UserError,
    choose_device,
    digest_of,
    keep_aside,
    load_tensors,
    run_script,
    save_tensors,
)

SMALLEST_GUIDED = 64  # below, ResNet-50's last stage has one pixel, too few for batch statistics


class TrainingDiverged(UserError):
    """The loss or its gradient is no longer a number."""


@dataclass
class Position:
    """Where a run stands: `step` batches of `epoch` are done; the run began at `first_epoch`."""

    first_epoch: int = 0
    epoch: int = 0
    step: int = 0


class Trainer:
    """One training run: network, optimiser, data and its position.

    Args:
        options: what train_parser() returns.

    Raises:
        UserError, CheckpointError: what the user can mend.
    """

    def __init__(self, options: Namespace):
        self.options = options
        self.device = choose_device(options.device)
        self.position = Position()
        self.seed = options.seed
        self.own: dict[Path, str] = {}  # snapshots of this run -> digest of their weights
        self.stop_signal = 0
        options.snapshots_folder.mkdir(parents=True, exist_ok=True)

        torch.manual_seed(self.seed)
        self.net = EnhanceNet(options.scale_factor, options.conv_type)
        state = self.load_pretrained() if options.load_pretrain else None
        self.net.to(self.device).train()
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), lr=options.lr, weight_decay=options.weight_decay
        )
        if state:
            self.optimizer.load_state_dict(state["optimizer"])
            for group in self.optimizer.param_groups:  # today's options, not the state's
                group["weight_decay"] = options.weight_decay
            torch.set_rng_state(state["random"])
        self.data = LowLightImages(
            options.lowlight_images_path, options.image_size, options.darken, self.seed
        )
        for path, reason in self.data.skipped:
            self.log(f"skipped {path}: {reason}")
        if state and state["data"] != self.data.fingerprint:
            self.log("the images differ from those the run began with; it goes on with these")
        guide = self.build_guide()
        self.guide_source = guide.source if guide else "none"
        self.loss = ZeroReferenceLoss(
            {
                "tv": options.tv_weight,
                "spatial": options.spatial_weight,
                "colour": options.colour_weight,
                "exposure": options.exposure_weight,
                "semantic": options.seg_weight,
                "channel": options.channel_weight,
            },
            options.patch_size,
            options.exp_level,
            options.exposure_patch,
            options.keep_bright,
            guide,
        ).to(self.device)

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
            guide = SemanticGuide(options.seg_weights, options.num_of_SegClass, self.seed)
        for warning in caught:
            self.log(f"WARNING: {warning.message}")
        self.log(f"semantic guide: ResNet-50, weights: {guide.source}")
        return guide

    def load_pretrained(self) -> dict | None:
        """Load --pretrain_dir; the run's state beside it, if it belongs to these weights."""
        path = self.options.pretrain_dir
        weights = read_state_dict(path)
        check_state_dict(weights, self.net, path)
        state = read_run_state(path.with_suffix(".resume"))
        if state is None or digest_of(weights) not in state["digests"]:
            self.net.load_state_dict(weights)
            self.log(f"{path} has no run state beside it: a new run starts from its weights")
            return None
        self.net.load_state_dict(state["model"])
        self.seed = state["seed"]
        position = Position(**state["position"])
        planned = min(state["options"]["num_epochs"], self.options.num_epochs)
        if position.epoch >= position.first_epoch + planned:
            position.first_epoch = position.epoch
            self.log(f"the run of {path} is complete; {self.options.num_epochs} epochs follow")
        else:
            self.log(f"going on with {path} at epoch {position.epoch}, step {position.step}")
        self.position = position
        if path.resolve().parent == self.options.snapshots_folder.resolve():
            self.own[self.snapshot_path(int(path.stem.removeprefix("Epoch")))] = digest_of(weights)
        changed = [
            f"{name} {old} -> {new}"
            for name, new in plain_options(self.options).items()
            if (old := state["options"].get(name)) != new
            and name not in ("load_pretrain", "pretrain_dir")
        ]
        if changed:
            self.log("options changed since: " + ", ".join(changed))
        return state

    def run(self) -> int:
        """Train to the end, or until asked to stop; returns the exit code."""
        start, images = time.perf_counter(), 0
        last = self.position.first_epoch + self.options.num_epochs
        while self.position.epoch < last and not self.stop_signal:
            images += self.train_epoch(last)
        seconds = time.perf_counter() - start
        path = self.snapshot_path(self.position.epoch - (self.position.step == 0))
        if self.stop_signal:
            self.log(
                f"stopped at epoch {self.position.epoch}, step {self.position.step}; go on with "
                f"--load_pretrain True --pretrain_dir {path}"
            )
            return 128 + self.stop_signal
        self.log(f"{images} images in {seconds:.0f} s ({images / seconds:.1f}/s); weights: {path}")
        return 0

    def ask_to_stop(self, number: int, _frame: object) -> None:
        """Finish the step and save; a second signal stops at once."""
        self.stop_signal = number
        signal.signal(number, signal.SIG_DFL)

    def train_epoch(self, last: int) -> int:
        """The rest of one epoch, with its snapshots; returns how many images were seen."""
        options, position = self.options, self.position
        batches = epoch_batches(
            self.data,
            options.train_batch_size,
            position.epoch,
            position.step,
            options.num_workers,
            pin_memory=self.device.type == "cuda",
        )
        steps, images = position.step + len(batches), 0
        with tqdm(
            batches,
            desc=f"epoch {position.epoch} of {position.first_epoch}-{last - 1}",
            initial=position.step,
            total=steps,
            disable=None,
        ) as bar:
            for image, gain in bar:
                self.set_learning_rate(steps)
                parts = self.train_step(image, gain)
                images += len(image)
                position.step += 1
                if position.step % options.display_iter == 0 or position.step == steps:
                    text = " ".join(f"{name} {value:.4f}" for name, value in parts.items())
                    bar.set_postfix_str(text)
                    self.log(
                        f"epoch {position.epoch} step {position.step}/{steps} {text}",
                        not bar.disable,
                    )
                if position.step == steps:
                    break
                if self.stop_signal or position.step % options.snapshot_iter == 0:
                    self.snapshot(position.epoch)
                if self.stop_signal:
                    return images
        position.epoch, position.step = position.epoch + 1, 0
        self.snapshot(position.epoch - 1)
        return images

    def set_learning_rate(self, steps: int) -> None:
        """The schedule's rate at this position; `steps` are in an epoch."""
        options, position = self.options, self.position
        rate = options.lr
        if options.schedule == "cosine":
            done = (position.epoch - position.first_epoch) * steps + position.step
            rate *= 0.5 * (1 + math.cos(math.pi * done / (options.num_epochs * steps)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def train_step(self, image: torch.Tensor, gain: torch.Tensor) -> dict[str, float]:
        """One step on uint8 [B, 3, S, S] and gains [B]; returns the total and its parts."""
        image = image.to(self.device, non_blocking=True).float() / 255
        image = image * gain.to(self.device, torch.float32).view(-1, 1, 1, 1)
        enhanced, factor = self.net(image)
        parts = self.loss(image, enhanced, factor)
        total = sum(parts.values())
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.options.grad_clip_norm)
        values = {"total": total.item()} | {name: part.item() for name, part in parts.items()}
        if not torch.isfinite(total + norm):
            text = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
            raise TrainingDiverged(
                f"not a number at epoch {self.position.epoch}, step {self.position.step}: {text}, "
                f"gradient norm {norm:.4g}; the last snapshot is kept; try a lower --lr"
            )
        self.optimizer.step()
        return values

    def snapshot_path(self, epoch: int) -> Path:
        """Where the weights of an epoch go."""
        return self.options.snapshots_folder / f"Epoch{epoch}.pth"

    def snapshot(self, epoch: int) -> None:
        """Write Epoch{n}.resume, then Epoch{n}.pth; a file of another run is kept beside it.

        The run state names the weights of this snapshot and of the one it replaces, so that it is
        good whether or not the process dies between the two files.
        """
        path = self.snapshot_path(epoch)
        if path not in self.own:
            for old in (path, path.with_suffix(".resume")):
                if kept := keep_aside(old):
                    self.log(f"{old} is not of this run; it is kept as {kept.name}")
        weights = {name: value.cpu() for name, value in self.net.state_dict().items()}
        digest = digest_of(weights)
        state = {
            "model": weights,
            "optimizer": self.optimizer.state_dict(),
            "position": asdict(self.position),
            "seed": self.seed,
            "random": torch.get_rng_state(),
            "options": plain_options(self.options),
            "guide": self.guide_source,
            "data": self.data.fingerprint,
            "digests": [digest, self.own.get(path, digest)],
        }
        save_tensors(state, path.with_suffix(".resume"))
        save_tensors(weights, path)
        self.own[path] = digest

    def log(self, line: str, quiet: bool = False) -> None:
        """Append to train.log beside the snapshots, and print unless quiet."""
        with (self.options.snapshots_folder / "train.log").open("a", encoding="utf-8") as file:
            file.write(time.strftime("%Y-%m-%d %H:%M:%S ") + line + "\n")
        if not quiet:
            tqdm.write(line, file=sys.stderr)


def plain_options(options: Namespace) -> dict[str, object]:
    """The options with paths as text, as a run state holds them."""
    return {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}


def read_run_state(path: Path) -> dict | None:
    """A .resume file, None if there is none.

    Raises:
        UserError: it cannot be read.
    """
    if not path.exists():
        return None
    try:
        return load_tensors(path)
    except UserError as error:
        raise UserError(f"{error}; remove it to start a new run from the weights beside") from error


def main() -> int:
    trainer = Trainer(train_parser().parse_args())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, trainer.ask_to_stop)
    return trainer.run()


if __name__ == "__main__":
    run_script(main, CheckpointError)
