"""A network and its optimiser, one step at a time, on any number of devices."""

import math
from collections.abc import Iterator
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from sgz.errors import UserError
from sgz.machine import choose_device


class TrainingDiverged(UserError):
    """The loss or its gradient is no longer a number; the message has the loss's parts."""


class Learner:
    """Takes steps of Adam on a loss of named parts.

    Args:
        net: image [B, 3, H, W] -> enhanced, factor; it is moved to the device.
        loss: image, enhanced, factor -> named parts, each a mean over images.
        accelerator: accelerate's, which knows the other processes and the precision.
        device: of this process.
        weight_decay, clip_norm: L2 penalty of Adam; largest norm of a step's gradient.
    """

    def __init__(self, net, loss, accelerator, device, weight_decay: float, clip_norm: float):
        self.accelerator = accelerator
        self.device = device
        self.loss = loss.to(device)
        self.clip_norm = clip_norm
        self.plain_net: nn.Module = net.to(device).train()  # as it is without other processes
        adam = torch.optim.Adam(net.parameters(), weight_decay=weight_decay)
        self.net, self.optimizer = accelerator.prepare(net, adam)
        # On a processor channels-last takes a third off the network's time. GPUs keep the plain
        # layout: it was not measured there.
        cpu = device.type == "cpu"
        self.layout = torch.channels_last if cpu else torch.contiguous_format

    def step(self, batches: Iterator, counts: list[int], images: int, rate: float) -> dict:
        """One step on the next batches, uint8 [B, 3, S, S] and gains [B].

        Args:
            counts: the images each batch counts for; one backward pass a batch.
            images: in the step, over all batches and processes.
            rate: of learning.

        Returns:
            The loss, its parts and the gradient's norm before clipping, over all images.

        Raises:
            TrainingDiverged: they are no numbers; the step was not taken.
        """
        processes = self.accelerator.num_processes
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        sums = 0.0
        for number, count in enumerate(counts, start=1):
            image = self.to_image(*next(batches))
            share = count / images
            wait = number < len(counts)  # the processes' gradients meet in the last pass
            with self.accelerator.no_sync(self.net) if wait else nullcontext():
                with self.accelerator.autocast():
                    enhanced, factor = self.net(image)
                    parts = self.loss(image, enhanced.float(), factor.float())
                total = sum(parts.values())
                # Meeting, gradients are averaged over processes: hence their number.
                self.accelerator.backward(total * (share * processes))
            sums = sums + share * torch.stack([total, *parts.values()]).detach()
        norm = self.accelerator.clip_grad_norm_(self.net.parameters(), self.clip_norm)
        sums = self.accelerator.reduce(sums, "sum")
        names = ["total", *parts, "gradient_norm"]
        values = dict(zip(names, torch.stack([*sums, norm]).tolist(), strict=True))
        # With fp16 a gradient may overflow: the scaler leaves the step out and scales less.
        watched = values["total"] if self.accelerator.scaler else sum(values.values())
        if not math.isfinite(watched):
            raise TrainingDiverged(", ".join(f"{name} {v:.4g}" for name, v in values.items()))
        self.optimizer.step()
        return values

    def to_image(self, image: Tensor, gain: Tensor) -> Tensor:
        """uint8 [B, 3, S, S] and gains [B] -> [B, 3, S, S] in [0, 1] on the device."""
        image = image.to(self.device, non_blocking=True).float() / 255
        image = image * gain.to(self.device, torch.float32).view(-1, 1, 1, 1)
        return image.contiguous(memory_format=self.layout)

    def any_process(self, number: int) -> int:
        """The largest of all processes' numbers: what one was told, all know."""
        if self.accelerator.num_processes == 1:
            return number
        return int(self.accelerator.gather(torch.tensor([number], device=self.device)).max())

    def weights(self) -> dict[str, Tensor]:
        """The network's tensors, on the processor."""
        return {name: value.cpu() for name, value in self.plain_net.state_dict().items()}

    def state(self) -> dict:
        """All that going on exactly needs, besides the weights."""
        scaler = self.accelerator.scaler
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else None,
            "random": torch.get_rng_state(),
        }

    def load_state(self, state: dict) -> None:
        """Go on from a state; the weight decay stays as it was asked for."""
        decay = self.optimizer.param_groups[0]["weight_decay"]
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["weight_decay"] = decay
        if self.accelerator.scaler and state.get("scaler"):
            self.accelerator.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])


def learning_rate(base: float, schedule: str, done: float) -> float:
    """The rate after a part of the run, `done` in [0, 1]: "constant" or "cosine"."""
    return base * 0.5 * (1 + math.cos(math.pi * done)) if schedule == "cosine" else base


def start_accelerator(name: str = "auto", mixed_precision: str | None = None):
    """accelerate's Accelerator, and the torch.device of this process.

    Args:
        name: as of choose_device; where several processes were launched, each has its own device.
        mixed_precision: "no", "fp16", "bf16"; None for what accelerate's launcher was told.

    Raises:
        UserError: the device or the precision cannot be had.
    """
    device = torch.device(choose_device(name))
    if mixed_precision == "fp16" and device.type == "cpu":
        raise UserError("fp16 needs a GPU; a processor has bf16", "mixed_precision")
    try:
        # device_placement would move batches and network itself; cpu=True chooses gloo.
        accelerator = Accelerator(
            mixed_precision=mixed_precision, cpu=device.type == "cpu", device_placement=False
        )
    except (ValueError, RuntimeError) as error:
        raise UserError(f"cannot start on {device}: {error}") from error
    return accelerator, accelerator.device if accelerator.num_processes > 1 else device
